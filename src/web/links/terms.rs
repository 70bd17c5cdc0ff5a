//! The terms of a link as somebody typed them, and what is wrong with them: each is said in a sentence
//! beside its field, and nothing is done until all are right.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::human;
use crate::web::identity::Email;
use crate::web::identity::passwords::{Password, WeakPassword};
use crate::web::links::link::Notify;
use crate::web::links::{moment, recipients};

/// Most characters of a title …
pub const MAX_TITLE: usize = 200;
/// … and of a note.
pub const MAX_NOTE: usize = 2_000;
/// Most uses that can be counted out; more is unlimited.
pub const MAX_USES: u32 = 1_000_000;
/// Fewest characters of a link's password: it is throttled, and the address has to be known as well.
pub const PASSWORD_MIN: usize = 8;

/// What somebody typed. Sent back to him as it is, but for the password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkForm {
    /// The title; may be empty.
    pub title: String,
    /// The note; may be empty.
    pub note: String,
    /// How many uses each recipient has; empty for any number.
    pub uses: String,
    /// Date and time of the end; empty for never.
    pub ends: String,
    /// The zone of that, in minutes ahead of UTC; empty for UTC.
    pub ends_zone: String,
    /// The password; empty for none.
    pub password: String,
    /// Whether a code is mailed.
    pub mailed_code: bool,
    /// When the owner gets a mail.
    pub notify: String,
    /// Addresses, as [`recipients::parse`] reads them; empty for anyone who has the link.
    pub recipients: String,
}

/// Terms that hold.
#[derive(Clone, Debug)]
pub struct LinkTerms {
    /// The title; may be empty.
    pub title: String,
    /// The note; may be empty.
    pub note: String,
    /// How many uses each recipient has.
    pub uses: Option<u32>,
    /// The end.
    pub ends_at: Option<Timestamp>,
    /// The password.
    pub password: Option<Password>,
    /// Whether a code is mailed.
    pub mailed_code: bool,
    /// When the owner gets a mail.
    pub notify: Notify,
    /// The recipients; none for whoever has the link.
    pub recipients: Vec<Email>,
}

/// What is wrong with terms, beside each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFormErrors {
    /// Of the whole form.
    pub form: Option<String>,
    /// Of the title.
    pub title: Option<String>,
    /// Of the note.
    pub note: Option<String>,
    /// Of the uses.
    pub uses: Option<String>,
    /// Of the end.
    pub ends: Option<String>,
    /// Of the password.
    pub password: Option<String>,
    /// Of the choice to mail a code.
    pub mailed_code: Option<String>,
    /// Of the recipients: one sentence for each bad row.
    pub recipients: Vec<String>,
}

impl LinkFormErrors {
    /// Whether anything is wrong.
    pub fn any(&self) -> bool {
        *self != LinkFormErrors::default()
    }
}

impl LinkForm {
    /// The terms, if they hold at `now`. `named` says whether a link that is there names its recipients,
    /// which editing does not change; `None` for a new one.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn check(&self, named: Option<bool>, now: Timestamp) -> Result<LinkTerms, Box<LinkFormErrors>> {
        let mut errors = LinkFormErrors::default();
        let title = self.title.trim();
        if title.chars().count() > MAX_TITLE || title.contains(char::is_control) {
            errors.title = Some(format!("A title has at most {MAX_TITLE} characters on one line."));
        }
        // A form sends line breaks as two characters.
        let note = self.note.trim().replace("\r\n", "\n").replace('\t', " ");
        let strange = |c: char| c.is_control() && c != '\n';
        if note.chars().count() > MAX_NOTE || note.contains(strange) {
            errors.note = Some("A note has at most 2,000 characters.".to_owned());
        }
        // What turns the direction of text around would let it look like somebody else's words.
        let lines: Vec<Cow<'_, str>> = note.split('\n').map(human::name).collect();
        let note = lines.join("\n");
        let uses = match self.uses.trim() {
            "" => None,
            uses => match uses.parse::<u32>() {
                Ok(uses) if (1..=MAX_USES).contains(&uses) => Some(uses),
                _ => {
                    errors.uses = Some(
                        "Write a whole number from 1 to 1,000,000, or nothing for any number.".to_owned(),
                    );
                    None
                }
            },
        };
        let ends_at = match self.ends.trim() {
            "" => None,
            ends => match moment::parse(ends, &self.ends_zone) {
                Some(end) if end > now => Some(end),
                Some(_) => {
                    errors.ends = Some("Choose a time in the future.".to_owned());
                    None
                }
                None => {
                    errors.ends =
                        Some("Write date and time as in 2026-12-24T18:00, or nothing for never.".to_owned());
                    None
                }
            },
        };
        let password = self.checked_password(&mut errors);
        let recipients = match recipients::parse(&self.recipients) {
            Ok(recipients) => recipients,
            Err(rows) => {
                errors.recipients = rows;
                Vec::new()
            }
        };
        let nobody_is_named = !named.unwrap_or(!recipients.is_empty());
        if self.mailed_code && nobody_is_named && errors.recipients.is_empty() {
            let sentence = "A code can only be mailed to recipients whom the link names.";
            errors.mailed_code = Some(sentence.to_owned());
        }
        let Ok(notify) = self.notify.parse() else {
            errors.form = Some("Choose when you want a mail.".to_owned());
            return Err(Box::new(errors));
        };
        if errors.any() {
            return Err(Box::new(errors));
        }
        Ok(LinkTerms {
            title: human::name(title).into_owned(),
            note,
            uses,
            ends_at,
            password,
            mailed_code: self.mailed_code,
            notify,
            recipients,
        })
    }

    fn checked_password(&self, errors: &mut LinkFormErrors) -> Option<Password> {
        if self.password.is_empty() {
            return None;
        }
        match Password::new(&self.password, PASSWORD_MIN) {
            Ok(password) => Some(password),
            Err(weak) => {
                errors.password = Some(match weak {
                    WeakPassword::Short(least) => format!("A password has at least {least} characters."),
                    WeakPassword::Long => "A password has at most 256 bytes.".to_owned(),
                    WeakPassword::Common | WeakPassword::Own => {
                        "This password is one of the first that attackers try; take another.".to_owned()
                    }
                });
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn typed() -> LinkForm {
        LinkForm { notify: "never".to_owned(), ..LinkForm::default() }
    }

    #[test]
    fn each_wrong_field_has_its_sentence() {
        let wrong = LinkForm {
            title: "two\nlines".to_owned(),
            note: "x".repeat(2_001),
            uses: "0".to_owned(),
            ends: "2027-01-15T08:00".to_owned(),
            password: "x".repeat(1 << 20),
            mailed_code: true,
            ..typed()
        };
        let errors = wrong.check(None, NOW).unwrap_err();
        assert!(errors.title.is_some() && errors.note.is_some() && errors.uses.is_some());
        assert!(errors.ends.as_ref().is_some_and(|ends| ends.contains("future")), "{errors:?}");
        assert!(errors.password.as_ref().is_some_and(|password| password.contains("256")), "{errors:?}");
        assert!(errors.mailed_code.is_some());
        for uses in ["-1", "1.5", "many", "1000001", "99999999999"] {
            assert!(LinkForm { uses: uses.to_owned(), ..typed() }.check(None, NOW).is_err(), "{uses}");
        }
        assert!(LinkForm { notify: "often".to_owned(), ..typed() }.check(None, NOW).is_err());
    }

    #[test]
    fn what_turns_text_around_is_shown_as_what_it_is() {
        let typed =
            LinkForm { title: "\u{202e}gpj.exe".to_owned(), note: "a\r\n\u{2067}b\tc".to_owned(), ..typed() };
        let terms = typed.check(None, NOW).unwrap();
        assert_eq!((terms.title.as_str(), terms.note.as_str()), ("\u{fffd}gpj.exe", "a\n\u{fffd}b c"));
    }

    #[test]
    fn empty_fields_mean_no_limit() {
        let terms = typed().check(None, NOW).unwrap();
        assert_eq!((terms.uses, terms.ends_at, terms.recipients.len()), (None, None, 0));
        assert!(terms.password.is_none());
        let typed = LinkForm { uses: " 3 ".to_owned(), ends: "2027-01-15T08:01".to_owned(), ..typed() };
        let terms = typed.check(None, NOW).unwrap();
        assert_eq!((terms.uses, terms.ends_at), (Some(3), Some(Timestamp::from_secs(NOW.secs() + 60))));
    }
}
