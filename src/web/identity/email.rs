//! An email address, parsed once.

use std::fmt;
use std::str::FromStr;

use crate::human::is_invisible;
use crate::web::identity::address::deliverable;
use crate::web::identity::letters::looks_like_another;

/// An email address as its owner writes it. Addresses that differ only in the case of ASCII letters belong to
/// the same account; addresses with look-alike letters are not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    shown: String,
    key: String,
}

/// The text is not a valid email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// It doesn't have the form of an address.
    #[error("enter an email address like name@example.org")]
    Form,
    /// It contains an invisible character.
    #[error("the address contains an invisible character; type it instead of pasting it")]
    Invisible,
    /// It contains letters that look like others.
    #[error("the address contains look-alike letters; type it instead of pasting it")]
    LookAlike,
}

impl Email {
    /// Converts an address read from the database.
    pub(crate) fn from_store(shown: String) -> Email {
        Email { key: shown.to_ascii_lowercase(), shown }
    }

    /// Returns the address as the owner wrote it, trimmed.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Returns the form that all spellings of the address share.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Email, InvalidEmail> {
        // These are often copied along with an address.
        let shown = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
        let strange = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
        let (name, domain) = shown.rsplit_once('@').ok_or(InvalidEmail::Form)?;
        // 254 bytes fit into an SMTP path (RFC 5321 section 4.5.3.1.3).
        if name.is_empty() || name.contains('@') || domain.is_empty() || shown.len() > 254 {
            return Err(InvalidEmail::Form);
        }
        if shown.contains(is_invisible) {
            return Err(InvalidEmail::Invisible);
        }
        if shown.contains(strange) || domain.starts_with('.') || domain.ends_with('.') {
            return Err(InvalidEmail::Form);
        }
        // The same rule is used for the envelope, so an address that is accepted here can receive mail.
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
    fn an_address_with_lookalike_letters_is_refused() {
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
    }
}
