//! The login page.

use askama::Template;

use crate::human;
use crate::web::http::layout::Chrome;

/// `GET /login`; posts `email`, `password`, `next` and `csrf` to `/login`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/login.html")]
pub struct LoginPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The address typed before; kept after a failure.
    pub email: String,
    /// Why the last attempt failed: one sentence that is the same whether or not the account exists.
    pub error: Option<String>,
    /// Where to go after the login: a path of this app.
    pub next: String,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// The seconds until the next attempt is allowed, when there were too many.
    pub wait_seconds: Option<u64>,
    /// How long a device can be remembered, in words; `None` where that is not offered.
    pub remember: Option<String>,
    /// Whether the box for that was ticked.
    pub remembered: bool,
    /// Whether anyone may sign up.
    pub open: bool,
    /// Whether a form was sent after the login had ended and is kept.
    pub came_from_form: bool,
}

impl LoginPage {
    /// Returns the empty page.
    pub fn new(next: impl Into<String>, csrf: impl Into<String>) -> LoginPage {
        LoginPage {
            chrome: Chrome::public("Log in"),
            email: String::new(),
            error: None,
            next: next.into(),
            csrf: csrf.into(),
            wait_seconds: None,
            remember: None,
            remembered: false,
            open: false,
            came_from_form: false,
        }
    }

    fn wait(&self) -> Option<String> {
        self.wait_seconds.map(human::wait)
    }

    /// Returns a filled page, with values that an attacker might send.
    pub fn sample() -> LoginPage {
        LoginPage {
            email: "lin@example.org\"><script>alert(1)</script>".to_owned(),
            error: Some("Incorrect email address or password.".to_owned()),
            remember: Some("30 days".to_owned()),
            open: true,
            ..LoginPage::new("/files/books/", "c\"srf")
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let throttled = LoginPage { error: None, wait_seconds: Some(90), ..LoginPage::sample() };
    Ok(vec![
        ("login", LoginPage::new("/files/", "csrf").render()?),
        ("login-wrong", LoginPage::sample().render()?),
        ("login-wait", throttled.render()?),
    ])
}
