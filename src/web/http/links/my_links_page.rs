//! The list of a person's own links.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::link_state::{LinkState, viewed};

/// A link in the list.
#[derive(Clone, Debug)]
pub struct LinkRow {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: LinkState,
    /// The number of its files and folders.
    pub files: u32,
    /// The number of its recipients.
    pub recipients: u32,
    /// Whether they are named; if not, the link is for anyone who has it.
    pub named: bool,
    /// The uses that all of them have taken.
    pub taken: u32,
    /// The uses that all of them have together; `None` for any number.
    pub uses: Option<u64>,
    /// How often its pages were opened.
    pub views: u32,
    /// When it expires.
    pub ends_at: Option<Timestamp>,
    /// Whether one of its files is missing.
    pub lacks_files: bool,
}

impl LinkRow {
    fn what(&self) -> String {
        let items = human::counted(u64::from(self.files), "item");
        match self.named {
            true => format!("{items}, {}", human::counted(u64::from(self.recipients), "recipient")),
            false => format!("{items}, anyone with the link"),
        }
    }

    fn count(&self) -> String {
        let taken = human::grouped(u64::from(self.taken));
        match self.uses {
            Some(uses) => format!("{taken} of {}", human::counted(uses, "download")),
            None => human::counted(u64::from(self.taken), "download"),
        }
    }

    fn viewed(&self) -> String {
        viewed(self.views)
    }
}

/// `GET /links`
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/list.html")]
pub struct MyLinksPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The links, the newest first.
    pub rows: Vec<LinkRow>,
    /// The address of the page.
    pub here: String,
    /// The addresses of the previous and the next page.
    pub pager: (Option<String>, Option<String>),
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let row = |title: &str, state, uses, views| LinkRow {
        id: "0123456789abcdefghijkl".to_owned(),
        title: title.to_owned(),
        state,
        files: 1,
        recipients: 2,
        named: true,
        taken: 3,
        uses,
        views,
        ends_at: Some(Timestamp::from_secs(1_800_000_000)),
        lacks_files: views > 0,
    };
    let list = MyLinksPage {
        chrome: Chrome::sample("Links", Section::Links),
        rows: vec![
            row("Report <script>alert(1)</script>", LinkState::Open, Some(10), 0),
            row("Photos", LinkState::Paused, None, 1),
            row("Contract", LinkState::UsedUp, Some(3), 2_000),
            LinkRow { ends_at: None, ..row("Old", LinkState::Revoked, None, 1) },
            row("Older", LinkState::Ended, None, 1),
            row("Oldest", LinkState::Gone, None, 1),
        ],
        here: "/links?page=2".to_owned(),
        pager: (Some("/links?page=1".to_owned()), Some("/links?page=3".to_owned())),
    };
    let none = MyLinksPage { rows: Vec::new(), pager: (None, None), ..list.clone() };
    Ok(vec![("links", list.render()?), ("links-none", none.render()?)])
}
