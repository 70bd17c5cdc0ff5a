//! The rule for email addresses, from the form to the envelope: an address that passes here can be used in a
//! mail (RFC 5321 section 4.1.2, with the characters of RFC 6531), and its domain has an ASCII form.

use std::net::IpAddr;

use lettre::Address;

use crate::human::is_invisible;

/// Maximum length of the local part, in bytes (RFC 5321 section 4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// Maximum length of an address: what fits into a path of 256 bytes with its brackets (RFC 5321 section
/// 4.5.3.1.3).
const ADDRESS_MAX: usize = 254;

/// The text is not an address to which a mail can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mail can't be sent to this address")]
pub struct Undeliverable;

/// Returns the address for the envelope and the header. Its domain is in ASCII (RFC 5891), so only a local
/// part with other characters needs a server that supports SMTPUTF8.
///
/// # Errors
/// If a mail can't have this address.
pub fn deliverable(text: &str) -> Result<Address, Undeliverable> {
    let (local, domain) = text.rsplit_once('@').ok_or(Undeliverable)?;
    // IDNA would drop invisible characters, and the address would not be the one that was typed.
    if text.contains(is_invisible) {
        return Err(Undeliverable);
    }
    if local.is_empty() || local.len() > LOCAL_MAX || text.len() > ADDRESS_MAX {
        return Err(Undeliverable);
    }
    if local.contains(|c: char| !is_atom(c) && c != '.') || local.split('.').any(str::is_empty) {
        return Err(Undeliverable);
    }
    let domain = ascii_domain(domain).ok_or(Undeliverable)?;
    if local.len() + 1 + domain.len() > ADDRESS_MAX {
        return Err(Undeliverable);
    }
    Address::new(local, domain).map_err(|_| Undeliverable)
}

/// Returns the domain in ASCII and lower case; `None` if it is not a valid domain.
pub fn ascii_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let is_number = ascii.parse::<IpAddr>().is_ok()
        || ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    (!ascii.is_empty() && !is_number && !ascii.ends_with('.')).then_some(ascii)
}

/// Returns whether a character is allowed in an unquoted local part (RFC 5322 `atext`, RFC 6531 section 3.3).
fn is_atom(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c),
        // Letters, marks and digits are; spaces, control characters and invisible characters aren't.
        false => c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_passes_can_be_used_in_a_mail() {
        for (text, expected) in [
            ("ada@example.org", "ada@example.org"),
            ("Ada.Love+lace@Example.ORG", "Ada.Love+lace@example.org"),
            ("info@bücher.example", "info@xn--bcher-kva.example"),
            ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
            ("müller@exämple.org", "müller@xn--exmple-cua.org"),
            ("noreply@localhost", "noreply@localhost"),
            ("o'brien@example.org", "o'brien@example.org"),
        ] {
            let address = deliverable(text).unwrap();
            assert_eq!(AsRef::<str>::as_ref(&address), expected);
        }
    }

    #[test]
    fn an_address_that_no_mail_can_have_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long_label = format!("a@{}.example", "b".repeat(64));
        for text in [
            "",
            "@",
            "a@",
            "@x.example",
            "a",
            "a..b@x.example",
            ".a@x.example",
            "a.@x.example",
            "a@-x.example",
            "a@x-.example",
            "a@x..org",
            "a@.x.org",
            "a@x.org.",
            "a b@x.example",
            "a\u{202e}b@x.example",
            "a@x.example\u{200b}",
            "a\u{200b}@x.example",
            "a@1.2.3.4",
            "a@[1.2.3.4]",
            "a@x.1",
            "\"a b\"@x.example",
            "a@x_y.example",
            "a,b@x.example",
            "a@b@x.example",
            &long_local,
            &long_label,
        ] {
            assert_eq!(deliverable(text).err(), Some(Undeliverable), "{text:?}");
        }
    }
}
