//! What a token allows to download: a file, or an archive of files.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::id::FilePath;
use crate::secret::Digest;
use crate::token::error::TokenError;
use crate::token::json::JsonString;

/// What a token allows to download.
#[derive(Clone, PartialEq, Eq)]
pub enum GrantContent {
    /// One file.
    File(FilePath),
    /// The archive whose manifest has this SHA-256.
    Archive(Digest),
}

/// As in a log line.
impl fmt::Debug for GrantContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrantContent::File(file) => write!(f, "{file:?}"),
            GrantContent::Archive(digest) => {
                write!(f, "archive {}", URL_SAFE_NO_PAD.encode(digest.as_bytes()))
            }
        }
    }
}

impl GrantContent {
    /// Returns the name to save it as, unless the token says otherwise.
    pub fn name(&self) -> &str {
        match self {
            GrantContent::File(file) => file.name(),
            GrantContent::Archive(_) => "download.zip",
        }
    }

    /// Returns the path of the file; `None` for an archive.
    pub const fn file(&self) -> Option<&FilePath> {
        match self {
            GrantContent::File(file) => Some(file),
            GrantContent::Archive(_) => None,
        }
    }
}

/// The claim that says what may be downloaded.
pub(super) enum ClaimedContent<'c> {
    File(JsonString<'c>),
    Archive(JsonString<'c>),
}

impl<'c> ClaimedContent<'c> {
    /// Takes the claim; there must be exactly one.
    pub(super) fn of(
        file: Option<JsonString<'c>>,
        zip: Option<JsonString<'c>>,
    ) -> Result<ClaimedContent<'c>, TokenError> {
        match (file, zip) {
            (Some(file), None) => Ok(ClaimedContent::File(file)),
            (None, Some(zip)) => Ok(ClaimedContent::Archive(zip)),
            (None, None) => Err(TokenError::ClaimMissing("file")),
            (Some(_), Some(_)) => Err(TokenError::ClaimValue("zip")),
        }
    }

    /// Parses its value.
    pub(super) fn parse(self) -> Result<GrantContent, TokenError> {
        match self {
            ClaimedContent::File(JsonString(file)) => {
                let file = file.parse().map_err(|_| TokenError::ClaimValue("file"))?;
                Ok(GrantContent::File(file))
            }
            ClaimedContent::Archive(JsonString(zip)) => {
                let mut bytes = [0; 32];
                // The engine refuses padding and spare bits, so each digest has only one encoding.
                match URL_SAFE_NO_PAD.decode_slice(&*zip, &mut bytes) {
                    Ok(32) => Ok(GrantContent::Archive(Digest::from_bytes(bytes))),
                    _ => Err(TokenError::ClaimValue("zip")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<JsonString<'_>> {
        Some(JsonString(text.into()))
    }

    #[test]
    fn a_token_is_for_one_file_or_one_archive_whose_digest_has_one_spelling() {
        let content = |file, zip| ClaimedContent::of(file, zip).and_then(ClaimedContent::parse);
        let digest = URL_SAFE_NO_PAD.encode([7; 32]);
        let archive = Ok(GrantContent::Archive(Digest::from_bytes([7; 32])));
        assert_eq!(content(None, text(&digest)), archive);
        let file = "/books/a.pdf".parse().unwrap();
        assert_eq!(content(text("/books/a.pdf"), None), Ok(GrantContent::File(file)));
        assert_eq!(content(None, None), Err(TokenError::ClaimMissing("file")));
        let both = content(text("/books/a.pdf"), text(&digest));
        assert_eq!(both, Err(TokenError::ClaimValue("zip")));
        let spare_bits = format!("{}-", &digest[..42]);
        for wrong in ["", "x", &format!("{digest}="), &digest[..42], &spare_bits, &"+".repeat(43)] {
            assert_eq!(content(None, text(wrong)), Err(TokenError::ClaimValue("zip")), "{wrong}");
        }
    }
}
