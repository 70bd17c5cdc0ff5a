//! Pages of accounts: log in, activate, and a person's own account.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::pages::{Chrome, Flash, FlashKind, Section};

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
            ..Login::new("/files/books/", "c\"srf")
        }
    }
}

/// What is wrong with the fields of a form, each said in one sentence beside its field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    /// Of the whole form.
    pub form: Option<String>,
    /// Of `email`.
    pub email: Option<String>,
    /// Of `name`.
    pub name: Option<String>,
    /// Of `current_password`.
    pub current_password: Option<String>,
    /// Of `password`.
    pub password: Option<String>,
    /// Of `password_again`.
    pub password_again: Option<String>,
}

impl FieldErrors {
    /// Whether anything is wrong.
    pub fn any(&self) -> bool {
        *self != FieldErrors::default()
    }
}

/// What an action link of activation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The first administrator: asks for `email`, `name`, `password` and `password_again`.
    FirstAdministrator,
    /// An account that an administrator made: asks for `password` and `password_again`.
    SetPassword {
        /// The account's address.
        email: String,
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
            Activation::SetPassword { .. } => "Choose your password",
        };
        Activate {
            chrome: Chrome::public(title),
            activation,
            email: String::new(),
            name: String::new(),
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
            },
            ..Activate::new(Activation::FirstAdministrator, 15, "csrf")
        }
    }
}

/// What comes after an activation, and what its second click shows: log in here.
#[derive(Clone, Debug, Template)]
#[template(path = "web/activated.html")]
pub struct Activated {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// Whether it had been done before this click.
    pub already: bool,
}

impl Activated {
    /// The page, for the first click or a later one.
    pub fn new(already: bool) -> Activated {
        let title = if already { "This is already done" } else { "Your account is ready" };
        Activated { chrome: Chrome::public(title), already }
    }

    /// The page after the second click.
    pub fn sample() -> Activated {
        Activated::new(true)
    }
}

/// `GET /account`; the password form posts `current_password`, `password`, `password_again` and
/// `csrf` to `/account/password`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/account.html")]
pub struct Account {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// The person's name.
    pub name: String,
    /// The person's address.
    pub email: String,
    /// Whether the person is an administrator.
    pub admin: bool,
    /// The groups the person is in.
    pub groups: Vec<String>,
    /// When the account was made.
    pub created: Timestamp,
    /// Fewest characters of a password.
    pub password_min: usize,
    /// What was wrong with what was typed before.
    pub errors: FieldErrors,
}

impl Account {
    fn created_date(&self) -> String {
        human::date(self.created)
    }

    fn created_exact(&self) -> String {
        human::exact_time(self.created)
    }

    /// A page with a password form sent back.
    pub fn sample() -> Account {
        let mut chrome = Chrome::sample("Your account", Section::Account);
        chrome.flash = Some(Flash { kind: FlashKind::Done, text: "Your password is changed.".to_owned() });
        Account {
            chrome,
            name: "Lin Mei <script>alert(1)</script>".to_owned(),
            email: "lin@example.org".to_owned(),
            admin: true,
            groups: vec!["staff".to_owned(), "<b>readers</b>".to_owned()],
            created: Timestamp::from_secs(1_790_000_000),
            password_min: 15,
            errors: FieldErrors {
                current_password: Some("This is not your current password.".to_owned()),
                password: Some("This password is too common: anyone might guess it.".to_owned()),
                ..FieldErrors::default()
            },
        }
    }
}

pub(super) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let throttled = Login { error: None, wait_seconds: Some(90), ..Login::sample() };
    let set_password = Activation::SetPassword { email: "lin@example.org<script>".to_owned() };
    let account = Account::sample();
    let calm = Account {
        chrome: Chrome { flash: None, ..account.chrome.clone() },
        name: "Lin Mei".to_owned(),
        admin: false,
        groups: Vec::new(),
        errors: FieldErrors::default(),
        ..account.clone()
    };
    Ok(vec![
        ("login", Login::new("/files/", "csrf").render()?),
        ("login-wrong", Login::sample().render()?),
        ("login-wait", throttled.render()?),
        ("activate-first", Activate::new(Activation::FirstAdministrator, 15, "csrf").render()?),
        ("activate-errors", Activate::sample().render()?),
        ("activate-password", Activate::new(set_password, 15, "csrf").render()?),
        ("activated", Activated::new(false).render()?),
        ("activated-already", Activated::sample().render()?),
        ("account", calm.render()?),
        ("account-errors", account.render()?),
    ])
}
