//! The page that lists where a person is logged in.

use askama::Template;

use crate::clock::Timestamp;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::session_row::SessionRow;

/// `GET /account/sessions`; posts `name` to `/account/sessions/end`, and nothing more to
/// `/account/sessions/end-others`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/sessions.html")]
pub struct SessionsPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The sessions, the last used first.
    pub rows: Vec<SessionRow>,
    /// The present moment.
    pub now: Timestamp,
}

impl SessionsPage {
    fn has_others(&self) -> bool {
        self.rows.iter().any(|row| !row.own)
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_790_000_900);
    let chrome = Chrome::sample("Where you are logged in", Section::Account);
    let rows = vec![SessionRow::sample(true), SessionRow::sample(false)];
    Ok(vec![
        ("sessions", SessionsPage { chrome: chrome.clone(), rows, now }.render()?),
        ("sessions-one", SessionsPage { chrome, rows: vec![SessionRow::sample(true)], now }.render()?),
    ])
}
