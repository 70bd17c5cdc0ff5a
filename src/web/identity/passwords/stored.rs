//! What is stored of a password, and why there may be no hash of one.

use argon2::password_hash;

use crate::secret::RandomError;

/// A password's Argon2id hash as a PHC string. Prints nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPassword(String);

impl StoredPassword {
    /// A hash read back from the database.
    pub const fn from_store(phc: String) -> StoredPassword {
        StoredPassword(phc)
    }

    /// The PHC string, for the database alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredPassword(..)")
    }
}

/// Hashing gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many are waiting already.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// No random bytes for the salt.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The hash in the database can't be read, or memory ran out.
    #[error("hashing a password failed: {0}")]
    Failed(password_hash::Error),
    /// The thread was stopped; the process is going down.
    #[error("hashing a password was interrupted")]
    Interrupted,
}
