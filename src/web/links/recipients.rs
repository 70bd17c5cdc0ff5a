//! Parses a list of recipients as people paste it: one per line, or as mail programs write it, with names,
//! quotes, comments, groups and any of the usual separators. An entry that can't be parsed is always
//! reported; no recipient is ever dropped silently.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use crate::human;
use crate::web::identity::{Email, InvalidEmail};

/// Maximum number of recipients of one link.
pub const RECIPIENTS_MAX: usize = 1_000;

/// Maximum number of invalid entries that are reported one by one; further ones are only counted.
const NAMED: usize = 20;

/// Maximum number of characters of an invalid entry that are shown.
const SHOWN: usize = 80;

/// An entry of the list, and the number of the line on which it begins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    line: usize,
    /// The text as it was typed.
    text: String,
    /// The text outside quotes, comments and angle brackets.
    plain: String,
    /// The text in quotes.
    quoted: String,
    /// The text in angle brackets.
    angle: Option<String>,
    /// Whether a quote, comment or bracket was opened and not closed.
    is_open: bool,
}

/// Returns the addresses in a list in order, without duplicates.
///
/// # Errors
/// A sentence for each entry that can't be parsed.
pub fn parse(list: &str) -> Result<Vec<Email>, Vec<String>> {
    let (mut emails, mut bad, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for entry in entries(list) {
        match addresses(&entry) {
            Ok(found) => emails.extend(found.into_iter().filter(|email| seen.insert(email.key().to_owned()))),
            Err(wrong) => {
                let seen = |c: char| if c.is_control() || human::is_invisible(c) { '\u{fffd}' } else { c };
                let shown: String = entry.text.trim().chars().map(seen).take(SHOWN).collect();
                bad.push(match wrong {
                    InvalidEmail::Form => {
                        format!("Line {}: “{shown}” is not a valid email address.", entry.line)
                    }
                    wrong => format!("Line {}: “{shown}”: {wrong}.", entry.line),
                });
            }
        }
    }
    if bad.is_empty() && emails.len() > RECIPIENTS_MAX {
        return Err(vec![format!("You entered {} recipients. A link can have at most 1,000.", emails.len())]);
    }
    if bad.is_empty() {
        return Ok(emails);
    }
    let more = bad.len().saturating_sub(NAMED);
    bad.truncate(NAMED);
    match more {
        0 => {}
        1 => bad.push("1 more entry isn’t valid.".to_owned()),
        count => bad.push(format!("{count} more entries aren’t valid.")),
    }
    Err(bad)
}

/// The part of an entry that a character is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Plain,
    Quotes,
    /// A comment, with its depth, because comments can be nested.
    Comment(u32),
    Angle,
}

/// Splits the list at its separators. A line break ends anything that is open, so that a forgotten closing
/// quote does not swallow the following recipients.
fn entries(list: &str) -> Vec<Entry> {
    let mut all = Vec::new();
    let (mut line, mut within, mut escaped) = (1, Within::Plain, false);
    let mut entry = Entry { line, ..Entry::default() };
    let mut end = |entry: &mut Entry, line: usize| {
        let done = std::mem::replace(entry, Entry { line, ..Entry::default() });
        if !done.text.trim().is_empty() {
            all.push(done);
        }
    };
    for letter in list.chars() {
        if letter == '\n' {
            entry.is_open |= within != Within::Plain;
            (within, escaped, line) = (Within::Plain, false, line + 1);
            end(&mut entry, line);
            continue;
        }
        if within == Within::Plain && matches!(letter, ',' | ';' | '，' | '；' | '、') {
            end(&mut entry, line);
            continue;
        }
        entry.text.push(letter);
        let is_escaped = std::mem::take(&mut escaped);
        match (within, letter) {
            (Within::Quotes | Within::Comment(_), '\\') if !is_escaped => escaped = true,
            (Within::Quotes, '"') if !is_escaped => within = Within::Plain,
            (Within::Quotes, letter) => entry.quoted.push(letter),
            (Within::Comment(depth), '(') if !is_escaped => within = Within::Comment(depth + 1),
            (Within::Comment(depth), ')') if !is_escaped => {
                within = if depth > 1 { Within::Comment(depth - 1) } else { Within::Plain };
            }
            (Within::Comment(_), _) => {}
            (Within::Angle, '>') => {
                within = Within::Plain;
                // The next entry may follow without a separator.
                end(&mut entry, line);
            }
            (Within::Angle, letter) => entry.angle.get_or_insert_default().push(letter),
            (Within::Plain, '"') => within = Within::Quotes,
            (Within::Plain, '(') => within = Within::Comment(1),
            (Within::Plain, '<') => {
                within = Within::Angle;
                entry.angle = Some(String::new());
            }
            (Within::Plain, letter) => entry.plain.push(letter),
        }
    }
    entry.is_open |= within != Within::Plain;
    end(&mut entry, line);
    all
}

/// Returns the addresses of one entry: one, or several that are separated only by spaces, or none if the
/// entry is only a comment.
fn addresses(entry: &Entry) -> Result<Vec<Email>, InvalidEmail> {
    if entry.is_open {
        return Err(InvalidEmail::Form);
    }
    let plain = without_group(entry.plain.trim());
    if let Some(angle) = &entry.angle {
        let email: Email = without_scheme(angle).parse()?;
        // The text before it is a name. If that contains an address too, it must be the same one.
        let is_other = |word: &str| match bare(word) {
            word if word.contains('@') => word.parse::<Email>().map_or(true, |other| other != email),
            _ => false,
        };
        if plain.split_whitespace().chain(entry.quoted.split_whitespace()).any(is_other) {
            return Err(InvalidEmail::Form);
        }
        return Ok(vec![email]);
    }
    if plain.is_empty() && !entry.quoted.is_empty() {
        return Ok(vec![without_scheme(&entry.quoted).parse()?]);
    }
    if plain.is_empty() && entry.plain.trim().is_empty() {
        return Ok(Vec::new());
    }
    if !entry.quoted.is_empty() {
        return Err(InvalidEmail::Form);
    }
    // A table row: a name, and the address in another column.
    let columns = plain.split('\t').map(str::trim).filter(|column| !column.is_empty());
    let columns: Vec<&str> = columns.collect();
    let with_address: Vec<&str> = columns.iter().copied().filter(|column| column.contains('@')).collect();
    let texts = if columns.len() > 1 && !with_address.is_empty() { with_address } else { vec![plain] };
    let mut emails = Vec::new();
    for text in texts {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.len() > 1 && words.iter().all(|word| word.contains('@')) {
            true => {
                for word in words {
                    emails.push(without_scheme(word).parse()?);
                }
            }
            false => emails.push(without_scheme(text).parse()?),
        }
    }
    Ok(emails)
}

/// Returns what follows the name of a group (`Team: a@example.org`) or of a header (`To: a@example.org`).
fn without_group(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, _)) if scheme.trim().eq_ignore_ascii_case("mailto") => text,
        Some((name, rest)) if !name.contains('@') => rest.trim(),
        _ => text,
    }
}

/// Strips `mailto:` and the query from an address, and percent-decodes it.
fn without_scheme(text: &str) -> String {
    let text = bare(text);
    let scheme = text.get(..7).filter(|start| start.eq_ignore_ascii_case("mailto:"));
    let Some(rest) = scheme.and_then(|_| text.get(7..)) else { return text.to_owned() };
    let address = rest.split('?').next().unwrap_or_default();
    percent_decode_str(address).decode_utf8_lossy().into_owned()
}

/// Strips the quotes that some programs put around an address, and white space and invisible characters
/// around and within the quotes.
fn bare(text: &str) -> &str {
    let is_quote = |c| matches!(c, '\'' | '“' | '”' | '„' | '‘' | '’' | '«' | '»');
    text.trim_matches(|c: char| c.is_whitespace() || human::is_invisible(c) || is_quote(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(list: &str) -> Vec<String> {
        parse(list).unwrap().iter().map(|email| email.as_str().to_owned()).collect()
    }

    #[test]
    fn invalid_entries_of_a_long_list_are_reported_by_line() {
        let mut rows: Vec<String> = (1..=1_000).map(|n| format!("person{n}@example.org")).collect();
        assert_eq!(read(&rows.join("\r\n")).len(), 1_000);
        rows[6] = "nobody".to_owned();
        rows[999] = "a b@example.org".to_owned();
        let bad = parse(&rows.join("\n")).unwrap_err();
        assert_eq!(bad.len(), 2, "{bad:?}");
        assert!(bad[0].starts_with("Line 7: “nobody”"), "{bad:?}");
        assert!(bad[1].starts_with("Line 1000: "), "{bad:?}");
        let many: Vec<String> = (0..1_001).map(|n| format!("person{n}@example.org")).collect();
        assert!(parse(&many.join(";")).unwrap_err()[0].contains("1001 recipients"));
        assert_eq!(parse(&"x\n".repeat(500)).unwrap_err().len(), NAMED + 1);
    }

    #[test]
    fn lists_as_mail_programs_write_them_are_parsed_completely() {
        for list in [
            "a@x.org, b@x.org; c@x.org",
            "Ann <a@x.org>, \"Lee, Bob\" <b@x.org>; c@x.org",
            "Ann <a@x.org> Bob <b@x.org> <c@x.org>",
            "a@x.org\nb@x.org\r\nc@x.org\n\n",
            "a@x.org\tb@x.org\tc@x.org",
            "a@x.org b@x.org c@x.org",
            "Ann\ta@x.org\nBob Lee\tb@x.org\nKim\tc@x.org",
            "; a@x.org,, b@x.org ;\n c@x.org,;",
            "mailto:a@x.org,MAILTO:b@x.org?subject=Hi,<mailto:c@x.org>",
            "a@x.org (Ann, at work); b@x.org (nested (comment)), c@x.org",
            "Team: a@x.org, b@x.org; c@x.org;",
            "To: a@x.org\nCc: b@x.org, c@x.org",
            "'a@x.org'; \"b@x.org\"; “c@x.org”",
            "' a@x.org '; ' 'b@x.org; \u{feff}« mailto:c@x.org »",
            "'a@x.org' <a@x.org>, \"b@x.org\" <b@x.org>, c@x.org <c@x.org>",
            "\"A \\\"the, first\\\" Ann\" <a@x.org>, b@x.org, c@x.org",
            "a@x.org，b@x.org；c@x.org",
            "a@x.org, A@x.org, Ann <a@X.ORG>, b@x.org, c@x.org, b@x.org",
            "\u{feff}a@x.org\u{200b}, b@x.org\u{a0}, \u{2060}c@x.org",
            "=?utf-8?Q?J=C3=B6rg?= <a@x.org>, b@x.org, c@x.org",
        ] {
            assert_eq!(read(list), ["a@x.org", "b@x.org", "c@x.org"], "{list:?}");
        }
        assert!(read(" \n,;\t").is_empty() && read("(nobody)").is_empty());
    }

    #[test]
    fn an_entry_that_can_t_be_parsed_is_reported() {
        for (list, named) in [
            ("Lee, Bob <b@x.org>", "“Lee”"),
            ("a@x.org, Ann", "“Ann”"),
            ("Ann <a@x.org, Bob <b@x.org>", "“Ann <a@x.org, Bob <b@x.org>”"),
            ("\"Ann <a@x.org>, Bob <b@x.org>\nc@x.org", "Line 1: “\"Ann <a@x.org>, Bob <b@x.org>”"),
            ("a@x.org <b@x.org>", "“a@x.org <b@x.org>”"),
            ("\"a@x.org\" b@x.org", "“\"a@x.org\" b@x.org”"),
            ("<a@x.org> Bob", "“Bob”"),
            ("<>", "“<>”"),
            ("undisclosed-recipients:;", "“undisclosed-recipients:”"),
            ("a@x.org\nbo\u{200b}b@x.org", "Line 2: “bo�b@x.org”: "),
            ("a@x.org (open, b@x.org", "“a@x.org (open, b@x.org”"),
            ("Ann a@x.org", "“Ann a@x.org”"),
        ] {
            let bad = parse(list).unwrap_err();
            assert!(bad.len() == 1 && bad[0].contains(named), "{list:?}: {bad:?}");
        }
    }

    proptest! {
        /// Every recipient is found, in whatever form they are written and separated.
        #[test]
        fn no_recipient_is_dropped(
            people in prop::collection::vec((0_u8..6, 0_u8..5), 1..30),
        ) {
            let mut list = String::new();
            for (n, (form, separator)) in people.iter().enumerate() {
                let address = format!("p{n}@x.org");
                list.push_str(&match form {
                    0 => address,
                    1 => format!("<{address}>"),
                    2 => format!("P N <{address}>"),
                    3 => format!("\"N, P; (x)\" <{address}>"),
                    4 => format!("{address} (P, N)"),
                    _ => format!("mailto:{address}"),
                });
                list.push_str([", ", ";", "\n", "\r\n", " ,\t\n"][usize::from(*separator)]);
            }
            let read = parse(&list);
            prop_assert!(read.as_ref().is_ok_and(|read| read.len() == people.len()), "{:?} {:?}", list, read);
        }
    }
}
