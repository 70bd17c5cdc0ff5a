//! Decides whether a file is still the same file, by comparing what is known about it with what is found.
//!
//! Size and time alone can't tell two files apart (reproducible builds give every file the same time), so a
//! lease also records the inode and the time of the inode's last change. A file that only grew (a log, a
//! recording) counts as the same file up to its old length, if its beginning and the bytes before its old end
//! are unchanged.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::config::Identity;
use crate::files::{FileVersion, OpenFile, Seen, renames};
use crate::secret::Digest;

/// How many bytes at the beginning and the end of a file are compared.
const EDGE: usize = 4096;

/// A digest of the first and last 4 KiB of a file up to a given length. It detects accidents, not forgery:
/// anyone who may write to a share can serve anything from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edges([u8; 8]);

impl Edges {
    /// Creates edges that were read from a store.
    pub const fn from_bytes(bytes: [u8; 8]) -> Edges {
        Edges(bytes)
    }

    /// Returns the bytes for storage.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    fn of(first_and_last: &[u8]) -> Edges {
        let mut edges = [0; 8];
        let digest = Digest::of(first_and_last);
        // A digest is longer, so the zip fills all of them.
        edges.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        Edges(edges)
    }
}

/// What is known about the redeemed file in addition to its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its inode number.
    pub inode: u64,
    /// When the inode last changed (`ctime`), in nanoseconds since the epoch.
    pub changed_ns: u64,
    /// The edges of the part that is served.
    pub edges: Edges,
}

/// The result of comparing a file with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// The same file, unchanged.
    Same,
    /// The same file, longer or touched, if it has these edges at its old length.
    IfEdges(Edges),
    /// Another file, or a changed one.
    Other,
}

/// The `version` claim: the state of the file that is meant. It never contains an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedVersion {
    version: FileVersion,
    /// `ctime` and edges; `None` if the share compares only times, and in older tokens.
    change: Option<(u64, Edges)>,
}

impl fmt::Display for ClaimedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version.fmt(f)?;
        match self.change {
            Some((changed_ns, edges)) => write!(f, "-{changed_ns:x}-{:016x}", u64::from_be_bytes(edges.0)),
            None => Ok(()),
        }
    }
}

/// The text is not a valid version claim.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a file version")]
pub struct InvalidVersion;

impl FromStr for ClaimedVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<ClaimedVersion, InvalidVersion> {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |part: &str| u64::from_str_radix(part, 16).map_err(|_| InvalidVersion);
        let claimed = match *parts.as_slice() {
            [modified_ns, len] => {
                let version = FileVersion { len: number(len)?, modified_ns: number(modified_ns)? };
                ClaimedVersion { version, change: None }
            }
            [modified_ns, len, changed_ns, edges] => {
                let version = FileVersion { len: number(len)?, modified_ns: number(modified_ns)? };
                let edges = Edges(number(edges)?.to_be_bytes());
                ClaimedVersion { version, change: Some((number(changed_ns)?, edges)) }
            }
            _ => return Err(InvalidVersion),
        };
        // There is only one encoding, so claims are equal exactly if their texts are.
        if claimed.to_string() == text { Ok(claimed) } else { Err(InvalidVersion) }
    }
}

impl ClaimedVersion {
    /// Returns the version that is meant.
    pub const fn version(&self) -> FileVersion {
        self.version
    }

    /// Compares the current file with the one that is meant.
    pub fn likeness(&self, file: &OpenFile) -> Likeness {
        let now = file.seen();
        match (file.identity(), self.change) {
            (Identity::Inode, Some((changed_ns, edges))) if self.version == now.version() => {
                touched(changed_ns == now.changed_ns, self.version, edges)
            }
            (Identity::Inode, Some((_, edges))) if now.len > self.version.len => Likeness::IfEdges(edges),
            _ if self.version == now.version() => Likeness::Same,
            _ => Likeness::Other,
        }
    }
}

/// Compares the current file with one that was redeemed as `version`.
pub fn likeness(file: &OpenFile, version: FileVersion, trace: Option<&Trace>) -> Likeness {
    let now = file.seen();
    match (file.identity(), trace) {
        (Identity::Inode, Some(trace)) if version == now.version() => {
            let same = trace.inode == now.inode
                && (trace.changed_ns == now.changed_ns
                    || renames::lead_from(now.inode, trace.changed_ns, now.changed_ns));
            touched(same, version, trace.edges)
        }
        (Identity::Inode, Some(trace)) if trace.inode == now.inode && now.len > version.len => {
            Likeness::IfEdges(trace.edges)
        }
        (_, None) | (Identity::Time, _) if version == now.version() => Likeness::Same,
        _ => Likeness::Other,
    }
}

/// Compares a file of the same size and time: whether nothing else changed, or can't have changed because the
/// edges cover the whole file.
fn touched(same: bool, version: FileVersion, edges: Edges) -> Likeness {
    match same {
        true => Likeness::Same,
        false if version.len <= 2 * EDGE as u64 => Likeness::IfEdges(edges),
        false => Likeness::Other,
    }
}

/// Returns whether a transfer may continue although its file changed from `before` to `now`, provided that
/// the edges are unchanged. `moved` says whether its name now leads to another file.
pub(super) fn may_go_on(before: &Seen, now: &Seen, moved: impl FnOnce() -> bool) -> bool {
    if now.len != before.len {
        return now.len > before.len;
    }
    // Replaced content whose time was reset looks like an inode that was renamed, linked or given other
    // permissions. The latter leave traces, so without traces the content was replaced.
    let changed_otherwise = (before.links, before.mode, before.owner) != (now.links, now.mode, now.owner);
    before.modified_ns == now.modified_ns && (changed_otherwise || moved())
}

impl OpenFile {
    /// Returns the `version` claim for this file. Waits for the disk.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn claim(&self) -> io::Result<ClaimedVersion> {
        let version = self.version();
        Ok(match self.identity() {
            Identity::Time => ClaimedVersion { version, change: None },
            Identity::Inode => {
                ClaimedVersion { version, change: Some((self.seen().changed_ns, self.edges(version.len)?)) }
            }
        })
    }

    /// Returns the edges of the first `len` bytes. Waits for the disk.
    ///
    /// # Errors
    /// If the file can't be read, or is shorter.
    pub fn edges(&self, len: u64) -> io::Result<Edges> {
        let mut buffer = [0; 2 * EDGE];
        for (offset, part) in edges_in(&mut buffer, len) {
            let wanted = part.len();
            if self.read(part, offset)? != wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Edges::of(buffer.get(..edge_of(len) * 2).unwrap_or_default()))
    }

    /// The same without waiting for the disk: `None` if it would have to wait.
    ///
    /// # Errors
    /// If the file can't be read, or is shorter.
    pub fn edges_if_cached(&self, len: u64) -> io::Result<Option<Edges>> {
        let mut buffer = [0; 2 * EDGE];
        for (offset, part) in edges_in(&mut buffer, len) {
            match self.read_cached(part, offset)? {
                Some(count) if count == part.len() => {}
                Some(0) if !part.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => return Ok(None),
            }
        }
        Ok(Some(Edges::of(buffer.get(..edge_of(len) * 2).unwrap_or_default())))
    }
}

fn edge_of(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX).min(EDGE)
}

/// The positions of the two edges in a file of `len` bytes, and in the buffer.
fn edges_in(buffer: &mut [u8], len: u64) -> [(u64, &mut [u8]); 2] {
    let edge = edge_of(len);
    let (first, rest) = buffer.split_at_mut(edge.min(buffer.len()));
    let (last, _) = rest.split_at_mut(edge.min(rest.len()));
    [(0, first), (len.saturating_sub(edge as u64), last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: FileVersion = FileVersion { len: 5, modified_ns: 0x1234 };

    #[test]
    fn a_version_claim_reads_as_it_is_written_and_in_no_other_way() {
        let edges = Edges([0, 1, 2, 3, 4, 5, 6, 7]);
        let claimed = ClaimedVersion { version: VERSION, change: Some((0xabc, edges)) };
        assert_eq!(claimed.to_string(), "1234-5-abc-0001020304050607");
        for claimed in [claimed, ClaimedVersion { change: None, ..claimed }] {
            assert_eq!(claimed.to_string().parse(), Ok(claimed));
        }
        for text in [
            "",
            "v1",
            "1234",
            "1234-5-abc",
            "1234-05",
            "+1234-5",
            "1234-5-ABC-0001020304050607",
            "1234-5-abc-1-",
        ] {
            assert_eq!(text.parse::<ClaimedVersion>(), Err(InvalidVersion), "{text}");
        }
    }

    #[test]
    fn what_is_sent_may_grow_be_renamed_and_get_other_rights_but_not_change() {
        let before =
            Seen { len: 10, modified_ns: 1, changed_ns: 1, inode: 7, links: 1, mode: 0o644, owner: (0, 0) };
        let (here, elsewhere) = (|| false, || true);
        assert!(may_go_on(&before, &Seen { len: 11, modified_ns: 2, changed_ns: 2, ..before }, here));
        assert!(!may_go_on(&before, &Seen { len: 9, modified_ns: 2, changed_ns: 2, ..before }, elsewhere));
        assert!(!may_go_on(&before, &Seen { modified_ns: 2, changed_ns: 2, ..before }, elsewhere));
        assert!(!may_go_on(&before, &Seen { changed_ns: 2, ..before }, here), "its time was put back");
        assert!(may_go_on(&before, &Seen { changed_ns: 2, ..before }, elsewhere), "it was renamed");
        assert!(may_go_on(&before, &Seen { changed_ns: 2, links: 0, ..before }, here), "it was deleted");
        assert!(may_go_on(&before, &Seen { changed_ns: 2, mode: 0o600, ..before }, here));
    }
}
