//! A manifest: the list of an archive's entries as text, whose SHA-256 identifies the archive.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::archive::entry::ArchiveEntry;
use crate::archive::error::ArchiveError;
use crate::secret::Digest;

/// Maximum number of entries of an archive.
pub const ENTRIES_MAX: usize = 100_000;

/// Maximum length of a manifest in bytes.
pub const MANIFEST_MAX: usize = 32 << 20;

/// The first line: the version of the layout. Another layout needs another line, so that no node serves a
/// manifest in a way that its digest doesn't mean.
pub(super) const FIRST_LINE: &str = "oncelink-zip-1\n";

/// Collects entries in the order in which they are to be archived.
pub struct ManifestBuilder {
    text: String,
    entries: usize,
}

impl Default for ManifestBuilder {
    fn default() -> ManifestBuilder {
        ManifestBuilder { text: FIRST_LINE.to_owned(), entries: 0 }
    }
}

impl ManifestBuilder {
    /// Adds an entry.
    ///
    /// # Errors
    /// [`ArchiveError::TooMany`] if the manifest would exceed its limits.
    pub fn add(&mut self, entry: &ArchiveEntry) -> Result<(), ArchiveError> {
        let line = entry.line();
        if self.entries >= ENTRIES_MAX || self.text.len() + line.len() > MANIFEST_MAX {
            return Err(ArchiveError::TooMany);
        }
        self.entries += 1;
        self.text += &line;
        Ok(())
    }

    /// Returns the manifest.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Returns the digest as in the `zip` claim: base64url without padding.
pub fn digest_text(digest: &Digest) -> String {
    URL_SAFE_NO_PAD.encode(digest.as_bytes())
}

/// Reads a digest as in the `zip` claim; each has only one spelling.
pub fn digest_from_text(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(32) => Some(Digest::from_bytes(bytes)),
        _ => None,
    }
}
