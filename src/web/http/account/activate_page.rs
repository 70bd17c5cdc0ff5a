//! The page that activates an account.

use askama::Template;

use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::Chrome;

/// What an activation link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The first administrator: asks for `email`, `name`, `password` and `password_again`.
    FirstAdministrator,
    /// An account that somebody signed up for, opened in the browser that did: one button.
    Confirm {
        /// The account's address.
        email: String,
    },
    /// An account that somebody signed up for, opened in another browser: asks for `password`, the one chosen
    /// at sign-up.
    Password {
        /// The account's address.
        email: String,
    },
    /// An account that an administrator made: asks for `name`, `password` and `password_again`.
    Invitation {
        /// The account's address.
        email: String,
        /// What the administrator calls the person.
        name: String,
    },
}

/// `GET /activate/{token}`; posts back to the same address, with `csrf`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/activate.html")]
pub struct ActivatePage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// What the link is for.
    pub activation: Activation,
    /// The address typed before.
    pub email: String,
    /// The name typed before.
    pub name: String,
    /// The minimum length of a password.
    pub password_min: usize,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// The errors in what was typed before.
    pub errors: FieldErrors,
}

impl ActivatePage {
    /// Returns the empty page.
    pub fn new(activation: Activation, password_min: usize, csrf: impl Into<String>) -> ActivatePage {
        let title = match activation {
            Activation::FirstAdministrator => "Create the first administrator",
            Activation::Confirm { .. } | Activation::Password { .. } => "Activate your account",
            Activation::Invitation { .. } => "Create your account",
        };
        let name = match &activation {
            Activation::Invitation { name, .. } => name.clone(),
            _ => String::new(),
        };
        ActivatePage {
            chrome: Chrome::public(title),
            activation,
            email: String::new(),
            name,
            password_min,
            csrf: csrf.into(),
            errors: FieldErrors::default(),
        }
    }

    fn any_error(&self) -> bool {
        self.errors.any()
    }

    /// Returns a page with an error at every field.
    pub fn sample() -> ActivatePage {
        ActivatePage {
            email: "not an address <script>".to_owned(),
            name: "\"><script>alert(1)</script>".to_owned(),
            errors: FieldErrors {
                form: None,
                email: Some("Enter an email address like name@example.org.".to_owned()),
                name: Some("A name must be on one line and have 1 to 100 characters.".to_owned()),
                current_password: None,
                code: None,
                password: Some("A password must have at least 15 characters.".to_owned()),
                password_again: Some("The two passwords differ.".to_owned()),
                groups: None,
            },
            ..ActivatePage::new(Activation::FirstAdministrator, 15, "csrf")
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let email = "lin@example.org<script>".to_owned();
    let confirm = Activation::Confirm { email: email.clone() };
    let password = Activation::Password { email: email.clone() };
    let invitation = Activation::Invitation { email, name: "Lin <b>".to_owned() };
    let wrong = ActivatePage {
        errors: FieldErrors {
            password: Some("This is not the password that was chosen at sign-up.".to_owned()),
            ..FieldErrors::default()
        },
        ..ActivatePage::new(password.clone(), 15, "csrf")
    };
    Ok(vec![
        ("activate-first", ActivatePage::new(Activation::FirstAdministrator, 15, "csrf").render()?),
        ("activate-errors", ActivatePage::sample().render()?),
        ("activate-confirm", ActivatePage::new(confirm, 15, "csrf").render()?),
        ("activate-password", ActivatePage::new(password, 15, "csrf").render()?),
        ("activate-password-wrong", wrong.render()?),
        ("activate-invitation", ActivatePage::new(invitation, 15, "csrf").render()?),
    ])
}
