//! The page on which a link is duplicated: what the copy will be, and what is not copied.

use askama::Template;

use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::links::limits::LinkLimits;
use crate::web::links::terms::{LinkForm, LinkFormErrors};

/// `GET /links/{id}/duplicate`; posts `title`, `ends`, `ends_zone`, `password`, `mail` and `csrf` to the same
/// address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/duplicate.html")]
pub struct DuplicatePage {
    /// The frame of the page; the owner is logged in.
    pub chrome: Chrome,
    /// The id of the original.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its files and folders as shown, and whether each is left out because it isn't there.
    pub files: Vec<(String, bool)>,
    /// The uses of each recipient; `None` for any number.
    pub uses_per_recipient: Option<u32>,
    /// What the operator allows links at most.
    pub limits: LinkLimits,
    /// The number of named recipients.
    pub recipients: usize,
    /// Whether the original asks for a password.
    pub has_password: bool,
    /// Whether it asks for a mailed code.
    pub mailed_code: bool,
    /// What was typed.
    pub typed: LinkForm,
    /// Whether to email the copy to its recipients.
    pub mail: bool,
    /// What was wrong with it.
    pub errors: LinkFormErrors,
}

impl DuplicatePage {
    fn whom(&self) -> String {
        match self.recipients {
            0 => "Anyone with the link".to_owned(),
            1 => "1 recipient, with a new link".to_owned(),
            count => {
                let people = human::counted(u64::try_from(count).unwrap_or(u64::MAX), "recipient");
                format!("{people}, each with a new link")
            }
        }
    }

    fn downloads(&self) -> String {
        match self.uses_per_recipient {
            None => "Unlimited".to_owned(),
            Some(uses) if self.recipients > 0 => format!("{} per recipient", human::grouped(u64::from(uses))),
            Some(uses) => human::grouped(u64::from(uses)),
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let typed = LinkForm {
        title: "\"><script>alert(1)</script>".to_owned(),
        ends: "2027-01-15T08:00".to_owned(),
        ..LinkForm::default()
    };
    let open = DuplicatePage {
        chrome: Chrome::sample("Duplicate this link", Section::Links),
        id: "0123456789abcdefghijkl".to_owned(),
        title: "Report <script>alert(1)</script>".to_owned(),
        files: vec![("/books/<script>alert(1)</script>.pdf".to_owned(), false)],
        uses_per_recipient: None,
        limits: LinkLimits::default(),
        recipients: 0,
        has_password: false,
        mailed_code: false,
        typed,
        mail: false,
        errors: LinkFormErrors::default(),
    };
    let named = DuplicatePage {
        files: vec![("/books/a.pdf".to_owned(), false), ("/books/b.pdf".to_owned(), true)],
        uses_per_recipient: Some(3),
        recipients: 2,
        has_password: true,
        mailed_code: true,
        mail: true,
        errors: LinkFormErrors {
            form: Some("None of the files exists any more, so there is nothing to share.".to_owned()),
            title: Some("Use at most 200 characters on one line.".to_owned()),
            ends: Some("Choose a time in the future.".to_owned()),
            password: Some("Use at least 8 characters.".to_owned()),
            recipients: vec!["<b>@example.org has already received as many mails …".to_owned()],
            ..LinkFormErrors::default()
        },
        ..open.clone()
    };
    Ok(vec![("link-duplicate", open.render()?), ("link-duplicate-errors", named.render()?)])
}
