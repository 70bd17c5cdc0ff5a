//! The terms of a link as they were typed, and what is wrong with them. Each error is a sentence that is
//! shown beside its field, and nothing happens until all fields are valid.

use crate::clock::Timestamp;
use crate::web::identity::Email;
use crate::web::identity::passwords::Password;
use crate::web::links::lifetime::Lifetime;
use crate::web::links::limits::{LinkLimits, MAX_USES};
use crate::web::links::link::{Link, Links, Notify};
use crate::web::links::typed::{self, checked};
use crate::web::links::{moment, recipients};

/// The fields as they were typed. When there are errors, all except the password are sent back unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkForm {
    /// The title; may be empty.
    pub title: String,
    /// The note; may be empty.
    pub note: String,
    /// How many uses each recipient has; empty for no limit.
    pub uses_per_recipient: String,
    /// Date and time of the expiry; empty for never.
    pub ends: String,
    /// The time zone of `ends`, in minutes ahead of UTC; empty for UTC.
    pub ends_zone: String,
    /// The password; empty for none.
    pub password: String,
    /// Whether recipients must enter a code that is emailed to them.
    pub mailed_code: bool,
    /// Whether hidden files in folders are shared, too.
    pub hidden_files: bool,
    /// Whether files may be viewed in the browser even if the number of downloads is limited.
    pub viewable: bool,
    /// When the owner gets an email about downloads.
    pub notify: String,
    /// The recipients' addresses, as [`recipients::parse`] reads them; empty for anyone who has the link.
    pub recipients: String,
    /// When it expires, counted from now; empty or `date` for the time in `ends`.
    pub expires: String,
    /// Whether its files go to the trash when it is over.
    pub delete_files: bool,
}

/// Valid terms, within the operator's limits. Only [`LinkForm::check`] makes them.
#[derive(Clone, Debug)]
pub struct LinkTerms {
    /// The title; may be empty.
    pub title: String,
    /// The note; may be empty.
    pub note: String,
    /// How many uses each recipient has; `None` for no limit.
    pub uses_per_recipient: Option<u32>,
    /// When the link expires; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// The password.
    pub password: Option<Password>,
    /// Whether recipients must enter a code that is emailed to them.
    pub mailed_code: bool,
    /// Whether hidden files in folders are shared, too.
    pub hidden_files: bool,
    /// Whether files may be viewed in the browser even if the number of downloads is limited.
    pub viewable: bool,
    /// When the owner gets an email about downloads.
    pub notify: Notify,
    /// The recipients; empty for anyone who has the link.
    pub recipients: Vec<Email>,
    /// Whether its files go to the trash when it is over.
    pub delete_files: bool,
    _checked: Checked,
}

/// Makes sure that no other module creates terms.
#[derive(Clone, Copy, Debug)]
struct Checked;

/// The errors in a form, by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFormErrors {
    /// An error of the whole form.
    pub form: Option<String>,
    /// An error in the title.
    pub title: Option<String>,
    /// An error in the note.
    pub note: Option<String>,
    /// An error in the number of uses.
    pub uses_per_recipient: Option<String>,
    /// An error in the expiry.
    pub ends: Option<String>,
    /// An error in the password.
    pub password: Option<String>,
    /// An error in the choice to email a code.
    pub mailed_code: Option<String>,
    /// Errors in the recipients: one sentence for each invalid entry.
    pub recipients: Vec<String>,
}

impl LinkFormErrors {
    /// Whether there is any error.
    pub fn any(&self) -> bool {
        *self != LinkFormErrors::default()
    }

    /// Whether there is an error in a field other than the recipients.
    pub fn in_terms(&self) -> bool {
        let others = LinkFormErrors { form: None, recipients: Vec::new(), ..self.clone() };
        others.any()
    }
}

impl LinkForm {
    /// Returns the terms of a link, except its password and its recipients.
    pub fn of(link: &Link) -> LinkForm {
        LinkForm {
            title: link.title.clone(),
            note: link.note.clone(),
            uses_per_recipient: link.uses_per_recipient.map(|uses| uses.to_string()).unwrap_or_default(),
            ends: link.ends_at.map(moment::exact).unwrap_or_default(),
            mailed_code: link.mailed_code,
            hidden_files: link.hidden_files,
            viewable: link.viewable,
            notify: link.notify.as_str().to_owned(),
            delete_files: link.delete_files,
            ..LinkForm::default()
        }
    }

    /// Returns the choice among the usual lifetimes. A link without an end never expires.
    pub fn lifetime(&self) -> Option<Lifetime> {
        match self.expires.trim() {
            "" if self.ends.trim().is_empty() => Some(Lifetime::Never),
            expires => expires.parse().ok(),
        }
    }

    /// Whether the expiry is the date in `ends`.
    pub fn is_date(&self) -> bool {
        self.lifetime().is_none()
    }

    /// Returns the terms if they are valid at `now` and within `limits`. `named` says whether an existing link has named
    /// recipients, which editing does not change; `None` for a new link.
    ///
    /// # Errors
    /// The errors of each field.
    pub fn check(
        &self,
        named: Option<bool>,
        limits: &LinkLimits,
        now: Timestamp,
    ) -> Result<LinkTerms, Box<LinkFormErrors>> {
        let mut errors = LinkFormErrors::default();
        let title = checked(typed::title(&self.title), &mut errors.title);
        let note = checked(typed::note(&self.note), &mut errors.note);
        let uses_per_recipient = checked(self.checked_uses(limits), &mut errors.uses_per_recipient);
        let ends_at = self.checked_end(&mut errors, now);
        if errors.ends.is_none()
            && let Err(sentence) = limits.check_end(ends_at, now)
        {
            errors.ends = Some(sentence);
        }
        let password = checked(typed::password(&self.password), &mut errors.password);
        let recipients = match recipients::parse(&self.recipients) {
            Ok(recipients) => recipients,
            Err(rows) => {
                errors.recipients = rows;
                Vec::new()
            }
        };
        let nobody_is_named = !named.unwrap_or(!recipients.is_empty());
        if self.mailed_code && nobody_is_named && errors.recipients.is_empty() {
            let sentence = "To use email codes, add at least one recipient.";
            errors.mailed_code = Some(sentence.to_owned());
        }
        let Ok(notify) = self.notify.parse() else {
            errors.form = Some("Choose when to get an email.".to_owned());
            return Err(Box::new(errors));
        };
        if errors.any() {
            return Err(Box::new(errors));
        }
        Ok(LinkTerms {
            title,
            note,
            uses_per_recipient,
            ends_at,
            password,
            mailed_code: self.mailed_code,
            hidden_files: self.hidden_files,
            viewable: self.viewable,
            notify,
            recipients,
            delete_files: self.delete_files,
            _checked: Checked,
        })
    }

    fn checked_uses(&self, limits: &LinkLimits) -> Result<Option<u32>, String> {
        let uses = match self.uses_per_recipient.trim() {
            "" => None,
            uses => match uses.parse::<u32>() {
                Ok(uses) if (1..=MAX_USES).contains(&uses) => Some(uses),
                _ => return Err(limits.uses_sentence()),
            },
        };
        limits.check_uses(uses).map(|()| uses)
    }

    fn checked_end(&self, errors: &mut LinkFormErrors, now: Timestamp) -> Option<Timestamp> {
        let expires = self.expires.trim();
        if !matches!(expires, "" | "date") {
            let Ok(lifetime) = expires.parse::<Lifetime>() else {
                errors.ends = Some("Choose when the link expires.".to_owned());
                return None;
            };
            return lifetime.end(now);
        }
        let typed = match self.ends.trim() {
            "" if expires.is_empty() => return None,
            ends => moment::parse(ends, &self.ends_zone),
        };
        errors.ends = match typed {
            Some(end) if end > now => return Some(end),
            Some(_) => Some("Choose a time in the future.".to_owned()),
            None if expires.is_empty() => Some(
                "Enter a date and time like 2026-12-24T18:00, or leave this empty for no expiry.".to_owned(),
            ),
            None => Some("Enter a date and time like 2026-12-24T18:00.".to_owned()),
        };
        None
    }
}

impl Links {
    /// Checks the terms of a link to be made or changed at `now`, as [`LinkForm::check`] does, with the operator's
    /// present limits.
    ///
    /// # Errors
    /// The errors of each field.
    pub fn check(
        &self,
        form: &LinkForm,
        named: Option<bool>,
        now: Timestamp,
    ) -> Result<LinkTerms, Box<LinkFormErrors>> {
        form.check(named, &self.limits.current(), now)
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
            uses_per_recipient: "0".to_owned(),
            ends: "2027-01-15T08:00".to_owned(),
            password: "x".repeat(1 << 20),
            mailed_code: true,
            ..typed()
        };
        let errors = wrong.check(None, &LinkLimits::default(), NOW).unwrap_err();
        assert!(errors.title.is_some() && errors.note.is_some() && errors.uses_per_recipient.is_some());
        assert!(errors.ends.as_ref().is_some_and(|ends| ends.contains("future")), "{errors:?}");
        assert!(errors.password.as_ref().is_some_and(|password| password.contains("256")), "{errors:?}");
        assert!(errors.mailed_code.is_some());
        for uses in ["-1", "1.5", "many", "1000001", "99999999999"] {
            assert!(
                LinkForm { uses_per_recipient: uses.to_owned(), ..typed() }
                    .check(None, &LinkLimits::default(), NOW)
                    .is_err(),
                "{uses}"
            );
        }
        assert!(
            LinkForm { notify: "often".to_owned(), ..typed() }
                .check(None, &LinkLimits::default(), NOW)
                .is_err()
        );
    }

    #[test]
    fn characters_that_reverse_text_are_replaced() {
        let typed =
            LinkForm { title: "\u{202e}gpj.exe".to_owned(), note: "a\r\n\u{2067}b\tc".to_owned(), ..typed() };
        let terms = typed.check(None, &LinkLimits::default(), NOW).unwrap();
        assert_eq!((terms.title.as_str(), terms.note.as_str()), ("\u{fffd}gpj.exe", "a\n\u{fffd}b c"));
    }

    #[test]
    fn empty_fields_mean_no_limit() {
        let terms = typed().check(None, &LinkLimits::default(), NOW).unwrap();
        assert_eq!((terms.uses_per_recipient, terms.ends_at, terms.recipients.len()), (None, None, 0));
        assert!(terms.password.is_none());
        let typed =
            LinkForm { uses_per_recipient: " 3 ".to_owned(), ends: "2027-01-15T08:01".to_owned(), ..typed() };
        let terms = typed.check(None, &LinkLimits::default(), NOW).unwrap();
        assert_eq!(
            (terms.uses_per_recipient, terms.ends_at),
            (Some(3), Some(Timestamp::from_secs(NOW.secs() + 60)))
        );
    }

    #[test]
    fn terms_beyond_the_operators_limits_are_refused() {
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let limits = LinkLimits { longest: Some(day), most_downloads: Some(3), end_required: false };
        let form = |uses: &str, expires: &str| LinkForm {
            uses_per_recipient: uses.to_owned(),
            expires: expires.to_owned(),
            ..typed()
        };
        for (uses, expires) in [("3", "1d"), ("1", "1h")] {
            assert!(form(uses, expires).check(None, &limits, NOW).is_ok(), "{uses} {expires}");
        }
        for (uses, expires) in [("4", "7d"), ("", "never"), ("", "")] {
            let errors = form(uses, expires).check(None, &limits, NOW).unwrap_err();
            assert!(errors.uses_per_recipient.unwrap().contains("from 1 to 3."), "{uses}");
            assert!(errors.ends.unwrap().contains("at most 1 day"), "{expires}");
        }
    }
}
