//! The mails that wait, were sent or were given up.

use askama::Template;

use super::{Pager, sample_chrome};
use crate::clock::Timestamp;
use crate::human;
use crate::web::pages::Chrome;

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
pub struct MailList {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// The states.
    pub states: Vec<MailState>,
    /// The mails of the one that is shown.
    pub rows: Vec<MailRow>,
    /// Whether they can be tried again.
    pub can_retry: bool,
    /// To the other pages.
    pub pager: Pager,
}

pub(super) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let row = MailRow {
        id: "id\"<".to_owned(),
        about: "activation",
        recipient: "lin@example.org<script>".to_owned(),
        attempts: 3,
        queued: Timestamp::from_secs(1_790_000_000),
        next: Some(Timestamp::from_secs(1_790_000_600)),
        problem: Some("connection refused <b>".to_owned()),
    };
    let states = vec![
        MailState { word: "waiting", label: "Waiting", count: 1, shown: true },
        MailState { word: "failed", label: "Given up", count: 0, shown: false },
    ];
    let page = MailList {
        chrome: sample_chrome("Mails"),
        states,
        rows: vec![row],
        can_retry: true,
        pager: Pager::default(),
    };
    let none = MailList { rows: Vec::new(), ..page.clone() };
    Ok(vec![("admin-mail", page.render()?), ("admin-mail-none", none.render()?)])
}
