//! What an account is made of: its id, address, name and groups, each parsed once, at the edge.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError, Secret};
use crate::web::mail::address::deliverable;
use crate::web::passwords::StoredPassword;

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

/// An e-mail address as its owner writes it. Two spellings that differ in case are one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    shown: String,
    key: String,
}

/// The text is no e-mail address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address looks like name@example.org")]
pub struct InvalidEmail;

impl Email {
    /// An address read back from the database.
    pub(crate) fn from_store(shown: String) -> Email {
        Email { key: shown.to_lowercase(), shown }
    }

    /// As the owner wrote it, trimmed.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// What all spellings of the address share.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Email, InvalidEmail> {
        let shown = text.trim();
        let strange = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
        let (name, domain) = shown.rsplit_once('@').ok_or(InvalidEmail)?;
        // 254: what fits into an SMTP path (RFC 5321 section 4.5.3.1.3).
        if name.is_empty() || name.contains('@') || domain.is_empty() || shown.len() > 254 {
            return Err(InvalidEmail);
        }
        if shown.contains(strange) || domain.starts_with('.') || domain.ends_with('.') {
            return Err(InvalidEmail);
        }
        // What is taken here can have mail: the same rule puts it into the envelope.
        deliverable(shown).map_err(|_| InvalidEmail)?;
        Ok(Email { shown: shown.to_owned(), key: shown.to_lowercase() })
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What a person is called, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName(String);

/// The text can't be a person's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 100 characters on one line")]
pub struct InvalidName;

impl PersonName {
    /// A name read back from the database.
    pub(super) const fn from_store(name: String) -> PersonName {
        PersonName(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What to call somebody who gave no name: what stands before the `@`.
    pub fn from_email(email: &Email) -> PersonName {
        let name = email.as_str().split('@').next().unwrap_or_default();
        PersonName(name.chars().take(100).collect())
    }
}

impl FromStr for PersonName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<PersonName, InvalidName> {
        let name = text.trim();
        let length = name.chars().count();
        if length == 0 || length > 100 || name.contains(char::is_control) {
            return Err(InvalidName);
        }
        Ok(PersonName(name.to_owned()))
    }
}

/// The name of a group, as the `read` and `write` of a share have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName(String);

/// The text can't be a group's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group's name has 1 to 64 characters without spaces and without `@`, and is not `everyone`")]
pub struct InvalidGroup;

impl GroupName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = InvalidGroup;

    fn from_str(text: &str) -> Result<GroupName, InvalidGroup> {
        let strange = |c: char| c.is_whitespace() || c.is_control() || c == '@' || c == ',';
        // With an `@` a group could pass for somebody's account name.
        if text.is_empty() || text.chars().count() > 64 || text.contains(strange) || text == "everyone" {
            return Err(InvalidGroup);
        }
        Ok(GroupName(text.to_owned()))
    }
}

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
pub enum Stage {
    /// Somebody signed up; the mail was not answered yet.
    SignedUp,
    /// It was made for somebody who has chosen no password yet.
    Invited,
    /// Its owner can log in, unless it is disabled.
    Active,
}

impl Account {
    /// How far it has come.
    pub const fn stage(&self) -> Stage {
        match (self.activated_at, &self.password) {
            (_, None) => Stage::Invited,
            (None, Some(_)) => Stage::SignedUp,
            (Some(_), Some(_)) => Stage::Active,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_account_in_any_case() {
        let email: Email = "  Ada@Example.ORG ".parse().unwrap();
        assert_eq!((email.as_str(), email.key()), ("Ada@Example.ORG", "ada@example.org"));
        for wrong in [
            "",
            "ada",
            "@x",
            "ada@",
            "a@b@c",
            "ada @x.org",
            "ada@x.org\r\nBcc: b@x.org",
            "<ada@x.org>",
            "ada@.org",
            "a,b@x.org",
        ] {
            assert_eq!(wrong.parse::<Email>(), Err(InvalidEmail), "{wrong:?}");
        }
        assert_eq!(format!("{}@x.org", "a".repeat(250)).parse::<Email>(), Err(InvalidEmail));
    }

    #[test]
    fn a_group_can_t_pass_for_an_account_or_for_everyone() {
        assert!("staff".parse::<GroupName>().is_ok());
        for wrong in ["", "everyone", "ada@example.org", "two words", "a,b", "a\nb"] {
            assert_eq!(wrong.parse::<GroupName>(), Err(InvalidGroup), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_is_one_line() {
        assert_eq!(" Ada  Lovelace ".parse::<PersonName>().unwrap().as_str(), "Ada  Lovelace");
        for wrong in ["", "   ", "a\nb", "a\u{0}b"] {
            assert_eq!(wrong.parse::<PersonName>(), Err(InvalidName), "{wrong:?}");
        }
    }
}
