//! The page on which recipients are added to a link.

use askama::Template;

use crate::web::http::layout::{Chrome, Section};

/// `GET /links/{id}/recipients`; posts `recipients`, `mail` and `csrf` to the same address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/recipients.html")]
pub struct AddRecipientsPage {
    /// The frame of the page; the owner is logged in.
    pub chrome: Chrome,
    /// The link's id.
    pub id: String,
    /// The link's title.
    pub title: String,
    /// Whether the link can be used now.
    pub is_usable: bool,
    /// What was typed.
    pub typed: String,
    /// Whether to email the link to the new recipients.
    pub mail: bool,
    /// What was wrong with it, one sentence for each invalid entry.
    pub errors: Vec<String>,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let blank = AddRecipientsPage {
        chrome: Chrome::sample("Add recipients", Section::Links),
        id: "0123456789abcdefghijkl".to_owned(),
        title: "Report <script>alert(1)</script>".to_owned(),
        is_usable: true,
        typed: String::new(),
        mail: true,
        errors: Vec::new(),
    };
    let wrong = AddRecipientsPage {
        is_usable: false,
        typed: "</textarea><script>alert(1)</script>".to_owned(),
        errors: vec![
            "Line 1: “</textarea><script>alert(1)</script>” is not a valid email address.".to_owned(),
        ],
        ..blank.clone()
    };
    Ok(vec![("link-recipients", blank.render()?), ("link-recipients-errors", wrong.render()?)])
}
