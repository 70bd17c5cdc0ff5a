//! HS256: a secret that the operator shares with a program that is trusted to sign tokens.
//!
//! This separate type is the only one that reaches an HMAC function, so a public key never can.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jsonwebtoken::DecodingKey;
use zeroize::Zeroizing;

use crate::token::error::TokenError;
use crate::token::kind::{Algorithm, is_key_id};

/// Minimum length of a secret in bytes: that of SHA-256 (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

/// A shared secret and its key id. Wiped when dropped.
#[derive(Clone)]
pub struct HmacSecret {
    kid: String,
    verifying: DecodingKey,
}

/// A shared secret can't be loaded from its file.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file can't be read.
    #[error("cannot read the shared secret {} (`token.shared_secret`)", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Its content is refused.
    #[error("the shared secret in {} (`token.shared_secret`) is refused", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: InvalidSecret,
    },
}

/// The secret or its key id is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The key id is invalid.
    #[error("a key id is 1 to 128 visible ASCII characters without quotes and backslashes")]
    KeyId,
    /// It is too short.
    #[error("a shared secret must have at least {MIN_SECRET} bytes")]
    Short,
}

impl HmacSecret {
    /// Creates a secret of at least 32 bytes.
    ///
    /// # Errors
    /// If it is shorter, or `kid` is not a valid key id.
    pub fn new(kid: &str, bytes: &[u8]) -> Result<HmacSecret, InvalidSecret> {
        if !is_key_id(kid) {
            return Err(InvalidSecret::KeyId);
        }
        if bytes.len() < MIN_SECRET {
            return Err(InvalidSecret::Short);
        }
        Ok(HmacSecret { kid: kid.to_owned(), verifying: DecodingKey::from_secret(bytes) })
    }

    /// Reads the secret from a file, without a final line break.
    ///
    /// # Errors
    /// If the file can't be read or its secret is refused.
    pub fn read(kid: &str, path: &Path) -> Result<HmacSecret, SecretFileError> {
        let unreadable = |source| SecretFileError::Unreadable { path: path.to_owned(), source };
        let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
        let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        let refused = |source| SecretFileError::Invalid { path: path.to_owned(), source };
        HmacSecret::new(kid, secret).map_err(refused)
    }

    /// Returns the key id in its tokens.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the secret itself, for the one place that signs with it.
    pub(crate) fn reveal(&self) -> &[u8] {
        self.verifying.try_get_as_bytes().unwrap_or_default()
    }

    pub(super) fn check(&self, message: &[u8], signature: &[u8], encoded: &str) -> Result<(), TokenError> {
        if signature.len() != 32 {
            return Err(TokenError::SignatureLength);
        }
        let algorithm = jsonwebtoken::Algorithm::HS256;
        match jsonwebtoken::crypto::verify(encoded, message, &self.verifying, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TokenError::BadSignature),
        }
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        Algorithm::Hs256
    }
}

impl fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedSecret({}, ..)", self.kid)
    }
}
