//! The public page of a file request, for guests.

use std::borrow::Cow;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::Chrome;

/// Who the page is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestView {
    /// Somebody who has to enter the password first.
    MustKnowPassword,
    /// Somebody who has sent nothing yet.
    Welcome,
    /// Somebody with a ticket.
    Admitted {
        /// What they call themselves; may be empty.
        name: String,
        /// The token for the script's requests.
        token: String,
    },
}

/// A file that this guest has sent.
#[derive(Clone, Debug)]
pub struct SentFile {
    /// The name that they gave it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it arrived.
    pub at: Timestamp,
}

impl SentFile {
    fn name(&self) -> Cow<'_, str> {
        human::name(&self.name)
    }

    fn size(&self) -> String {
        human::size(self.size)
    }
}

/// `GET /r/{code}`: posts `name` and `password` to the same address, and files to `/r/{code}/files`. With its
/// script, files are sent over the upload protocol.
#[derive(Clone, Debug, Template)]
#[template(path = "web/requests/public.html")]
pub struct PublicRequestPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Its address.
    pub action: String,
    /// The token of its forms.
    pub csrf: String,
    /// The id of the request.
    pub id: String,
    /// The name of the person who asks.
    pub from: String,
    /// The title.
    pub title: String,
    /// The note; may be empty.
    pub note: String,
    /// Maximum number of files and bytes.
    pub max: (u64, u64),
    /// Maximum size of one file; 0 = no limit.
    pub file_max: u64,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Whether it takes nothing more for now.
    pub is_full: bool,
    /// Whether the person who asks looks at it.
    pub own: bool,
    /// Who the page is for.
    pub guest: GuestView,
    /// The name that was typed, if it is shown again.
    pub typed_name: String,
    /// What is wrong with the name.
    pub name_error: Option<String>,
    /// What is wrong with the password.
    pub password_error: Option<String>,
    /// What this guest has sent.
    pub sent: Vec<SentFile>,
    /// The present moment.
    pub now: Timestamp,
}

impl PublicRequestPage {
    fn most(&self) -> String {
        let (files, bytes) = self.max;
        let most = format!("{}, {} in total", human::counted(files, "file"), human::size(bytes));
        match self.file_max {
            0 => most,
            file if file >= bytes => most,
            file => format!("{most}, each at most {}", human::size(file)),
        }
    }

    fn asks_password(&self) -> bool {
        self.guest == GuestView::MustKnowPassword
    }

    fn token(&self) -> &str {
        match &self.guest {
            GuestView::Admitted { token, .. } => token,
            _ => "",
        }
    }

    fn name(&self) -> &str {
        match &self.guest {
            GuestView::Admitted { name, .. } if self.typed_name.is_empty() => name,
            _ => &self.typed_name,
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let at = Timestamp::from_secs(1_800_000_000);
    let page = PublicRequestPage {
        chrome: Chrome::public("Photos <script>"),
        action: "/r/0123456789abcdefghijkl".to_owned(),
        csrf: "csrf\"'<>".to_owned(),
        id: "0123456789abcdefghijkl".to_owned(),
        from: "Lin <script>alert(1)</script>".to_owned(),
        title: "Photos <script>alert(1)</script>".to_owned(),
        note: "Please <b>all</b> of them.\nThank you".to_owned(),
        max: (100, 2 << 30),
        file_max: 1 << 30,
        ends_at: at,
        is_full: false,
        own: true,
        guest: GuestView::Admitted { name: "Eve \"<b>".to_owned(), token: "x\"y".to_owned() },
        typed_name: String::new(),
        name_error: None,
        password_error: None,
        sent: vec![SentFile { name: "a<b>\u{202e}gpj.exe".to_owned(), size: 1_234_567, at }],
        now: at,
    };
    let welcome = PublicRequestPage {
        guest: GuestView::Welcome,
        own: false,
        note: String::new(),
        sent: Vec::new(),
        name_error: Some("Use <b>another</b> name.".to_owned()),
        ..page.clone()
    };
    let locked = PublicRequestPage {
        guest: GuestView::MustKnowPassword,
        password_error: Some("This password is not correct.".to_owned()),
        ..welcome.clone()
    };
    let full = PublicRequestPage { is_full: true, ..page.clone() };
    Ok(vec![
        ("request-public", page.render()?),
        ("request-public-new", welcome.render()?),
        ("request-public-password", locked.render()?),
        ("request-public-full", full.render()?),
    ])
}
