//! The list of a person's own file requests.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::requests::own_request::RequestState;

/// A request in the list.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: RequestState,
    /// Its folder as shown.
    pub folder: String,
    /// Its address for guests.
    pub address: String,
    /// Number of files that have arrived.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Maximum number of files.
    pub max_files: u64,
    /// When it ends.
    pub ends_at: Timestamp,
}

impl RequestRow {
    fn count(&self) -> String {
        match self.files {
            0 => "nothing received yet".to_owned(),
            files => format!("{} received, {}", human::counted(files, "file"), human::size(self.bytes)),
        }
    }
}

/// `GET /requests`
#[derive(Clone, Debug, Template)]
#[template(path = "web/requests/list.html")]
pub struct MyRequestsPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The requests, the newest first.
    pub rows: Vec<RequestRow>,
    /// The address of the page.
    pub here: String,
    /// The addresses of the previous and the next page.
    pub pager: (Option<String>, Option<String>),
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let row = |title: &str, state, files| RequestRow {
        id: "0123456789abcdefghijkl".to_owned(),
        title: title.to_owned(),
        state,
        folder: "My files/<b>Photos".to_owned(),
        address: "https://files.example/r/0123456789abcdefghijkl".to_owned(),
        files,
        bytes: files * 1_000_000,
        max_files: 100,
        ends_at: Timestamp::from_secs(1_800_000_000),
    };
    let list = MyRequestsPage {
        chrome: Chrome::sample("Your file requests", Section::Requests),
        rows: vec![
            row("Photos <script>alert(1)</script>", RequestState::Open, 12),
            row("Contract", RequestState::Away, 0),
            row("Homework", RequestState::Full, 100),
            row("Old", RequestState::Ended, 1),
            row("Older", RequestState::Stopped, 0),
        ],
        here: "/requests?page=1".to_owned(),
        pager: (None, Some("/requests?page=2".to_owned())),
    };
    let none = MyRequestsPage { rows: Vec::new(), pager: (None, None), ..list.clone() };
    Ok(vec![("requests", list.render()?), ("requests-none", none.render()?)])
}
