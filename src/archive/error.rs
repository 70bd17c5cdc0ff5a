//! Why a manifest is refused.

use std::io;

/// A manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It doesn't begin as a manifest of a known version does.
    #[error("this is not the manifest of an archive, or one of a later release")]
    Unknown,
    /// A line is not a valid entry.
    #[error("line {0} of the manifest is not a valid entry")]
    Entry(usize),
    /// It has more entries, or is longer, than is allowed.
    #[error("the archive would have too many files")]
    TooMany,
    /// The archive would be longer than a number in JSON can say exactly.
    #[error("the archive would be too long")]
    TooLong,
    /// The manifest could not be read again.
    #[error("cannot read the manifest")]
    Unreadable(#[source] io::Error),
}
