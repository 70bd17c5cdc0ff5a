//! The state of a file, as shown by its length and modification time.

use std::fmt;

use crate::clock::Timestamp;

/// Identifies a state of a file: its length and the time of its last change. Two files can have the same
/// version; [`crate::files::identity`] distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileVersion {
    /// Bytes.
    pub len: u64,
    /// Nanoseconds since the epoch.
    pub modified_ns: u64,
}

impl FileVersion {
    /// Returns the time of the last change, in whole seconds (`Last-Modified`).
    pub const fn modified(&self) -> Timestamp {
        Timestamp::from_secs(self.modified_ns / 1_000_000_000)
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.modified_ns, self.len)
    }
}
