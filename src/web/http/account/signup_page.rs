//! Pages of signing up, and the one that says to look for a mail.

use askama::Template;

use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::Chrome;

/// `GET /signup`; posts `email`, `name`, `password`, `password_again` and `csrf` to `/signup`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/signup.html")]
pub struct SignUpPage {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// The address typed before.
    pub email: String,
    /// The name typed before.
    pub name: String,
    /// Fewest characters of a password.
    pub password_min: usize,
    /// CSRF token of this browser.
    pub csrf: String,
    /// The mail domains of which one may sign up; none means any.
    pub domains: Vec<String>,
    /// What was wrong with what was typed before.
    pub errors: FieldErrors,
}

impl SignUpPage {
    /// The page before anything was typed.
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

    /// A form sent back with everything wrong.
    pub fn sample() -> SignUpPage {
        SignUpPage {
            email: "not an address <script>".to_owned(),
            name: "\"><script>alert(1)</script>".to_owned(),
            errors: FieldErrors {
                email: Some("An e-mail address looks like name@example.org.".to_owned()),
                name: Some("A name has 1 to 100 characters on one line.".to_owned()),
                password: Some("A password has at least 15 characters.".to_owned()),
                password_again: Some("The two passwords differ.".to_owned()),
                ..FieldErrors::default()
            },
            ..SignUpPage::new(15, vec!["example.org".to_owned(), "<b>.example".to_owned()], "c\"srf")
        }
    }
}

/// What a mail was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentKind {
    /// An account.
    SignUp,
    /// Another password.
    Forgot,
    /// A new link in place of an old one.
    Link,
}

/// The page after a mail was asked for. The same whether or not there is an account.
#[derive(Clone, Debug, Template)]
#[template(path = "web/mail-sent.html")]
pub struct MailSentPage {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// What was asked for.
    pub kind: SentKind,
    /// Whether this server only writes its mails down.
    pub outbox: bool,
}

impl MailSentPage {
    /// The page.
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
