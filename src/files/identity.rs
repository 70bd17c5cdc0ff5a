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
use crate::files::edges::{EDGE, EdgeDigest};
use crate::files::open_file::OpenFile;
use crate::files::renames;
use crate::files::seen::FileStat;
use crate::files::version::FileVersion;

/// What is known about the redeemed file in addition to its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFingerprint {
    /// Its inode number.
    pub inode: u64,
    /// When the inode last changed (`ctime`), in nanoseconds since the epoch.
    pub changed_ns: u64,
    /// The edges of the part that is served.
    pub edges: EdgeDigest,
}

/// The result of comparing a file with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMatch {
    /// The same file, unchanged.
    Same,
    /// The same file, longer or touched, if it has these edges at its old length.
    IfEdges(EdgeDigest),
    /// Another file, or a changed one.
    Other,
}

/// The `version` claim: the state of the file that is meant. It never contains an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedVersion {
    version: FileVersion,
    /// `ctime` and edges; `None` if the share compares only times, and in older tokens.
    change: Option<(u64, EdgeDigest)>,
}

impl fmt::Display for ClaimedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version.fmt(f)?;
        match self.change {
            Some((changed_ns, edges)) => {
                write!(f, "-{changed_ns:x}-{:016x}", u64::from_be_bytes(*edges.as_bytes()))
            }
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
                let edges = EdgeDigest::from_bytes(number(edges)?.to_be_bytes());
                ClaimedVersion { version, change: Some((number(changed_ns)?, edges)) }
            }
            _ => return Err(InvalidVersion),
        };
        // There is only one encoding, so claims are equal exactly if their texts are.
        if claimed.to_string() == text { Ok(claimed) } else { Err(InvalidVersion) }
    }
}

impl ClaimedVersion {
    /// Returns the claim of a version that is told apart by size and time alone.
    pub const fn of_time(version: FileVersion) -> ClaimedVersion {
        ClaimedVersion { version, change: None }
    }

    /// Returns the version that is meant.
    pub const fn version(&self) -> FileVersion {
        self.version
    }

    /// Returns the edges that the file must have, if they are claimed.
    pub fn edges(&self) -> Option<EdgeDigest> {
        self.change.map(|(_, edges)| edges)
    }

    /// Returns whether a file with this metadata is the one that is meant, without a look at its content.
    pub(super) fn is_exactly(&self, now: &FileStat, identity: Identity) -> bool {
        let same = self.version == now.version();
        same && match (identity, self.change) {
            (Identity::Inode, Some((changed_ns, _))) => changed_ns == now.changed_ns,
            (Identity::Inode, None) | (Identity::Time, _) => true,
        }
    }

    /// Compares the current file with the one that is meant.
    pub fn likeness(&self, file: &OpenFile) -> FileMatch {
        let now = file.seen();
        match (file.identity(), self.change) {
            (Identity::Inode, Some((changed_ns, edges))) if self.version == now.version() => {
                touched(changed_ns == now.changed_ns, self.version, edges)
            }
            (Identity::Inode, Some((_, edges))) if now.len > self.version.len => FileMatch::IfEdges(edges),
            _ if self.version == now.version() => FileMatch::Same,
            _ => FileMatch::Other,
        }
    }
}

/// Compares the current file with one that was redeemed as `version`.
pub fn likeness(file: &OpenFile, version: FileVersion, trace: Option<&FileFingerprint>) -> FileMatch {
    let now = file.seen();
    match (file.identity(), trace) {
        (Identity::Inode, Some(trace)) if version == now.version() => {
            let same = trace.inode == now.inode
                && (trace.changed_ns == now.changed_ns
                    || renames::lead_from(now.inode, trace.changed_ns, now.changed_ns));
            touched(same, version, trace.edges)
        }
        (Identity::Inode, Some(trace)) if trace.inode == now.inode && now.len > version.len => {
            FileMatch::IfEdges(trace.edges)
        }
        (_, None) | (Identity::Time, _) if version == now.version() => FileMatch::Same,
        _ => FileMatch::Other,
    }
}

/// Compares a file of the same size and time: whether nothing else changed, or can't have changed because the
/// edges cover the whole file.
fn touched(same: bool, version: FileVersion, edges: EdgeDigest) -> FileMatch {
    match same {
        true => FileMatch::Same,
        false if version.len <= 2 * EDGE as u64 => FileMatch::IfEdges(edges),
        false => FileMatch::Other,
    }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: FileVersion = FileVersion { len: 5, modified_ns: 0x1234 };

    #[test]
    fn a_version_claim_reads_as_it_is_written_and_in_no_other_way() {
        let edges = EdgeDigest::from_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
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
}
