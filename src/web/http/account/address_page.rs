//! The page that confirms a new email address.

use askama::Template;

use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::Chrome;

/// `GET /confirm-address/{token}`; posts `password`, if it is asked for, and `csrf` back to the same
/// address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/confirm-address.html")]
pub struct ConfirmAddressPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The present address.
    pub old_email: String,
    /// The new address.
    pub new_email: String,
    /// Whether the page asks for the password, because this browser is not logged in to the account.
    pub needs_password: bool,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// The errors in what was typed before.
    pub errors: FieldErrors,
}

impl ConfirmAddressPage {
    /// Returns the empty page.
    pub fn new(old: &str, new: &str, needs_password: bool, csrf: impl Into<String>) -> ConfirmAddressPage {
        ConfirmAddressPage {
            chrome: Chrome::public("Confirm your new address"),
            old_email: old.to_owned(),
            new_email: new.to_owned(),
            needs_password,
            csrf: csrf.into(),
            errors: FieldErrors::default(),
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let (old, new) = ("lin@example.org<script>", "lin@new.example\"><b>");
    let wrong = ConfirmAddressPage {
        errors: FieldErrors {
            password: Some("This is not the password of the account.".to_owned()),
            ..FieldErrors::default()
        },
        ..ConfirmAddressPage::new(old, new, true, "c\"srf")
    };
    Ok(vec![
        ("confirm-address", ConfirmAddressPage::new(old, new, false, "csrf").render()?),
        ("confirm-address-password", wrong.render()?),
    ])
}
