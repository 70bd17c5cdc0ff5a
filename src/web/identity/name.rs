//! The names of people and groups, each parsed once.

use std::str::FromStr;

use crate::human::is_invisible;
use crate::web::identity::email::Email;
use crate::web::identity::letters::looks_like_another;

/// The name of a person, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName(String);

/// The text is not a valid name of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It is empty or too long, or contains line breaks or other control characters.
    #[error("a name must be on one line and have 1 to 100 characters")]
    Form,
    /// It contains a character that is invisible or changes the direction of text.
    #[error("the name contains an invisible character; type it instead of pasting it")]
    Invisible,
    /// It contains a web address, which mail programs would turn into a link.
    #[error("a name can't contain a web address")]
    WebAddress,
}

impl PersonName {
    /// Converts a name read from the database.
    pub(crate) const fn from_store(name: String) -> PersonName {
        PersonName(name)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a name for someone who gave none: the part of the address before the `@`.
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

/// The name of a group, as used in the `read` and `write` lists of a share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName(String);

/// The text is not a valid name of a group.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a group's name can have up to 64 visible characters, without spaces, commas, `@` or look-alike letters, \
     and can't be `everyone`"
)]
pub struct InvalidGroup;

impl GroupName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = InvalidGroup;

    fn from_str(text: &str) -> Result<GroupName, InvalidGroup> {
        let strange =
            |c: char| c.is_whitespace() || c.is_control() || is_invisible(c) || c == '@' || c == ',';
        // With an `@`, a group could be mistaken for the email address of an account.
        if text.is_empty() || text.chars().count() > 64 || text.contains(strange) || text == "everyone" {
            return Err(InvalidGroup);
        }
        if looks_like_another(text) {
            return Err(InvalidGroup);
        }
        Ok(GroupName(text.to_owned()))
    }
}

/// Returns whether a name contains invisible characters, except for those with which some scripts join their
/// letters or emoji are composed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_can_t_pass_for_an_account_or_for_everyone() {
        assert!("staff".parse::<GroupName>().is_ok());
        for wrong in ["", "everyone", "ada@example.org", "two words", "a,b", "a\nb"] {
            assert_eq!(wrong.parse::<GroupName>(), Err(InvalidGroup), "{wrong:?}");
        }
        for group in ["sta\u{200b}ff", "st\u{430}ff", "\u{212a}"] {
            assert!(group.parse::<GroupName>().is_err(), "{group:?}");
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
}
