//! The page that asks whether to remove a recipient from a link.

use askama::Template;

use crate::web::http::layout::{Chrome, Section};

/// `GET /links/{id}/recipients/{recipient}`; posts `csrf` to the same address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/remove.html")]
pub struct RemoveRecipientPage {
    /// The frame of the page; the owner is logged in.
    pub chrome: Chrome,
    /// The link's id.
    pub id: String,
    /// The recipient's id.
    pub recipient: String,
    /// The link's title.
    pub title: String,
    /// The recipient's email address; `None` for anyone who has the link.
    pub email: Option<String>,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let named = RemoveRecipientPage {
        chrome: Chrome::sample("Remove a recipient", Section::Links),
        id: "0123456789abcdefghijkl".to_owned(),
        recipient: "0123456789abcdefghijkl".to_owned(),
        title: "Report <script>alert(1)</script>".to_owned(),
        email: Some("ada\"<b>@example.org".to_owned()),
    };
    let anyone = RemoveRecipientPage { email: None, ..named.clone() };
    Ok(vec![("link-remove-recipient", named.render()?), ("link-remove-anyone", anyone.render()?)])
}
