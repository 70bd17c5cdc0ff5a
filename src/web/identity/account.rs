//! An account.

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
    /// Its address, by which people log in.
    pub email: Email,
    /// What to call the person.
    pub name: PersonName,
    /// Whether it may administer.
    pub admin: bool,
    /// Whether it may not log in.
    pub disabled: bool,
    /// The groups it is in.
    pub groups: BTreeSet<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last logged in.
    pub last_login_at: Option<Timestamp>,
    /// Its password; `None` until the person has chosen one.
    pub password: Option<StoredPassword>,
    /// When its owner showed that mail to the address reaches him; `None` before that, and then
    /// nobody can log in.
    pub activated_at: Option<Timestamp>,
    /// When it is forgotten unless it is activated before; `None` for never.
    pub forget_at: Option<Timestamp>,
    /// Digest of the secret behind the forms of the browser that signed up.
    pub signup_browser: Option<String>,
}

/// How far an account has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStage {
    /// Somebody signed up; the mail was not answered yet.
    SignedUp,
    /// It was made for somebody who has chosen no password yet.
    Invited,
    /// Its owner can log in, unless it is disabled.
    Active,
}

impl Account {
    /// How far it has come.
    pub const fn stage(&self) -> AccountStage {
        match (self.activated_at, &self.password) {
            (_, None) => AccountStage::Invited,
            (None, Some(_)) => AccountStage::SignedUp,
            (Some(_), Some(_)) => AccountStage::Active,
        }
    }

    /// What an action link is bound to beside its purpose: all that decides who may use the account.
    /// A link dies when the password or the address changes in another way.
    pub fn state(&self) -> Digest {
        let password = self.password.as_ref().map_or("", StoredPassword::as_str);
        let active = self.activated_at.is_some();
        let state = [self.id.as_str(), self.email.key(), password].join("\n");
        Digest::of(format!("{state}\n{active}\n{}", self.disabled).as_bytes())
    }
}

/// What a new account needs.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its address.
    pub email: Email,
    /// What to call the person.
    pub name: PersonName,
    /// Whether it may administer.
    pub admin: bool,
    /// The groups it is in.
    pub groups: BTreeSet<GroupName>,
    /// Its password, unless the person chooses one later.
    pub password: Option<StoredPassword>,
}
