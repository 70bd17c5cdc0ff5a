//! The pages for a forgotten password.

use askama::Template;

use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::Chrome;

/// `GET /forgot`; posts `email` and `csrf` to `/forgot`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/forgot.html")]
pub struct ForgotPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The address typed before.
    pub email: String,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// The errors in what was typed before.
    pub errors: FieldErrors,
}

impl ForgotPage {
    /// Returns the empty page.
    pub fn new(csrf: impl Into<String>) -> ForgotPage {
        ForgotPage {
            chrome: Chrome::public("Choose another password"),
            email: String::new(),
            csrf: csrf.into(),
            errors: FieldErrors::default(),
        }
    }
}

/// `GET /reset/{token}`; posts `password`, `password_again` and `csrf` back to the same address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/reset.html")]
pub struct ResetPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The account's address.
    pub email: String,
    /// The minimum length of a password.
    pub password_min: usize,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// The errors in what was typed before.
    pub errors: FieldErrors,
}

impl ResetPage {
    /// Returns the empty page.
    pub fn new(email: &str, password_min: usize, csrf: impl Into<String>) -> ResetPage {
        ResetPage {
            chrome: Chrome::public("Choose another password"),
            email: email.to_owned(),
            password_min,
            csrf: csrf.into(),
            errors: FieldErrors::default(),
        }
    }

    fn any_error(&self) -> bool {
        self.errors.any()
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let wrong = ForgotPage {
        email: "x\"><script>".to_owned(),
        errors: FieldErrors {
            email: Some("Enter an email address like name@example.org.".to_owned()),
            ..FieldErrors::default()
        },
        ..ForgotPage::new("c\"srf")
    };
    let short = ResetPage {
        errors: FieldErrors {
            password: Some("A password must have at least 15 characters.".to_owned()),
            password_again: Some("The two passwords differ.".to_owned()),
            ..FieldErrors::default()
        },
        ..ResetPage::new("lin@example.org<script>", 15, "c\"srf")
    };
    Ok(vec![
        ("forgot", ForgotPage::new("csrf").render()?),
        ("forgot-errors", wrong.render()?),
        ("reset", ResetPage::new("lin@example.org", 15, "csrf").render()?),
        ("reset-errors", short.render()?),
    ])
}
