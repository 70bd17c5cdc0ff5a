//! The page of a folder.

use std::borrow::Cow;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::web::http::files::addresses::{ask_address, new_folder_address, parent_address, trash_address};
use crate::web::http::files::bar::{SelectionBar, Ticks};
use crate::web::http::files::browse_parts::{SearchBox, Tools, counted};
use crate::web::http::files::row::{Crumb, Row, crumbs, sample_rows};
use crate::web::http::files::sort::{Heading, Sort, SortBy, headings};
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::{encoded_path, folder_address, shown_name};
use crate::web::shares::rights::Right;

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

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let mut pages = Vec::new();
    if let Some(folder) = FolderPage::sample(Timestamp::from_secs(1_795_340_096)) {
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
