//! The page that confirms another address.

use askama::Template;

use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::Chrome;

/// `GET /confirm-address/{token}`; posts `password`, if it is asked for, and `csrf` back to the same
/// address.
#[derive(Clone, Debug, Template)]
#[template(path = "web/confirm-address.html")]
pub struct ConfirmAddress {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// The address that the account has.
    pub old_email: String,
    /// The address that it is to have.
    pub new_email: String,
    /// Whether the password is asked for: nobody is logged in to the account in this browser.
    pub needs_password: bool,
    /// CSRF token of this browser.
    pub csrf: String,
    /// What was wrong with what was typed before.
    pub errors: FieldErrors,
}

impl ConfirmAddress {
    /// The page before anything was typed.
    pub fn new(old: &str, new: &str, needs_password: bool, csrf: impl Into<String>) -> ConfirmAddress {
        ConfirmAddress {
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
    let wrong = ConfirmAddress {
        errors: FieldErrors {
            password: Some("This is not the password of the account.".to_owned()),
            ..FieldErrors::default()
        },
        ..ConfirmAddress::new(old, new, true, "c\"srf")
    };
    Ok(vec![
        ("confirm-address", ConfirmAddress::new(old, new, false, "csrf").render()?),
        ("confirm-address-password", wrong.render()?),
    ])
}
