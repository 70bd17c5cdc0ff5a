//! Pages by which people get into their accounts: log in, activate.

use askama::Template;

use crate::human;
use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::Chrome;

/// `GET /login`; posts `email`, `password`, `next` and `csrf` to `/login`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/login.html")]
pub struct Login {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// The address typed before; kept after a failure.
    pub email: String,
    /// Why the last attempt failed: one sentence that is the same whether or not the account exists.
    pub error: Option<String>,
    /// Where to go afterwards: a path of this app.
    pub next: String,
    /// CSRF token of the browser that is not logged in yet.
    pub csrf: String,
    /// Seconds until the next attempt is looked at, when there were too many.
    pub wait_seconds: Option<u64>,
    /// For how long a device can be remembered, in words; `None` where that is not offered.
    pub remember: Option<String>,
    /// Whether the box was ticked.
    pub remembered: bool,
    /// Whether anybody may sign up.
    pub open: bool,
    /// Whether a form was sent after the log-in had ended, and is kept.
    pub came_from_form: bool,
}

impl Login {
    /// The page of somebody who just arrived.
    pub fn new(next: impl Into<String>, csrf: impl Into<String>) -> Login {
        Login {
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

    /// A filled page, with values that somebody hostile might send.
    pub fn sample() -> Login {
        Login {
            email: "lin@example.org\"><script>alert(1)</script>".to_owned(),
            error: Some("E-mail address or password is wrong.".to_owned()),
            remember: Some("30 days".to_owned()),
            open: true,
            ..Login::new("/files/books/", "c\"srf")
        }
    }
}

/// What an action link of activation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The first administrator: asks for `email`, `name`, `password` and `password_again`.
    FirstAdministrator,
    /// An account that somebody signed up for, opened in the browser that did: one button.
    Confirm {
        /// The account's address.
        email: String,
    },
    /// The same in another browser: asks for `password`, the one chosen at sign-up.
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
pub struct Activate {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// What the link is for.
    pub activation: Activation,
    /// The address typed before.
    pub email: String,
    /// The name typed before.
    pub name: String,
    /// Fewest characters of a password.
    pub password_min: usize,
    /// CSRF token of this browser.
    pub csrf: String,
    /// What was wrong with what was typed before.
    pub errors: FieldErrors,
}

impl Activate {
    /// The page before anything was typed.
    pub fn new(activation: Activation, password_min: usize, csrf: impl Into<String>) -> Activate {
        let title = match activation {
            Activation::FirstAdministrator => "Create the first administrator",
            Activation::Confirm { .. } | Activation::Password { .. } => "Activate your account",
            Activation::Invitation { .. } => "Make your account",
        };
        let name = match &activation {
            Activation::Invitation { name, .. } => name.clone(),
            _ => String::new(),
        };
        Activate {
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

    /// A form sent back with everything wrong.
    pub fn sample() -> Activate {
        Activate {
            email: "not an address <script>".to_owned(),
            name: "\"><script>alert(1)</script>".to_owned(),
            errors: FieldErrors {
                form: None,
                email: Some("This is not an e-mail address. It looks like name@example.org.".to_owned()),
                name: Some("A name has at most 100 characters.".to_owned()),
                current_password: None,
                password: Some("This password is too short: it needs at least 15 characters.".to_owned()),
                password_again: Some("The two passwords differ.".to_owned()),
                groups: None,
            },
            ..Activate::new(Activation::FirstAdministrator, 15, "csrf")
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let throttled = Login { error: None, wait_seconds: Some(90), ..Login::sample() };
    let email = "lin@example.org<script>".to_owned();
    let confirm = Activation::Confirm { email: email.clone() };
    let password = Activation::Password { email: email.clone() };
    let invitation = Activation::Invitation { email, name: "Lin <b>".to_owned() };
    let wrong = Activate {
        errors: FieldErrors {
            password: Some("This is not the password that was chosen at sign-up.".to_owned()),
            ..FieldErrors::default()
        },
        ..Activate::new(password.clone(), 15, "csrf")
    };
    Ok(vec![
        ("login", Login::new("/files/", "csrf").render()?),
        ("login-wrong", Login::sample().render()?),
        ("login-wait", throttled.render()?),
        ("activate-first", Activate::new(Activation::FirstAdministrator, 15, "csrf").render()?),
        ("activate-errors", Activate::sample().render()?),
        ("activate-confirm", Activate::new(confirm, 15, "csrf").render()?),
        ("activate-password", Activate::new(password, 15, "csrf").render()?),
        ("activate-password-wrong", wrong.render()?),
        ("activate-invitation", Activate::new(invitation, 15, "csrf").render()?),
    ])
}
