//! The proof that someone owns an account. A session can't begin without one. It has two parts: the password, and
//! the second factor of an account that has one.

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::web::identity::Account;
use crate::web::identity::passwords::{Asker, HashError, Password, Passwords, StoredPassword};
use crate::web::second_factor::FactorProof;
use crate::web::second_factor::waiting::WaitingLogin;
use crate::web::tokens::link_key::LinkKey;

/// A proof that someone has an account's password. Only verification creates one.
#[derive(Clone, Debug)]
pub struct PasswordProof {
    account: Account,
    password: StoredPassword,
}

impl PasswordProof {
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
    ) -> Result<Option<PasswordProof>, HashError> {
        let stored = account.as_ref().and_then(|account| account.password.clone());
        let verified = passwords.verify(asker, presented, stored.as_ref()).await?;
        Ok(match (account, stored) {
            (Some(account), Some(password)) if verified => Some(PasswordProof { account, password }),
            _ => None,
        })
    }

    /// Returns the proof of a login that waited for its code; `None` if the seal isn't ours, or the account's
    /// password has changed since.
    pub fn by_seal(
        account: Account,
        login: &WaitingLogin,
        seal: &Secret,
        key: &LinkKey,
        now: Timestamp,
    ) -> Option<PasswordProof> {
        let password = account.password.clone()?;
        let is_ours = account.id == login.account && login.is_sealed_by(seal, &password, key, now);
        is_ours.then_some(PasswordProof { account, password })
    }

    /// Returns the account.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Returns the verified password as it was stored.
    pub const fn password(&self) -> &StoredPassword {
        &self.password
    }
}

/// A proof that someone owns an account.
#[derive(Clone, Debug)]
pub struct LoginProof(PasswordProof);

impl LoginProof {
    /// Combines both parts; `None` if they belong to different accounts.
    pub fn new(password: PasswordProof, factor: &FactorProof) -> Option<LoginProof> {
        factor.is_for(&password.account.id).then_some(LoginProof(password))
    }

    /// Returns the account.
    pub const fn account(&self) -> &Account {
        &self.0.account
    }

    /// Returns the verified password as it was stored: a session doesn't begin if it has changed since.
    pub const fn password(&self) -> &StoredPassword {
        &self.0.password
    }
}
