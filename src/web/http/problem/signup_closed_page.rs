//! The page for people who may not sign up.

use askama::Template;

use crate::web::http::layout::Chrome;

/// `GET /signup` where not everyone may sign up.
#[derive(Clone, Debug, Template)]
#[template(path = "web/signup-closed.html")]
pub struct SignUpClosedPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Whether people are invited.
    pub by_invitation: bool,
}

impl SignUpClosedPage {
    /// Returns the page.
    pub fn new(by_invitation: bool) -> SignUpClosedPage {
        let title = if by_invitation { "By invitation only" } else { "Sign-up is closed" };
        SignUpClosedPage { chrome: Chrome::public(title), by_invitation }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    Ok(vec![
        ("signup-closed", SignUpClosedPage::new(false).render()?),
        ("signup-invite", SignUpClosedPage::new(true).render()?),
    ])
}
