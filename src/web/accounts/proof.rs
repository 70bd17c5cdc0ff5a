//! The proof that someone owns an account. A session can't begin without one. A second factor will be another
//! way to create one, or a condition for it.

use crate::web::identity::Account;
use crate::web::identity::passwords::{Asker, HashError, Password, Passwords, StoredPassword};

/// A proof that someone owns an account. Only verification creates one.
#[derive(Clone, Debug)]
pub struct LoginProof {
    account: Account,
    password: StoredPassword,
}

impl LoginProof {
    /// Verifies a password. Returns `None` if it is wrong, or if there is no account or it has no password;
    /// that takes the same time.
    ///
    /// # Errors
    /// If hashing fails.
    pub async fn by_password(
        account: Option<Account>,
        presented: Password,
        passwords: &Passwords,
        asker: Asker,
    ) -> Result<Option<LoginProof>, HashError> {
        let stored = account.as_ref().and_then(|account| account.password.clone());
        let verified = passwords.verify(asker, presented, stored.as_ref()).await?;
        Ok(match (account, stored) {
            (Some(account), Some(password)) if verified => Some(LoginProof { account, password }),
            _ => None,
        })
    }

    /// Returns the account.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Returns the verified password as it was stored: a session doesn't begin if it has changed since.
    pub const fn password(&self) -> &StoredPassword {
        &self.password
    }
}
