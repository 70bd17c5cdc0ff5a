//! The page on which a link is created.

use std::time::Duration;

use askama::Template;

use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::links::lifetime::Lifetime;
use crate::web::links::limits::LinkLimits;
use crate::web::links::terms::{LinkForm, LinkFormErrors};

/// `GET /links/new`; posts `files`, the fields of [`LinkForm`], `mail` and `csrf` to `/links`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/new.html")]
pub struct NewLinkPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The files and folders, as they are shown.
    pub files: Vec<String>,
    /// Their paths, as the form carries them.
    pub files_field: String,
    /// Whether a folder is among them.
    pub has_folders: bool,
    /// Whether the only item is an empty folder.
    pub empty_folder: bool,
    /// Whether all of them are in the person's own folder.
    pub are_own: bool,
    /// What was typed.
    pub typed: LinkForm,
    /// Whether to mail the link to its recipients.
    pub mail: bool,
    /// What the operator allows links at most.
    pub limits: LinkLimits,
    /// Whether the owner has turned off emails about downloads.
    pub notices_off: bool,
    /// What was wrong with it.
    pub errors: LinkFormErrors,
}

impl NewLinkPage {
    /// Returns the number of downloads and the expiry that are chosen, in words.
    fn usual(&self) -> String {
        let downloads = match self.typed.uses_per_recipient.trim() {
            "" => "Unlimited downloads".to_owned(),
            uses => {
                uses.parse().map_or_else(|_| "Downloads".to_owned(), |uses| human::counted(uses, "download"))
            }
        };
        match self.typed.lifetime() {
            Some(Lifetime::Never) => format!("{downloads}, never expires."),
            Some(lifetime) => format!("{downloads}, expires {}.", lifetime.words()),
            None => format!("{downloads}, expires on a date."),
        }
    }

    /// Returns a page with an error at every field.
    pub fn sample() -> NewLinkPage {
        let wrong = |text: &str| Some(text.to_owned());
        NewLinkPage {
            chrome: Chrome::sample("Make a link", Section::Links),
            files: vec!["/books/<script>alert(1)</script>.pdf".to_owned(), "/books/more".to_owned()],
            files_field: "/books/%3Cscript%3E /books/more".to_owned(),
            has_folders: true,
            empty_folder: true,
            are_own: true,
            typed: LinkForm {
                title: "\"><script>alert(1)</script>".to_owned(),
                note: "</textarea><script>alert(1)</script>".to_owned(),
                uses_per_recipient: "many".to_owned(),
                ends: "2020-01-01T00:00".to_owned(),
                ends_zone: "60".to_owned(),
                password: "never shown".to_owned(),
                mailed_code: true,
                hidden_files: true,
                viewable: true,
                notify: "first".to_owned(),
                recipients: "ada@example.org\n</textarea><b>nobody".to_owned(),
                expires: "30d".to_owned(),
                delete_files: true,
            },
            mail: true,
            limits: LinkLimits {
                longest: Some(Duration::from_secs(7 * 24 * 60 * 60)),
                most_downloads: Some(10),
                end_required: true,
            },
            notices_off: true,
            errors: LinkFormErrors {
                form: wrong("Some of these files no longer exist, or you may no longer read them."),
                title: wrong("Use at most 200 characters on one line."),
                note: wrong("Use at most 2,000 characters."),
                uses_per_recipient: wrong(
                    "Enter a whole number from 1 to 1,000,000, or leave this empty for no limit.",
                ),
                ends: wrong("This moment is in the past: choose a later one."),
                password: wrong("Use at least 8 characters."),
                mailed_code: wrong("To use email codes, add at least one recipient."),
                recipients: vec!["Line 2: “</textarea><b>nobody” is not a valid email address.".to_owned()],
            },
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let wrong = NewLinkPage::sample();
    let typed = LinkForm {
        uses_per_recipient: "1".to_owned(),
        ends: "2027-01-15T08:00".to_owned(),
        notify: "first".to_owned(),
        ..LinkForm::default()
    };
    let files = vec!["/books/我这一辈子.pdf".to_owned()];
    let (has_folders, empty_folder) = (false, false);
    let blank = NewLinkPage {
        files,
        has_folders,
        empty_folder,
        typed,
        limits: LinkLimits::default(),
        errors: LinkFormErrors::default(),
        ..wrong.clone()
    };
    Ok(vec![("link-new-errors", wrong.render()?), ("link-new", blank.render()?)])
}
