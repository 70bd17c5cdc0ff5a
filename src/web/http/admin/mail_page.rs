//! The page of the mails that wait, were sent or were given up.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::admin::pager::Pager;
use crate::web::http::layout::{Chrome, Section};

/// One mail.
#[derive(Clone, Debug)]
pub struct MailRow {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub about: &'static str,
    /// Its recipient.
    pub recipient: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was queued.
    pub queued: Timestamp,
    /// When it is tried next; `None` for a mail that is done.
    pub next: Option<Timestamp>,
    /// What went wrong in the last try.
    pub problem: Option<String>,
}

impl MailRow {
    /// Returns how long it waits for the next try; `None` if that is due now.
    fn next_try(&self, now: Timestamp) -> Option<String> {
        let next = self.next.filter(|next| *next > now)?;
        Some(human::wait(next.secs().saturating_sub(now.secs())))
    }

    fn tries(&self) -> String {
        match self.attempts {
            1 => "tried once".to_owned(),
            attempts => format!("tried {} times", human::grouped(u64::from(attempts))),
        }
    }

    /// Returns what the server said, without characters that would reverse the text.
    fn said(text: &str) -> String {
        human::name(text).into_owned()
    }
}

/// A state with its number of mails.
#[derive(Clone, Debug)]
pub struct MailStateRow {
    /// The word in the address.
    pub word: &'static str,
    /// The words on the page.
    pub label: &'static str,
    /// The number of mails.
    pub count: u64,
    /// Whether its mails are shown.
    pub shown: bool,
}

/// `GET /admin/mail`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/mail.html")]
pub struct MailPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The states.
    pub states: Vec<MailStateRow>,
    /// The mails in the state that is shown.
    pub rows: Vec<MailRow>,
    /// The word of the state that is shown.
    pub shown: &'static str,
    /// Whether they can be tried again.
    pub can_retry: bool,
    /// The address in the form for a test mail.
    pub test_address: String,
    /// The error about that address.
    pub test_error: Option<String>,
    /// The outcome of a test mail that was just sent.
    pub tested: Option<Tested>,
    /// The links to the other pages.
    pub pager: Pager,
    /// The present moment.
    pub now: Timestamp,
}

/// The outcome of a test mail.
#[derive(Clone, Debug)]
pub struct Tested {
    /// Its recipient.
    pub to: String,
    /// What the server said, or what went wrong.
    pub answer: Result<String, String>,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let row = MailRow {
        id: "id\"<".to_owned(),
        about: "activation",
        recipient: "lin@example.org<script>".to_owned(),
        attempts: 3,
        queued: Timestamp::from_secs(1_790_000_000),
        next: Some(Timestamp::from_secs(1_790_000_600)),
        problem: Some("connection refused <b>".to_owned()),
    };
    let refused = MailRow {
        attempts: 1,
        next: None,
        problem: Some("mail.example:25, recipient: 550 5.1.1 no such user \u{202e}".to_owned()),
        ..row.clone()
    };
    let states = vec![
        MailStateRow { word: "waiting", label: "Waiting", count: 1, shown: true },
        MailStateRow { word: "failed", label: "Given up", count: 0, shown: false },
    ];
    let page = MailPage {
        chrome: Chrome::sample("Emails", Section::Admin),
        states,
        rows: vec![row],
        shown: "waiting",
        can_retry: true,
        test_address: "root@example.org".to_owned(),
        test_error: None,
        tested: None,
        pager: Pager::default(),
        now: Timestamp::from_secs(1_790_000_400),
    };
    let none = MailPage { rows: Vec::new(), ..page.clone() };
    let tested = |answer| Some(Tested { to: "root@example.org<b>".to_owned(), answer });
    let failed = MailPage {
        tested: tested(Err("mail.example:25, recipient: 550 <b> relay not permitted \u{202e}".to_owned())),
        rows: vec![refused],
        shown: "failed",
        ..page.clone()
    };
    let went = MailPage { tested: tested(Ok("250 queued as <b>".to_owned())), ..none.clone() };
    let wrong = MailPage {
        test_address: "nobody\"><b>".to_owned(),
        test_error: Some("Enter an email address like name@example.org.".to_owned()),
        ..none.clone()
    };
    Ok(vec![
        ("admin-mail", page.render()?),
        ("admin-mail-none", none.render()?),
        ("admin-mail-test-failed", failed.render()?),
        ("admin-mail-tested", went.render()?),
        ("admin-mail-test-wrong", wrong.render()?),
    ])
}
