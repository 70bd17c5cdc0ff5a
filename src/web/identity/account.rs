//! The account: its data, its stages, and what a new one needs.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::identity::account_id::AccountId;
use crate::web::identity::email::Email;
use crate::web::identity::name::{GroupName, PersonName};
use crate::web::identity::passwords::stored::StoredPassword;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its email address, which people use to log in.
    pub email: Email,
    /// The name of the person.
    pub name: PersonName,
    /// Whether it is an administrator.
    pub admin: bool,
    /// Whether it is disabled and can't be used to log in.
    pub disabled: bool,
    /// The groups it is in.
    pub groups: BTreeSet<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When someone last logged in.
    pub last_login_at: Option<Timestamp>,
    /// Its password; `None` until the person has chosen one.
    pub password: Option<StoredPassword>,
    /// When its owner showed that they receive mail at the address; `None` before that, when nobody can log
    /// in.
    pub activated_at: Option<Timestamp>,
    /// When it is deleted unless it is activated; `None` for never.
    pub forget_at: Option<Timestamp>,
    /// Digest of the CSRF secret of the browser that signed up.
    pub signup_browser: Option<String>,
}

/// The stage of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStage {
    /// Someone signed up, but hasn't activated it with the mailed link.
    SignedUp,
    /// It was created for someone who hasn't chosen a password yet.
    Invited,
    /// Its owner can log in, unless it is disabled.
    Active,
}

impl Account {
    /// Returns its stage.
    pub const fn stage(&self) -> AccountStage {
        match (self.activated_at, &self.password) {
            (_, None) => AccountStage::Invited,
            (None, Some(_)) => AccountStage::SignedUp,
            (Some(_), Some(_)) => AccountStage::Active,
        }
    }

    /// Returns the state to which an action link is bound, in addition to its purpose: everything that
    /// decides who may use the account. A link becomes invalid if the password or the address changes in
    /// another way.
    pub fn state(&self) -> Digest {
        let password = self.password.as_ref().map_or("", StoredPassword::as_str);
        let active = self.activated_at.is_some();
        let state = [self.id.as_str(), self.email.key(), password].join("\n");
        Digest::of(format!("{state}\n{active}\n{}", self.disabled).as_bytes())
    }
}

/// The data of a new account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its email address.
    pub email: Email,
    /// The name of the person.
    pub name: PersonName,
    /// Whether it is an administrator.
    pub admin: bool,
    /// The groups it is in.
    pub groups: BTreeSet<GroupName>,
    /// Its password; `None` if the person will choose one later.
    pub password: Option<StoredPassword>,
}
