//! The id of an upload.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{RandomError, random_bytes};

/// An upload's id: 128 random bits in base64url, 22 characters. Also the name of its file.
///
/// Invariant: nothing but letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UploadId(Box<str>);

/// The text is not a valid upload id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upload's id must be 22 characters of base64url")]
pub struct InvalidUploadId;

impl UploadId {
    /// Creates a random id.
    ///
    /// # Errors
    /// If the operating system provides no random bytes.
    pub fn random() -> Result<UploadId, RandomError> {
        Ok(UploadId(URL_SAFE_NO_PAD.encode(random_bytes::<16>()?).into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<UploadId, InvalidUploadId> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(UploadId(text.into())),
            _ => Err(InvalidUploadId),
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
