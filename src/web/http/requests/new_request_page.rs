//! The page on which a person asks for files.

use askama::Template;

use crate::clock::Timestamp;
use crate::web::http::layout::{Chrome, Section};
use crate::web::links::limits::LinkLimits;
use crate::web::requests::terms::{RequestForm, RequestFormErrors};

/// `GET /requests/new`: posts the fields of [`RequestForm`] and `folder` to `/requests`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/requests/new.html")]
pub struct NewRequestPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The folders to choose from: the path as forms carry it, and as it is shown.
    pub folders: Vec<(String, String)>,
    /// The path of the chosen one.
    pub chosen: String,
    /// What was typed.
    pub typed: RequestForm,
    /// What the operator allows at most.
    pub limits: LinkLimits,
    /// What was wrong with it.
    pub errors: RequestFormErrors,
}

impl NewRequestPage {
    /// Returns terms with hostile values, and an error in each field.
    pub(crate) fn sample_terms() -> (RequestForm, RequestFormErrors) {
        let typed = RequestForm {
            title: "Photos \"<script>".to_owned(),
            note: "</textarea><script>alert(1)</script>".to_owned(),
            ..RequestForm::usual(&LinkLimits::default(), Timestamp::from_secs(1_800_000_000))
        };
        let error = || Some("Use <b>something</b> else.".to_owned());
        let errors = RequestFormErrors {
            form: None,
            title: error(),
            note: error(),
            max_bytes: error(),
            max_files: error(),
            ends: error(),
            password: error(),
        };
        (typed, errors)
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let (typed, errors) = NewRequestPage::sample_terms();
    let page = NewRequestPage {
        chrome: Chrome::sample("Ask for files", Section::Requests),
        folders: vec![
            ("/home/0123456789abcdefghijkl".to_owned(), "My files".to_owned()),
            ("/books/a%22%3Cb".to_owned(), "/books/a\"<b".to_owned()),
        ],
        chosen: "/books/a%22%3Cb".to_owned(),
        typed,
        limits: LinkLimits::default(),
        errors: RequestFormErrors::default(),
    };
    let wrong = NewRequestPage { errors, ..page.clone() };
    let nowhere = NewRequestPage { folders: Vec::new(), chosen: String::new(), ..page.clone() };
    Ok(vec![
        ("request-new", page.render()?),
        ("request-new-errors", wrong.render()?),
        ("request-new-nowhere", nowhere.render()?),
    ])
}
