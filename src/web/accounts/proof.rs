//! Proof that somebody is who he says. A session begins with one and with nothing else; a second step
//! of logging in will be another way to make one, or a condition for making it.

use crate::web::identity::Account;
use crate::web::identity::passwords::{Asker, HashError, Password, Passwords, StoredPassword};

/// Somebody showed that he owns an account. Only checking makes one.
#[derive(Clone, Debug)]
pub struct LoginProof {
    account: Account,
    password: StoredPassword,
}

impl LoginProof {
    /// By its password; `None` when that is wrong, or when there is no account or none that has one,
    /// which takes as long.
    ///
    /// # Errors
    /// When hashing gives no answer.
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

    /// Whose account it is.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// The password that was shown, as it is stored: a session does not begin when it has changed since.
    pub const fn password(&self) -> &StoredPassword {
        &self.password
    }
}
