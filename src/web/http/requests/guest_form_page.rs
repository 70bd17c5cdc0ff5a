//! The page after a plain form with files for a file request: what arrived, what did not, and why.

use std::borrow::Cow;

use askama::Template;

use crate::human;
use crate::web::http::layout::Chrome;

/// A file that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsentFile {
    /// Its name, as it was sent.
    pub name: String,
    /// A sentence that says why.
    pub why: String,
}

impl UnsentFile {
    fn shown(&self) -> Cow<'_, str> {
        human::name(&self.name)
    }
}

/// The answer to a form of `POST /r/{code}/files` that was not done completely.
#[derive(Clone, Debug, Template)]
#[template(path = "web/requests/sent.html")]
pub struct GuestFormPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The address of the request's page.
    pub action: String,
    /// The files that arrived.
    pub arrived: Vec<String>,
    /// The files that did not arrive.
    pub unsent: Vec<UnsentFile>,
    /// Whether the form broke off, so that there may have been more files.
    pub broke_off: bool,
}

impl GuestFormPage {
    fn arrived_shown(&self) -> Vec<Cow<'_, str>> {
        self.arrived.iter().map(|name| human::name(name)).collect()
    }

    fn nothing_chosen(&self) -> bool {
        self.arrived.is_empty() && self.unsent.is_empty() && !self.broke_off
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let page = GuestFormPage {
        chrome: Chrome::public("Photos <script>"),
        action: "/r/0123456789abcdefghijkl".to_owned(),
        arrived: vec!["<script>alert(1)</script>.txt".to_owned()],
        unsent: vec![UnsentFile {
            name: "film\u{202e}\".mkv".to_owned(),
            why: "The file is too large: at most 1.0 GB are allowed.".to_owned(),
        }],
        broke_off: true,
    };
    let nothing = GuestFormPage { arrived: Vec::new(), unsent: Vec::new(), broke_off: false, ..page.clone() };
    Ok(vec![("request-sent", page.render()?), ("request-sent-nothing", nothing.render()?)])
}
