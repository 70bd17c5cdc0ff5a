//! The mails that wait, were sent or were given up.

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
    /// To whom it goes.
    pub recipient: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was queued.
    pub queued: Timestamp,
    /// When it is tried next; `None` when it ended.
    pub next: Option<Timestamp>,
    /// What went wrong last.
    pub problem: Option<String>,
}

impl MailRow {
    fn exact(&self, at: Timestamp) -> String {
        human::exact_time(at)
    }

    fn since(&self, now: Timestamp) -> String {
        human::ago(now, self.queued)
    }

    /// When it is tried next; nothing where that is now.
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

    /// What the server said, without what would turn the page around.
    fn said(text: &str) -> String {
        human::name(text).into_owned()
    }
}

/// A state with its number of mails.
#[derive(Clone, Debug)]
pub struct MailState {
    /// The word in the address.
    pub word: &'static str,
    /// The words on the page.
    pub label: &'static str,
    /// How many there are.
    pub count: u64,
    /// Whether it is the one that is shown.
    pub shown: bool,
}

/// `GET /admin/mail`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/mail.html")]
pub struct MailPage {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// The states.
    pub states: Vec<MailState>,
    /// The mails of the one that is shown.
    pub rows: Vec<MailRow>,
    /// The word of the state that is shown.
    pub shown: &'static str,
    /// Whether they can be tried again.
    pub can_retry: bool,
    /// The address in the form for a test mail.
    pub test_address: String,
    /// What was wrong with it.
    pub test_error: Option<String>,
    /// What came of a test mail that was just sent.
    pub tested: Option<Tested>,
    /// To the other pages.
    pub pager: Pager,
    /// The present moment.
    pub now: Timestamp,
}

/// What came of a test mail.
#[derive(Clone, Debug)]
pub struct Tested {
    /// To whom.
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
        MailState { word: "waiting", label: "Waiting", count: 1, shown: true },
        MailState { word: "failed", label: "Given up", count: 0, shown: false },
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
        test_error: Some("An email address looks like name@example.org.".to_owned()),
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
