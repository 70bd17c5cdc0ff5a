//! A file's metadata at one time, and whether a file that changed may still be sent.

use rustix::fs::Stat;

use crate::files::version::FileVersion;

/// A file's metadata at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStat {
    pub(super) len: u64,
    pub(super) modified_ns: u64,
    /// When the inode last changed: its content, names or permissions.
    pub(super) changed_ns: u64,
    pub(super) inode: u64,
    pub(super) links: u64,
    pub(super) mode: u32,
    /// User and group.
    pub(super) owner: (u32, u32),
}

impl FileStat {
    pub(crate) fn of(stat: &Stat) -> FileStat {
        let nanoseconds = |seconds: i64, rest: u64| {
            u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(rest)
        };
        FileStat {
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            links: stat.st_nlink,
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
        }
    }

    pub(crate) const fn version(&self) -> FileVersion {
        FileVersion { len: self.len, modified_ns: self.modified_ns }
    }
}

/// Returns whether a transfer may continue although its file changed from `before` to `now`, provided that
/// the edges are unchanged. `moved` says whether its name now leads to another file.
pub(super) fn may_go_on(before: &FileStat, now: &FileStat, moved: impl FnOnce() -> bool) -> bool {
    if now.len != before.len {
        return now.len > before.len;
    }
    // Replaced content whose time was reset looks like an inode that was renamed, linked or given other
    // permissions. The latter leave traces, so without traces the content was replaced.
    let changed_otherwise = (before.links, before.mode, before.owner) != (now.links, now.mode, now.owner);
    before.modified_ns == now.modified_ns && (changed_otherwise || moved())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_may_grow_be_renamed_and_get_other_rights_but_not_change() {
        let before = FileStat {
            len: 10,
            modified_ns: 1,
            changed_ns: 1,
            inode: 7,
            links: 1,
            mode: 0o644,
            owner: (0, 0),
        };
        let (here, elsewhere) = (|| false, || true);
        assert!(may_go_on(&before, &FileStat { len: 11, modified_ns: 2, changed_ns: 2, ..before }, here));
        assert!(!may_go_on(
            &before,
            &FileStat { len: 9, modified_ns: 2, changed_ns: 2, ..before },
            elsewhere
        ));
        assert!(!may_go_on(&before, &FileStat { modified_ns: 2, changed_ns: 2, ..before }, elsewhere));
        assert!(!may_go_on(&before, &FileStat { changed_ns: 2, ..before }, here), "its time was put back");
        assert!(may_go_on(&before, &FileStat { changed_ns: 2, ..before }, elsewhere), "it was renamed");
        assert!(may_go_on(&before, &FileStat { changed_ns: 2, links: 0, ..before }, here), "it was deleted");
        assert!(may_go_on(&before, &FileStat { changed_ns: 2, mode: 0o600, ..before }, here));
    }
}
