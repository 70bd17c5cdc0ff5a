//! The pages for browsing: the start page, a folder, and the results of a search.

use std::borrow::Cow;

use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::web::http::files::addresses::{ask_address, new_folder_address, parent_address, trash_address};
use crate::web::http::files::bar::{SelectionBar, Ticks};
use crate::web::http::files::row::{Crumb, Row, crumbs, sample_rows};
use crate::web::http::files::sort::{Heading, Sort, SortBy, headings};
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::{encoded_path, folder_address, shown_name};
use crate::web::shares::rights::Right;

/// `GET /files/`: the start page, with the person's own files and the shares that they may read. What is
/// uploaded here goes to their own files.
#[derive(Clone, Debug, Template)]
#[template(path = "web/shares.html")]
pub struct SharesPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// Their own folder and the roots of the shares, in order, and whether each is available now.
    pub roots: Vec<(FilePath, bool)>,
}

/// A share on the start page, or the person's own files.
struct RootEntry {
    href: String,
    name: String,
    is_home: bool,
    is_available: bool,
}

impl SharesPage {
    fn entries(&self) -> impl Iterator<Item = RootEntry> + '_ {
        let home = self.chrome.home();
        self.roots.iter().map(move |(root, is_available)| RootEntry {
            href: folder_address(root),
            name: shown_name(root, home).into_owned(),
            is_home: home == Some(root),
            is_available: *is_available,
        })
    }

    /// Returns the tools for uploading to the person's own files, if they are available.
    fn tools(&self) -> Option<Tools> {
        let (home, _) =
            self.roots.iter().find(|(root, available)| *available && self.chrome.home() == Some(root))?;
        let ask = ask_address(home);
        Some(Tools { encoded: encoded_path(home), makes_link: true, new_folder: None, trash: None, ask })
    }

    fn home_address(&self) -> String {
        self.chrome.home().map(folder_address).unwrap_or_default()
    }

    fn search(&self) -> SearchBox {
        SearchBox { action: "/files/".to_owned(), query: String::new(), place: "all files".to_owned() }
    }

    /// Returns a page with the person's own files and three shares.
    pub fn sample() -> SharesPage {
        let chrome = Chrome::sample("Files", Section::Files);
        let shares = ["/books", "/Holiday photos 2026", "/<script>alert(1)<script>"];
        let shares = shares.iter().filter_map(|root| root.parse().ok());
        let roots = chrome.home().cloned().into_iter().chain(shares);
        SharesPage {
            roots: roots.map(|root: FilePath| (root.clone(), root.name() != "books")).collect(),
            chrome,
        }
    }
}

/// The search form of a page: `GET` with `q`.
struct SearchBox {
    action: String,
    query: String,
    place: String,
}

/// `GET /files/{share}/{path}`: a folder.
#[derive(Clone, Debug, Template)]
#[template(path = "web/folder.html")]
pub struct FolderPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The folder.
    pub folder: FilePath,
    /// Its entries, in order (see [`Sort::apply`]).
    pub rows: Vec<Row>,
    /// The order of the rows.
    pub sort: Sort,
    /// What the person may do here.
    pub right: Right,
    /// The number of entries on all pages.
    pub total: usize,
    /// Which page this is, counted from 1.
    pub page: usize,
    /// The number of pages.
    pub pages: usize,
    /// What is selected, and what can be done with it.
    pub bar: SelectionBar,
    /// The present moment.
    pub now: Timestamp,
}

impl FolderPage {
    /// Returns the page with this selected.
    pub fn with_selection(self, ticks: Ticks) -> FolderPage {
        let bar = SelectionBar {
            action: folder_address(&self.folder),
            from: self.here(),
            sorted: self.sort.word(),
            can_change: self.may_manage(),
            folder: Some(self.folder.clone()),
            total: self.total,
            ..SelectionBar::default()
        };
        FolderPage { bar: bar.with(ticks, &self.rows, Some(&self.folder)), ..self }
    }

    /// Returns the address of this page of the list, in this order.
    fn here(&self) -> String {
        let mut query = Vec::new();
        if self.sort != Sort::default() {
            query.push(format!("sort={}", self.sort.word()));
        }
        if self.page > 1 {
            query.push(format!("page={}", self.page));
        }
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}{separator}{}", folder_address(&self.folder), query.join("&"))
    }

    fn name(&self) -> Cow<'_, str> {
        shown_name(&self.folder, self.chrome.home())
    }

    fn crumbs(&self) -> Vec<Crumb> {
        crumbs(&self.folder, false, self.chrome.home())
    }

    fn is_home(&self) -> bool {
        self.chrome.home() == Some(&self.folder)
    }

    fn may_write(&self) -> bool {
        self.right >= Right::Write
    }

    fn may_manage(&self) -> bool {
        self.right >= Right::Manage
    }

    fn tools(&self) -> Tools {
        Tools {
            encoded: encoded_path(&self.folder),
            makes_link: false,
            new_folder: Some(new_folder_address(&self.folder)),
            trash: self.may_manage().then(|| trash_address(&self.folder, self.chrome.home())),
            ask: ask_address(&self.folder),
        }
    }

    fn parent(&self) -> String {
        parent_address(&self.folder, self.chrome.home())
    }

    fn headings(&self) -> Vec<Heading> {
        headings(self.sort)
    }

    fn summary(&self) -> String {
        let shown = summary(&self.rows);
        if self.pages == 1 {
            return shown;
        }
        let number = |count: usize| human::grouped(u64::try_from(count).unwrap_or(u64::MAX));
        let (page, pages, total) = (number(self.page), number(self.pages), number(self.total));
        format!("Page {page} of {pages}: {shown}. {total} entries in this folder.")
    }

    /// Returns the numbers of the pages before and after this one.
    fn pager(&self) -> (Option<usize>, Option<usize>) {
        ((self.page > 1).then(|| self.page - 1), (self.page < self.pages).then(|| self.page + 1))
    }

    fn search(&self) -> SearchBox {
        SearchBox {
            action: folder_address(&self.folder),
            query: String::new(),
            place: self.name().into_owned(),
        }
    }

    /// Returns a page with names of every kind.
    pub fn sample(now: Timestamp) -> Option<FolderPage> {
        let folder: FilePath = "/books/Novels & <b>more".parse().ok()?;
        let sort = Sort::default();
        let mut rows = sample_rows(&folder, now);
        sort.apply(&mut rows);
        Some(FolderPage {
            chrome: Chrome::sample("Novels & <script>", Section::Files),
            folder,
            rows,
            sort,
            right: Right::Manage,
            total: 19,
            page: 1,
            pages: 1,
            bar: SelectionBar::default(),
            now,
        })
    }
}

/// The tools above the list, for people who may write.
struct Tools {
    /// The folder, as forms carry it.
    encoded: String,
    /// Whether what is uploaded becomes a link.
    makes_link: bool,
    new_folder: Option<String>,
    trash: Option<String>,
    /// The address of the page on which others are asked for files in this folder.
    ask: String,
}

/// Returns a text such as `3 folders, 12 files, 45.6 MB`.
fn summary(rows: &[Row]) -> String {
    let folders = rows.iter().filter(|row| row.is_folder()).count();
    let files = rows.len() - folders;
    let bytes = rows.iter().filter_map(|row| row.size).fold(0, u64::saturating_add);
    let mut parts = Vec::new();
    if folders > 0 {
        parts.push(counted(folders, "folder"));
    }
    if files > 0 {
        parts.push(counted(files, "file"));
        parts.push(human::size(bytes));
    }
    parts.join(", ")
}

fn counted(count: usize, what: &str) -> String {
    human::counted(u64::try_from(count).unwrap_or(u64::MAX), what)
}

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
    let now = Timestamp::from_secs(1_795_340_096);
    let shares = SharesPage::sample();
    let search = SearchPage::sample(now).with_selection(Ticks::default());
    let mut pages = vec![
        ("shares", shares.render()?),
        ("shares-none", SharesPage { roots: Vec::new(), ..shares }.render()?),
        ("search", search.render()?),
        (
            "search-nothing",
            SearchPage { rows: Vec::new(), too_many: false, ..search.clone() }
                .with_selection(Ticks::default())
                .render()?,
        ),
        (
            "search-stopped",
            SearchPage { rows: Vec::new(), too_many: false, stopped_after: Some(812_345), ..search }
                .render()?,
        ),
    ];
    if let Some(folder) = FolderPage::sample(now) {
        let hostile = folder.folder.join("<script>elsewhere\n").into_iter().collect();
        pages.push(("folder", folder.clone().with_selection(Ticks::default()).render()?));
        pages.push(("folder-selected", folder.clone().with_selection(Ticks::WholePage(hostile)).render()?));
        let by_size = Sort { by: SortBy::Size, descending: true };
        let read = FolderPage { right: Right::Read, ..folder.clone() };
        pages.push((
            "folder-more",
            FolderPage { total: 2_312, page: 2, pages: 3, sort: by_size, ..read.clone() }
                .with_selection(Ticks::Everything)
                .render()?,
        ));
        let empty =
            |page: FolderPage| FolderPage { rows: Vec::new(), ..page }.with_selection(Ticks::default());
        pages.push(("folder-empty", empty(read).render()?));
        pages.push(("folder-empty-write", empty(folder).render()?));
    }
    Ok(pages)
}
