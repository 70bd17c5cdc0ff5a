//! The pages about the links of everybody.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::link_state::LinkState;
use crate::web::links::everybody::OwnedLink;

/// One link.
#[derive(Clone, Debug)]
pub struct AdminLinkRow {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its owner's email address.
    pub owner: String,
    /// Its state.
    pub state: LinkState,
    /// The first of its files and folders; empty if it has none yet.
    pub path: String,
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
    /// When it expires.
    pub ends_at: Option<Timestamp>,
}

impl AdminLinkRow {
    pub(crate) fn new(owned: &OwnedLink, state: LinkState) -> AdminLinkRow {
        let listed = &owned.listed;
        AdminLinkRow {
            id: listed.link.id.to_string(),
            title: listed.link.title.clone(),
            owner: owned.owner.clone(),
            state,
            path: owned.path.as_ref().map(|path| path.as_str().to_owned()).unwrap_or_default(),
            files: listed.files,
            recipients: listed.recipients,
            named: listed.named,
            taken: listed.taken,
            uses: listed.uses(),
            ends_at: listed.link.ends_at,
        }
    }

    fn place(&self) -> String {
        match self.files {
            0 | 1 => human::name(&self.path).into_owned(),
            files => format!("{} and {} more", human::name(&self.path), files - 1),
        }
    }

    fn count(&self) -> String {
        let taken = human::grouped(u64::from(self.taken));
        match self.uses {
            Some(uses) => format!("{taken} of {}", human::counted(uses, "download")),
            None => human::counted(u64::from(self.taken), "download"),
        }
    }

    fn whom(&self) -> String {
        match self.named {
            true => human::counted(u64::from(self.recipients), "recipient"),
            false => "anyone with the link".to_owned(),
        }
    }

    fn sample(title: &str, state: LinkState) -> AdminLinkRow {
        AdminLinkRow {
            id: "0123456789abcdefghijkl".to_owned(),
            title: title.to_owned(),
            owner: "lin@example.org\"><script>".to_owned(),
            state,
            path: "/books/<script>alert(1)</script>.pdf".to_owned(),
            files: 3,
            recipients: 2,
            named: state == LinkState::Open,
            taken: 1,
            uses: (state != LinkState::Paused).then_some(20),
            ends_at: (state != LinkState::Paused).then_some(Timestamp::from_secs(1_800_000_000)),
        }
    }
}

/// `GET /admin/links`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/links.html")]
pub struct AdminLinksPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The search.
    pub query: String,
    /// The links of this page.
    pub rows: Vec<AdminLinkRow>,
    /// The addresses of the newest and of the next page.
    pub neighbors: (Option<String>, Option<String>),
}

/// `GET /admin/links/{id}`; posts to `pause`, `resume` and `revoke` below it.
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/link.html")]
pub struct AdminLinkPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The link.
    pub row: AdminLinkRow,
    /// The id of its owner's account.
    pub account: String,
    /// Its files and folders.
    pub files: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it is paused.
    pub paused: bool,
    /// When it was stopped for good.
    pub revoked_at: Option<Timestamp>,
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let list = AdminLinksPage {
        chrome: Chrome::sample("Links", Section::Admin),
        query: "\"><script>".to_owned(),
        rows: vec![
            AdminLinkRow::sample("Report <script>alert(1)</script>", LinkState::Open),
            AdminLinkRow::sample("Photos of a long summer in the mountains", LinkState::Paused),
            AdminLinkRow { files: 0, path: String::new(), ..AdminLinkRow::sample("A", LinkState::Uploading) },
        ],
        neighbors: (Some("/admin/links?q=".to_owned()), Some("/admin/links?q=&after=1.a".to_owned())),
    };
    let none = AdminLinksPage { rows: Vec::new(), neighbors: (None, None), ..list.clone() };
    let one = AdminLinkPage {
        chrome: Chrome::sample("Report <script>", Section::Admin),
        row: AdminLinkRow::sample("Report <script>alert(1)</script>", LinkState::Open),
        account: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        files: vec!["/books/<script>.pdf".to_owned(), "/books/b".to_owned()],
        created_at: Timestamp::from_secs(1_790_000_000),
        paused: false,
        revoked_at: None,
    };
    let paused =
        AdminLinkPage { row: AdminLinkRow::sample("Photos", LinkState::Paused), paused: true, ..one.clone() };
    let stopped = AdminLinkPage {
        row: AdminLinkRow::sample("Old", LinkState::Revoked),
        revoked_at: Some(Timestamp::from_secs(1_790_000_000)),
        ..one.clone()
    };
    Ok(vec![
        ("admin-links", list.render()?),
        ("admin-links-none", none.render()?),
        ("admin-link", one.render()?),
        ("admin-link-paused", paused.render()?),
        ("admin-link-stopped", stopped.render()?),
    ])
}
