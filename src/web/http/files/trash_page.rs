//! The page of the trash of a share, or of a person's own files.

use std::borrow::Cow;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::web::http::files::row::ShownFolder;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::shown_steps;
use crate::web::shares::editor::TrashEntry;

/// `GET /manage/trash`: what was deleted from a share; posts `id` to `/manage/restore` or
/// `/manage/forget`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/trash.html")]
pub struct TrashPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The share's root, or the person's own folder.
    pub share: ShownFolder,
    /// The entries, the newest first.
    pub entries: Vec<TrashEntry>,
    /// The id of an entry that could not be restored or deleted, and why.
    pub error: Option<(String, String)>,
}

impl TrashPage {
    fn rows(&self) -> impl Iterator<Item = TrashRow<'_>> {
        self.entries.iter().map(|entry| TrashRow {
            entry,
            home: self.chrome.home(),
            error: self.error_of(entry),
        })
    }

    fn error_of(&self, entry: &TrashEntry) -> Option<&str> {
        self.error.as_ref().filter(|(id, _)| *id == entry.id).map(|(_, sentence)| sentence.as_str())
    }

    /// Returns a page with three entries, one of which could not be restored.
    pub fn sample(now: Timestamp) -> Option<TrashPage> {
        let entry = |id: &str, path: &str, is_folder| {
            Some(TrashEntry {
                id: id.to_owned(),
                path: path.parse().ok()?,
                is_folder,
                account: "lin".to_owned(),
                trashed_at: Timestamp::from_secs(now.secs().saturating_sub(7_000)),
                forget_at: Timestamp::from_secs(now.secs().saturating_add(2_000_000)),
            })
        };
        Some(TrashPage {
            chrome: Chrome::sample("Trash", Section::Files),
            share: ShownFolder::new("/books".parse().ok()?, None),
            entries: vec![
                entry("one", "/books/Novels & <b>more/<script>alert(1)<script>.pdf", false)?,
                entry("two", "/books/Archive", true)?,
                entry("three", "/books/\u{202e}gnp.exe", false)?,
            ],
            error: Some(("two".to_owned(), "There is something else of this name now.".to_owned())),
        })
    }
}

/// A row of the trash.
struct TrashRow<'p> {
    entry: &'p TrashEntry,
    home: Option<&'p FilePath>,
    error: Option<&'p str>,
}

impl TrashRow<'_> {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.entry.path.name())
    }

    fn icon(&self) -> &'static str {
        if self.entry.is_folder { "folder" } else { human::icon(self.entry.path.name()) }
    }

    /// Returns the folder that it was in.
    fn place(&self) -> String {
        let folder = self.entry.path.parent().unwrap_or_else(|| self.entry.path.clone());
        shown_steps(&folder, self.home).join(" / ")
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_795_340_096);
    let Some(page) = TrashPage::sample(now) else { return Ok(Vec::new()) };
    let empty = TrashPage { entries: Vec::new(), error: None, ..page.clone() };
    Ok(vec![("trash-error", page.render()?), ("trash-empty", empty.render()?)])
}
