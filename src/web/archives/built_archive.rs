//! An archive that can be downloaded.

/// An archive whose manifest is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltArchive {
    /// The SHA-256 of the manifest in base64url.
    pub digest: String,
    /// The length of the archive in bytes.
    pub size: u64,
    /// The number of its files.
    pub files: u64,
}
