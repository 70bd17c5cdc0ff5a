//! The page that asks for the code of the second factor.

use askama::Template;

use crate::human;
use crate::web::http::layout::Chrome;

/// `GET /login/code`; posts `code`, `next` and `csrf` there.
#[derive(Clone, Debug, Template)]
#[template(path = "web/login-code.html")]
pub struct LoginCodePage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Where to go after the login: a path of this app.
    pub next: String,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// Whether the code that was sent is wrong, or was used before.
    pub is_wrong: bool,
    /// The seconds until the next attempt is allowed, when there were too many.
    pub wait_seconds: Option<u64>,
}

impl LoginCodePage {
    /// Returns the empty page.
    pub fn new(next: impl Into<String>, csrf: impl Into<String>) -> LoginCodePage {
        LoginCodePage {
            chrome: Chrome::public("Enter your code"),
            next: next.into(),
            csrf: csrf.into(),
            is_wrong: false,
            wait_seconds: None,
        }
    }

    fn wait(&self) -> Option<String> {
        self.wait_seconds.map(human::wait)
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let page = LoginCodePage::new("/files/books/\"><script>", "c\"srf");
    Ok(vec![
        ("login-code", page.render()?),
        ("login-code-wrong", LoginCodePage { is_wrong: true, ..page.clone() }.render()?),
        ("login-code-wait", LoginCodePage { wait_seconds: Some(90), ..page }.render()?),
    ])
}
