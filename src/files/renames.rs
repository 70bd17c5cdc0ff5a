//! Remembers the renames of this process, so that a file it moved still counts as the same file. A rename
//! changes the time of an inode's last change, and so does replacing the content and resetting its time.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::AtFlags;

use crate::files::seen::FileStat;

/// How many renames are remembered; a file with more renames than that since counts as changed.
const REMEMBERED: usize = 1024;

static RENAMES: Mutex<VecDeque<Renamed>> = Mutex::new(VecDeque::new());

struct Renamed {
    inode: u64,
    before_ns: u64,
    after_ns: u64,
}

/// Returns the metadata of `name`; `None` if it doesn't exist.
pub(crate) fn look(folder: &OwnedFd, name: &str) -> Option<FileStat> {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| FileStat::of(&stat))
}

/// Remembers a rename that changed the metadata from `before` to `after`.
pub(crate) fn remember(before: Option<FileStat>, after: Option<FileStat>) {
    let (Some(before), Some(after)) = (before, after) else { return };
    if before.inode == after.inode && before.version() == after.version() {
        let mut renames = renames();
        if renames.len() >= REMEMBERED {
            renames.pop_front();
        }
        let (before_ns, after_ns) = (before.changed_ns, after.changed_ns);
        renames.push_back(Renamed { inode: before.inode, before_ns, after_ns });
    }
}

/// Returns whether only renames of this process led from one time of an inode's last change to the other.
pub(super) fn lead_from(inode: u64, mut before_ns: u64, after_ns: u64) -> bool {
    for renamed in renames().iter() {
        if renamed.inode == inode && renamed.before_ns == before_ns {
            before_ns = renamed.after_ns;
        }
    }
    before_ns == after_ns
}

// A poisoned lock means a panic elsewhere; the list is consistent after every step.
fn renames() -> MutexGuard<'static, VecDeque<Renamed>> {
    RENAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(inode: u64, changed_ns: u64) -> Option<FileStat> {
        Some(FileStat { len: 1, modified_ns: 1, changed_ns, inode, links: 1, mode: 0, owner: (0, 0) })
    }

    #[test]
    fn renames_are_followed_one_after_the_other_and_nothing_else_is() {
        let inode = u64::MAX - 7;
        remember(seen(inode, 1), seen(inode, 2));
        remember(seen(inode, 2), seen(inode, 5));
        remember(seen(inode, 6), seen(inode, 9));
        assert!(lead_from(inode, 1, 5) && lead_from(inode, 2, 5) && lead_from(inode, 6, 9));
        assert!(!lead_from(inode, 1, 6), "something else changed it between 5 and 6");
        assert!(!lead_from(inode, 1, 9) && !lead_from(inode - 1, 1, 5));
    }
}
