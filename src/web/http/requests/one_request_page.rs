//! The page of one file request, as its owner sees it.

use std::borrow::Cow;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::qr::{self, Qr};
use crate::web::http::requests::new_request_page::NewRequestPage;
use crate::web::http::requests::own_request::RequestState;
use crate::web::links::limits::LinkLimits;
use crate::web::requests::received::ReceivedTotal;
use crate::web::requests::terms::{RequestForm, RequestFormErrors};

/// A file that has arrived.
#[derive(Clone, Debug)]
pub struct ReceivedRow {
    /// What its sender calls themselves; may be empty.
    pub from: String,
    /// The name that its sender gave it.
    pub name: String,
    /// The path that it got, if it has another name; empty if not.
    pub stored: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it arrived.
    pub at: Timestamp,
}

/// A file on its way.
#[derive(Clone, Debug)]
pub struct ComingFile {
    /// What its sender calls themselves; may be empty.
    pub from: String,
    /// Its name.
    pub name: String,
    /// How many bytes have arrived.
    pub bytes: u64,
    /// Its size, if known.
    pub size: Option<u64>,
}

impl ReceivedRow {
    fn name(&self) -> Cow<'_, str> {
        human::name(&self.name)
    }
}

impl ComingFile {
    fn name(&self) -> Cow<'_, str> {
        human::name(&self.name)
    }

    fn percent(&self) -> Option<u64> {
        let size = self.size.filter(|size| *size > 0)?;
        Some(u64::try_from(u128::from(self.bytes) * 100 / u128::from(size)).unwrap_or(100).min(100))
    }

    fn progress(&self) -> String {
        match self.size {
            Some(size) => format!("{} of {}", human::size(self.bytes), human::size(size)),
            None => human::size(self.bytes),
        }
    }
}

/// The part of a request's page that changes while its owner watches. Also rendered alone, for the script that
/// refreshes it.
#[derive(Clone, Debug, Template)]
#[template(path = "web/requests/live.html")]
pub struct RequestLive {
    /// Its state.
    pub state: RequestState,
    /// How much has arrived.
    pub total: ReceivedTotal,
    /// The files that have arrived, newest first.
    pub files: Vec<ReceivedRow>,
    /// The files on their way.
    pub coming: Vec<ComingFile>,
    /// The present moment.
    pub now: Timestamp,
}

impl RequestLive {
    fn received(&self) -> String {
        match self.total.files {
            0 => "Nothing yet".to_owned(),
            files => format!("{}, {}", human::counted(files, "file"), human::size(self.total.bytes)),
        }
    }

    /// Returns how many files are not listed.
    fn more(&self) -> u64 {
        self.total.files.saturating_sub(u64::try_from(self.files.len()).unwrap_or(0))
    }
}

/// `GET /requests/{id}`: a file request as its owner sees it. Posts the fields of [`RequestForm`] to the same
/// address, and a press to `/requests/{id}/stop`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/requests/one.html")]
pub struct OneRequestPage {
    /// The frame of the page; the owner is logged in.
    pub chrome: Chrome,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its address for guests.
    pub address: String,
    /// The QR code of that address.
    pub qr: Option<Qr>,
    /// The address of its folder's page, and the folder as shown.
    pub folder: (String, String),
    /// Maximum number of files and bytes.
    pub max: (u64, u64),
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it asks for a password.
    pub has_password: bool,
    /// The part that changes while its owner watches.
    pub live: RequestLive,
    /// The terms in the form.
    pub typed: RequestForm,
    /// What the operator allows at most.
    pub limits: LinkLimits,
    /// What was wrong with them.
    pub errors: RequestFormErrors,
}

impl OneRequestPage {
    fn can_change(&self) -> bool {
        self.live.state != RequestState::Stopped
    }

    fn most(&self) -> String {
        format!("{}, {}", human::counted(self.max.0, "file"), human::size(self.max.1))
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let at = Timestamp::from_secs(1_800_000_000);
    let (typed, errors) = NewRequestPage::sample_terms();
    let row = |from: &str, name: &str, stored: &str| ReceivedRow {
        from: from.to_owned(),
        name: name.to_owned(),
        stored: stored.to_owned(),
        size: 1_234_567,
        at,
    };
    let live = RequestLive {
        state: RequestState::Open,
        total: ReceivedTotal { files: 502, bytes: 9_000_000 },
        files: vec![
            row("Eve <script>alert(1)</script>", "a<b>\u{202e}gpj.exe", "/books/a<b> (2).exe"),
            row("", "photos/one.jpg", ""),
        ],
        coming: vec![
            ComingFile {
                from: "Lin".to_owned(),
                name: "film<b>.mkv".to_owned(),
                bytes: 5_000,
                size: Some(9_000),
            },
            ComingFile { from: String::new(), name: "unknown".to_owned(), bytes: 5_000, size: None },
        ],
        now: at,
    };
    let address = "https://files.example/r/0123456789abcdefghijkl".to_owned();
    let page = OneRequestPage {
        chrome: Chrome::sample("Photos <script>", Section::Requests),
        id: "0123456789abcdefghijkl".to_owned(),
        title: "Photos <script>alert(1)</script>".to_owned(),
        qr: qr::of(&address),
        address,
        folder: ("/files/books".to_owned(), "/books/<b>".to_owned()),
        max: (100, 2 << 30),
        ends_at: at,
        created_at: at,
        has_password: true,
        live,
        typed,
        limits: LinkLimits::default(),
        errors: RequestFormErrors::default(),
    };
    let of = |state, files: Vec<ReceivedRow>| OneRequestPage {
        live: RequestLive {
            state,
            total: ReceivedTotal { files: 0, bytes: 0 },
            files,
            coming: Vec::new(),
            now: at,
        },
        ..page.clone()
    };
    Ok(vec![
        ("request", page.render()?),
        ("request-errors", OneRequestPage { errors, ..page.clone() }.render()?),
        ("request-away", of(RequestState::Away, Vec::new()).render()?),
        ("request-stopped", of(RequestState::Stopped, Vec::new()).render()?),
    ])
}
