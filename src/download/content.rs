//! What a token allows to download: a file, or an archive of files.

use crate::download::archives::OpenArchive;
use crate::files::{FileVersion, OpenFile};

/// An open file or archive.
#[derive(Clone)]
pub(crate) enum Content {
    /// One file.
    File(OpenFile),
    /// An archive.
    Archive(OpenArchive),
}

impl Content {
    /// Returns the length that is served, and the time of the last change.
    pub(crate) fn version(&self) -> FileVersion {
        match self {
            Content::File(file) => file.version(),
            Content::Archive(archive) => archive.version(),
        }
    }
}
