//! An account, and what it is made of: its id, address, name and groups, each parsed once, at the edge.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;

use crate::clock::Timestamp;
use crate::human::is_invisible;
use crate::secret::{Digest, RandomError, Secret};
use crate::web::identity::address::deliverable;
use crate::web::identity::passwords::StoredPassword;

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

/// An e-mail address as its owner writes it. Two spellings that differ in the case of ASCII letters are one
/// account; letters that only look like others make no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    shown: String,
    key: String,
}

/// The text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// It has another form.
    #[error("an e-mail address looks like name@example.org")]
    Form,
    /// There is a character in it that nobody sees.
    #[error("there is an invisible character in the address: type it instead of pasting it")]
    Invisible,
    /// There are letters in it that look like others.
    #[error("there are letters in the address that only look like others: type it instead of pasting it")]
    LookAlike,
}

impl Email {
    /// An address read back from the database.
    pub(crate) fn from_store(shown: String) -> Email {
        Email { key: shown.to_ascii_lowercase(), shown }
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
        // What comes along when an address is pasted.
        let shown = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
        let strange = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
        let (name, domain) = shown.rsplit_once('@').ok_or(InvalidEmail::Form)?;
        // 254: what fits into an SMTP path (RFC 5321 section 4.5.3.1.3).
        if name.is_empty() || name.contains('@') || domain.is_empty() || shown.len() > 254 {
            return Err(InvalidEmail::Form);
        }
        if shown.contains(is_invisible) {
            return Err(InvalidEmail::Invisible);
        }
        if shown.contains(strange) || domain.starts_with('.') || domain.ends_with('.') {
            return Err(InvalidEmail::Form);
        }
        // What is taken here can have mail: the same rule puts it into the envelope.
        deliverable(shown).map_err(|_| InvalidEmail::Form)?;
        if looks_like_another(shown) {
            return Err(InvalidEmail::LookAlike);
        }
        Ok(Email { shown: shown.to_owned(), key: shown.to_ascii_lowercase() })
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It is empty, too long or has several lines.
    #[error("a name has 1 to 100 characters on one line")]
    Form,
    /// There is a character in it that nobody sees, or that turns text around.
    #[error("there is an invisible character in the name: type it instead of pasting it")]
    Invisible,
    /// It has a web address in it, which mails would turn into a link.
    #[error("a name has no web address in it")]
    WebAddress,
}

impl PersonName {
    /// A name read back from the database.
    pub(crate) const fn from_store(name: String) -> PersonName {
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
            return Err(InvalidName::Form);
        }
        if has_invisible(name) {
            return Err(InvalidName::Invisible);
        }
        if name.contains("://") || name.to_ascii_lowercase().contains("www.") {
            return Err(InvalidName::WebAddress);
        }
        Ok(PersonName(name.to_owned()))
    }
}

/// The name of a group, as the `read` and `write` of a share have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName(String);

/// The text can't be a group's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a group's name has 1 to 64 letters that can be seen and told from others, without spaces and without \
     `@`, and is not `everyone`"
)]
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
        let strange =
            |c: char| c.is_whitespace() || c.is_control() || is_invisible(c) || c == '@' || c == ',';
        // With an `@` a group could pass for somebody's account name.
        if text.is_empty() || text.chars().count() > 64 || text.contains(strange) || text == "everyone" {
            return Err(InvalidGroup);
        }
        if looks_like_another(text) {
            return Err(InvalidGroup);
        }
        Ok(GroupName(text.to_owned()))
    }
}

/// Whether a text has letters that are made to be taken for others: compatibility forms such as the Kelvin
/// sign, and Latin letters among Greek or Cyrillic ones within one word.
fn looks_like_another(text: &str) -> bool {
    // Letter by letter: how a letter is composed of several is its typist's business.
    if text.chars().any(|letter| std::iter::once(letter).nfkc().ne(std::iter::once(letter))) {
        return true;
    }
    let is_foreign =
        |c: char| matches!(c, '\u{370}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{1f00}'..='\u{1fff}');
    let is_mixed = |word: &str| word.contains(is_foreign) && word.contains(|c: char| c.is_ascii_alphabetic());
    text.split(|c: char| !c.is_alphanumeric()).any(is_mixed)
}

/// Whether a name has characters that can't be seen, but for those by which some scripts join their letters
/// or emoji are put together.
fn has_invisible(name: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    letters.iter().enumerate().any(|(at, c)| {
        let is_script = |at: Option<usize>| {
            at.and_then(|at| letters.get(at)).is_some_and(|c| !c.is_ascii() && !c.is_whitespace())
        };
        let joins = match c {
            '\u{200c}' | '\u{200d}' => is_script(at.checked_sub(1)) && is_script(Some(at + 1)),
            '\u{fe0e}' | '\u{fe0f}' => is_script(at.checked_sub(1)),
            _ => false,
        };
        is_invisible(*c) && !joins
    })
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
            assert_eq!(wrong.parse::<Email>(), Err(InvalidEmail::Form), "{wrong:?}");
        }
        assert_eq!(format!("{}@x.org", "a".repeat(250)).parse::<Email>(), Err(InvalidEmail::Form));
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
            assert_eq!(wrong.parse::<PersonName>(), Err(InvalidName::Form), "{wrong:?}");
        }
        for wrong in ["a\u{202e}b", "a\u{200b}b", "\u{feff}a", "a\u{ad}b", "a\u{2066}b", "a\u{200d}b"] {
            assert_eq!(wrong.parse::<PersonName>(), Err(InvalidName::Invisible), "{wrong:?}");
        }
        for wrong in ["see https://evil.example", "WWW.evil.example", "x://y"] {
            assert_eq!(wrong.parse::<PersonName>(), Err(InvalidName::WebAddress), "{wrong:?}");
        }
        for good in
            ["Анна Smith", "می\u{200c}خواهم", "Ann ❤\u{fe0f}", "👩\u{200d}🚀", "Dr. W. Wright", "J’aime"]
        {
            assert!(good.parse::<PersonName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn letters_that_pass_for_others_make_no_address() {
        let parse = |text: &str| text.parse::<Email>().map(|email| email.as_str().to_owned());
        for pasted in ["\u{feff}bob@x.org\u{200b}", "\u{2060} bob@x.org \u{ad}", "\u{202a}bob@x.org\u{202c}"]
        {
            assert_eq!(parse(pasted).as_deref(), Ok("bob@x.org"), "{pasted:?}");
        }
        for hidden in
            ["b\u{200b}ob@x.org", "bob\u{202e}@x.org", "bob@x\u{ad}.org", "bob@x.org\u{feff}.evil.org"]
        {
            assert_eq!(parse(hidden), Err(InvalidEmail::Invisible), "{hidden:?}");
        }
        for alike in [
            "mi\u{212a}e@x.org",
            "bob＠x.org@x.org",
            "p\u{430}ypal@x.org",
            "bob@g\u{3bf}ogle.com",
            "ﬁn@x.org",
        ] {
            assert!(parse(alike).is_err(), "{alike:?}");
        }
        for good in ["почта@пример.рф", "jörg@müller.de", "info@例え.jp", "δοκιμή@παράδειγμα.gr"]
        {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
        assert_eq!("Ä@x.org".parse::<Email>().unwrap().key(), "Ä@x.org", "only ASCII letters have one case");
        for group in ["sta\u{200b}ff", "st\u{430}ff", "\u{212a}"] {
            assert!(group.parse::<GroupName>().is_err(), "{group:?}");
        }
    }
}
