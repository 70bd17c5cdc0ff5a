//! Where a person is logged in.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};

/// One session in the list.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// What it is called by in the form.
    pub name: String,
    /// Browser and system in words.
    pub device: String,
    /// Where it was last used.
    pub address: String,
    /// When the log-in was.
    pub created: Timestamp,
    /// When it was last used.
    pub last_seen: Timestamp,
    /// Whether the device is remembered.
    pub remembered: bool,
    /// Whether it is the one that looks at the page.
    pub own: bool,
}

impl SessionRow {
    /// How long ago something was, and when exactly.
    pub(crate) fn ago(&self, now: Timestamp, then: Timestamp) -> String {
        human::ago(now, then)
    }

    fn exact(&self, then: Timestamp) -> String {
        human::exact_time(then)
    }

    /// One with values that somebody hostile might send.
    pub fn sample(own: bool) -> SessionRow {
        SessionRow {
            name: "n\"<ame".to_owned(),
            device: "Firefox on <b>Linux</b>".to_owned(),
            address: "2001:db8::1".to_owned(),
            created: Timestamp::from_secs(1_790_000_000),
            last_seen: Timestamp::from_secs(1_790_000_300),
            remembered: !own,
            own,
        }
    }
}

/// `GET /account/sessions`; posts `name` to `/account/sessions/end`, and nothing more to
/// `/account/sessions/end-others`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/sessions.html")]
pub struct Sessions {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// The sessions, the last used first.
    pub rows: Vec<SessionRow>,
    /// The present moment.
    pub now: Timestamp,
}

impl Sessions {
    fn has_others(&self) -> bool {
        self.rows.iter().any(|row| !row.own)
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_790_000_900);
    let chrome = Chrome::sample("Where you are logged in", Section::Account);
    let rows = vec![SessionRow::sample(true), SessionRow::sample(false)];
    Ok(vec![
        ("sessions", Sessions { chrome: chrome.clone(), rows, now }.render()?),
        ("sessions-one", Sessions { chrome, rows: vec![SessionRow::sample(true)], now }.render()?),
    ])
}
