//! How passwords are stored, and why hashing fails.

use argon2::password_hash;

use crate::secret::RandomError;

/// A password's Argon2id hash as a PHC string. `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPassword(String);

impl StoredPassword {
    /// Converts a hash read from the database.
    pub const fn from_store(phc: String) -> StoredPassword {
        StoredPassword(phc)
    }

    /// Returns the PHC string, for the database only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredPassword(..)")
    }
}

/// Hashing failed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many requests are already waiting, or this one waited too long.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// The operating system provided no random bytes for the salt.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The hash in the database can't be read, or hashing itself failed.
    #[error("hashing a password failed: {0}")]
    Failed(password_hash::Error),
    /// The thread was stopped because the process is shutting down.
    #[error("hashing a password was interrupted")]
    Interrupted,
}
