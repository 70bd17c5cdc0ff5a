//! The page of what a search by name found.

use std::borrow::Cow;

use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::web::http::files::bar::{SelectionBar, Ticks};
use crate::web::http::files::browse_parts::{SearchBox, counted};
use crate::web::http::files::row::{Crumb, Row, crumbs, sample_rows};
use crate::web::http::files::sort::{Heading, Sort, SortBy, headings};
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::{folder_address, shown_name};

/// `GET /files/…?q=`: what a search by name found.
#[derive(Clone, Debug, Template)]
#[template(path = "web/search.html")]
pub struct SearchPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The search.
    pub query: String,
    /// The folder that was searched; `None` for all files.
    pub within: Option<FilePath>,
    /// What was found, in order.
    pub rows: Vec<Row>,
    /// The order of the rows.
    pub sort: Sort,
    /// Whether there are more hits than these.
    pub too_many: bool,
    /// The number of names after which the search stopped early, if it did.
    pub stopped_after: Option<usize>,
    /// What is selected, and what can be done with it.
    pub bar: SelectionBar,
    /// The present moment.
    pub now: Timestamp,
}

impl SearchPage {
    /// Returns the page with this selected.
    pub fn with_selection(self, ticks: Ticks) -> SearchPage {
        let bar = SelectionBar {
            action: self.search().action,
            from: self.here(),
            sorted: self.sort.word(),
            total: self.rows.len(),
            ..self.bar.clone()
        };
        SearchPage { bar: bar.with(ticks, &self.rows, self.within.as_ref()), ..self }
    }

    fn here(&self) -> String {
        let search = self.search();
        format!("{}?q={}", search.action, utf8_percent_encode(&self.query, NON_ALPHANUMERIC))
    }

    fn crumbs(&self) -> Vec<Crumb> {
        match &self.within {
            Some(folder) => crumbs(folder, true, self.chrome.home()),
            None => vec![Crumb { name: "Files".to_owned(), href: "/files/".to_owned() }],
        }
    }

    fn headings(&self) -> Vec<Heading> {
        headings(self.sort)
    }

    fn shown_query(&self) -> Cow<'_, str> {
        human::name(&self.query)
    }

    fn place(&self) -> String {
        let name = |folder| shown_name(folder, self.chrome.home()).into_owned();
        self.within.as_ref().map_or_else(|| "all files".to_owned(), name)
    }

    fn found(&self) -> String {
        if self.too_many {
            format!("The first {}", counted(self.rows.len(), "hit"))
        } else {
            counted(self.rows.len(), "hit")
        }
    }

    fn stopped_after(&self) -> Option<String> {
        self.stopped_after.map(|count| counted(count, "name"))
    }

    fn search(&self) -> SearchBox {
        SearchBox {
            action: self.within.as_ref().map_or_else(|| "/files/".to_owned(), folder_address),
            query: self.query.clone(),
            place: self.place(),
        }
    }

    /// Returns a page with more hits than are shown, in several folders.
    pub fn sample(now: Timestamp) -> SearchPage {
        let rows = ["/books", "/books/Novels & <b>more", "/music/2026/live"]
            .iter()
            .filter_map(|folder| folder.parse().ok())
            .flat_map(|folder| sample_rows(&folder, now).into_iter().take(4))
            .collect();
        SearchPage {
            chrome: Chrome::sample("Search", Section::Files),
            query: "我 <script>alert(1)</script>".to_owned(),
            within: None,
            rows,
            sort: Sort { by: SortBy::Modified, descending: true },
            too_many: true,
            stopped_after: None,
            bar: SelectionBar { can_change: true, ..SelectionBar::default() },
            now,
        }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let search = SearchPage::sample(Timestamp::from_secs(1_795_340_096)).with_selection(Ticks::default());
    let nothing = SearchPage { rows: Vec::new(), too_many: false, ..search.clone() };
    let stopped = SearchPage { stopped_after: Some(812_345), ..nothing.clone() };
    Ok(vec![
        ("search", search.render()?),
        ("search-nothing", nothing.with_selection(Ticks::default()).render()?),
        ("search-stopped", stopped.render()?),
    ])
}
