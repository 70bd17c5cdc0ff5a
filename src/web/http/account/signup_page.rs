//! The pages for signing up, and the page that asks people to check their email.

use askama::Template;

use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::Chrome;

/// `GET /signup`; posts `email`, `name`, `password`, `password_again` and `csrf` to `/signup`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/signup.html")]
pub struct SignUpPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The address typed before.
    pub email: String,
    /// The name typed before.
    pub name: String,
    /// The minimum length of a password.
    pub password_min: usize,
    /// The CSRF token of this browser.
    pub csrf: String,
    /// The mail domains with which people may sign up; empty for any.
    pub domains: Vec<String>,
    /// The errors in what was typed before.
    pub errors: FieldErrors,
}

impl SignUpPage {
    /// Returns the empty page.
    pub fn new(password_min: usize, domains: Vec<String>, csrf: impl Into<String>) -> SignUpPage {
        SignUpPage {
            chrome: Chrome::public("Sign up"),
            email: String::new(),
            name: String::new(),
            password_min,
            csrf: csrf.into(),
            domains,
            errors: FieldErrors::default(),
        }
    }

    fn allowed(&self) -> String {
        self.domains.join(" or ")
    }

    fn any_error(&self) -> bool {
        self.errors.any()
    }

    /// Returns a page with an error at every field.
    pub fn sample() -> SignUpPage {
        SignUpPage {
            email: "not an address <script>".to_owned(),
            name: "\"><script>alert(1)</script>".to_owned(),
            errors: FieldErrors {
                email: Some("Enter an email address like name@example.org.".to_owned()),
                name: Some("A name must be on one line and have 1 to 100 characters.".to_owned()),
                password: Some("A password must have at least 15 characters.".to_owned()),
                password_again: Some("The two passwords differ.".to_owned()),
                ..FieldErrors::default()
            },
            ..SignUpPage::new(15, vec!["example.org".to_owned(), "<b>.example".to_owned()], "c\"srf")
        }
    }
}

/// Why a mail was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentKind {
    /// To sign up.
    SignUp,
    /// To set a new password.
    Forgot,
    /// To get a new link in place of an old one.
    Link,
}

/// The page after a mail was requested. It is the same whether or not there is an account.
#[derive(Clone, Debug, Template)]
#[template(path = "web/mail-sent.html")]
pub struct MailSentPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Why the mail was requested.
    pub kind: SentKind,
    /// Whether this server only saves its mails in a folder.
    pub outbox: bool,
}

impl MailSentPage {
    /// Returns the page.
    pub fn new(kind: SentKind, outbox: bool) -> MailSentPage {
        MailSentPage { chrome: Chrome::public("Check your email"), kind, outbox }
    }

    const fn sentence(&self) -> &'static str {
        match self.kind {
            SentKind::SignUp => {
                "We sent an email to the address you entered. Open the link in it with this browser to activate your \
                 account."
            }
            SentKind::Forgot => {
                "If the address you entered has an account, we sent an email to it. Open the link in it to choose a new \
                 password."
            }
            SentKind::Link => "We sent you an email with a new link.",
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    Ok(vec![
        ("signup", SignUpPage::new(15, Vec::new(), "csrf").render()?),
        ("signup-errors", SignUpPage::sample().render()?),
        ("mail-sent-signup", MailSentPage::new(SentKind::SignUp, true).render()?),
        ("mail-sent-forgot", MailSentPage::new(SentKind::Forgot, false).render()?),
        ("mail-sent-link", MailSentPage::new(SentKind::Link, false).render()?),
    ])
}
