//! The terms of a file request as they were typed, and what is wrong with them. Each error is a sentence that
//! is shown beside its field, and nothing happens until all fields are valid.

use crate::clock::Timestamp;
use crate::web::identity::passwords::Password;
use crate::web::links::limits::LinkLimits;
use crate::web::links::moment;
use crate::web::links::typed::{self, checked};
use crate::web::requests::{FileRequest, FileRequests, size_field};

/// The number of bytes that a new request allows, unless its owner chooses another.
pub const USUAL_BYTES: u64 = 2 << 30;
/// The number of files that a new request allows, unless its owner chooses another.
pub const USUAL_FILES: u64 = 100;
/// Maximum number of bytes that can be set.
const BYTES_MAX: u64 = 1 << 50;
/// Maximum number of files that can be set.
const FILES_MAX: u64 = 10_000;

/// The fields as they were typed. When there are errors, all except the password are sent back unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestForm {
    /// The title; may be empty.
    pub title: String,
    /// The note; may be empty.
    pub note: String,
    /// Maximum number of bytes, as [`size_field`] reads them.
    pub max_bytes: String,
    /// Maximum number of files.
    pub max_files: String,
    /// Date and time of the end.
    pub ends: String,
    /// The time zone of `ends`, in minutes ahead of UTC; empty for UTC.
    pub ends_zone: String,
    /// The password; empty for none.
    pub password: String,
    /// Whether the owner gets an email when files arrive.
    pub notify: bool,
}

/// Valid terms, within the operator's limits. Only [`RequestForm::check`] makes them.
#[derive(Clone, Debug)]
pub struct RequestTerms {
    /// The title; may be empty.
    pub title: String,
    /// The note; may be empty.
    pub note: String,
    /// Maximum number of bytes.
    pub max_bytes: u64,
    /// Maximum number of files.
    pub max_files: u64,
    /// When the request ends.
    pub ends_at: Timestamp,
    /// The password.
    pub password: Option<Password>,
    /// Whether the owner gets an email when files arrive.
    pub notify: bool,
    _checked: Checked,
}

/// Makes sure that no other module creates terms.
#[derive(Clone, Copy, Debug)]
struct Checked;

/// The errors in a form, by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFormErrors {
    /// An error of the whole form.
    pub form: Option<String>,
    /// An error in the title.
    pub title: Option<String>,
    /// An error in the note.
    pub note: Option<String>,
    /// An error in the number of bytes.
    pub max_bytes: Option<String>,
    /// An error in the number of files.
    pub max_files: Option<String>,
    /// An error in the end.
    pub ends: Option<String>,
    /// An error in the password.
    pub password: Option<String>,
}

impl RequestFormErrors {
    /// Whether there is any error.
    pub fn any(&self) -> bool {
        *self != RequestFormErrors::default()
    }
}

impl RequestForm {
    /// Returns the terms of a request, except its password.
    pub fn of(request: &FileRequest) -> RequestForm {
        RequestForm {
            title: request.title.clone(),
            note: request.note.clone(),
            max_bytes: size_field::field(request.max_bytes),
            max_files: request.max_files.to_string(),
            ends: moment::exact(request.ends_at),
            notify: request.notify,
            ..RequestForm::default()
        }
    }

    /// Returns the fields of a new request, within `limits`.
    pub fn usual(limits: &LinkLimits, now: Timestamp) -> RequestForm {
        let ends = limits.clamp_end(Some(moment::in_a_week(now)), now);
        RequestForm {
            max_bytes: size_field::field(USUAL_BYTES),
            max_files: USUAL_FILES.to_string(),
            ends: ends.map(moment::field).unwrap_or_default(),
            notify: true,
            ..RequestForm::default()
        }
    }

    /// Returns the terms if they are valid at `now` and within `limits`, of which only the longest lifetime
    /// concerns a request.
    ///
    /// # Errors
    /// The errors of each field.
    pub fn check(&self, limits: &LinkLimits, now: Timestamp) -> Result<RequestTerms, Box<RequestFormErrors>> {
        let mut errors = RequestFormErrors::default();
        let title = checked(typed::title(&self.title), &mut errors.title);
        let note = checked(typed::note(&self.note), &mut errors.note);
        let max_bytes = size_field::parse(&self.max_bytes).filter(|bytes| (1..=BYTES_MAX).contains(bytes));
        if max_bytes.is_none() {
            errors.max_bytes = Some("Enter a size like 500 MB or 2 GiB.".to_owned());
        }
        let max_files = self.max_files.trim().parse().ok().filter(|files| (1..=FILES_MAX).contains(files));
        if max_files.is_none() {
            errors.max_files = Some("Enter a whole number from 1 to 10,000.".to_owned());
        }
        let ends_at = match moment::parse(&self.ends, &self.ends_zone) {
            Some(end) if end > now => {
                errors.ends = limits.check_end(Some(end), now).err();
                Some(end)
            }
            Some(_) => {
                errors.ends = Some("Choose a time in the future.".to_owned());
                None
            }
            None => {
                errors.ends = Some("Enter a date and time like 2026-12-24T18:00.".to_owned());
                None
            }
        };
        let password = checked(typed::password(&self.password), &mut errors.password);
        match (max_bytes, max_files, ends_at) {
            (Some(max_bytes), Some(max_files), Some(ends_at)) if !errors.any() => Ok(RequestTerms {
                title,
                note,
                max_bytes,
                max_files,
                ends_at,
                password,
                notify: self.notify,
                _checked: Checked,
            }),
            _ => Err(Box::new(errors)),
        }
    }
}

impl FileRequests {
    /// Checks the terms of a request to be made or changed at `now`, as [`RequestForm::check`] does, with the
    /// operator's present limits.
    ///
    /// # Errors
    /// The errors of each field.
    pub fn check(&self, form: &RequestForm, now: Timestamp) -> Result<RequestTerms, Box<RequestFormErrors>> {
        form.check(&self.limits.current(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: LinkLimits = LinkLimits { longest: None, most_downloads: None, end_required: false };
    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn the_usual_terms_are_valid() {
        let terms = RequestForm::usual(&NONE, NOW).check(&NONE, NOW).unwrap();
        assert_eq!((terms.max_bytes, terms.max_files), (2 << 30, 100));
        assert_eq!(terms.ends_at, Timestamp::from_secs(NOW.secs() + 7 * 24 * 3600));
        assert!(terms.notify && terms.password.is_none());
    }

    #[test]
    fn each_wrong_field_has_its_sentence() {
        let wrong = RequestForm {
            title: "two\nlines".to_owned(),
            note: "x".repeat(2_001),
            max_bytes: "much".to_owned(),
            max_files: "0".to_owned(),
            ends: "2020-01-01T00:00".to_owned(),
            password: "short".to_owned(),
            ..RequestForm::default()
        };
        let errors = wrong.check(&NONE, NOW).unwrap_err();
        assert!(errors.title.is_some() && errors.note.is_some() && errors.max_bytes.is_some());
        assert!(errors.max_files.is_some() && errors.ends.is_some() && errors.password.is_some());
        for files in ["", "-1", "1.5", "10001", "99999999999999999999"] {
            let form = RequestForm { max_files: files.to_owned(), ..RequestForm::usual(&NONE, NOW) };
            assert!(form.check(&NONE, NOW).is_err(), "{files}");
        }
        let endless = RequestForm { ends: String::new(), ..RequestForm::usual(&NONE, NOW) };
        assert!(endless.check(&NONE, NOW).is_err());
    }
}
