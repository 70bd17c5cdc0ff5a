//! An account's id.

use std::fmt;

use crate::secret::{RandomError, Secret};

/// An account's opaque id: 128 random bits in base64url. The `sub` of its tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Box<str>);

impl AccountId {
    /// A fresh random id.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<AccountId, RandomError> {
        Ok(AccountId(Secret::random::<16>()?.reveal().into()))
    }

    /// An id read back from the database or from a verified token.
    pub fn from_store(text: &str) -> AccountId {
        AccountId(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
