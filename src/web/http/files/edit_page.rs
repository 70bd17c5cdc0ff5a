//! Pages for changing what is in a share: a new folder, one entry to rename, move or delete, and
//! the trash.
//!
//! Their forms carry paths percent-encoded (fields `folder`, `path` and `to`), because a form would
//! alter a line break within one.

use std::borrow::Cow;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::web::http::files::row::{Crumb, Row, crumbs, manage_address, sample_rows};
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::{encoded_path, folder_address};
use crate::web::shares::editor::Trashed;

/// `GET /manage/new-folder`; posts `folder` and `name` to `/manage/make-folder`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/new-folder.html")]
pub struct NewFolder {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// The folder that is to hold the new one.
    pub folder: FilePath,
    /// The name as it was typed.
    pub typed_name: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl NewFolder {
    fn crumbs(&self) -> Vec<Crumb> {
        crumbs(&self.folder, true)
    }

    fn place(&self) -> Cow<'_, str> {
        human::name(self.folder.name())
    }

    fn encoded(&self) -> String {
        encoded_path(&self.folder)
    }

    fn back(&self) -> String {
        folder_address(&self.folder)
    }

    /// A form that was sent back.
    pub fn sample() -> Option<NewFolder> {
        Some(NewFolder {
            chrome: Chrome::sample("New folder", Section::Files),
            folder: "/books/Novels & <b>more".parse().ok()?,
            typed_name: "\"><script>alert(1)</script>".to_owned(),
            error: Some("There is already something of this name here.".to_owned()),
        })
    }
}

/// What is wrong with one of the forms of [`ManageEntry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManageError {
    /// `POST /manage/rename`: a sentence about the name.
    Rename(String),
    /// `POST /manage/delete`: why it stays.
    Delete(String),
}

/// `GET /manage/entry`: a file or folder; posts `path` and `name` to `/manage/rename`, or `path` to
/// `/manage/delete`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/manage.html")]
pub struct ManageEntry {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// The file or folder.
    pub entry: Row,
    /// For how many seconds the trash keeps what is deleted.
    pub kept: u64,
    /// How many links lead to it, or to something in it.
    pub links: u64,
    /// The new name as it was typed.
    pub typed_name: String,
    /// What was wrong with a form.
    pub error: Option<ManageError>,
    /// The present moment.
    pub now: Timestamp,
}

impl ManageEntry {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.entry.path.name())
    }

    fn what(&self) -> &'static str {
        if self.entry.is_folder() { "folder" } else { "file" }
    }

    fn crumbs(&self) -> Vec<Crumb> {
        crumbs(&self.entry.path, false)
    }

    fn encoded(&self) -> String {
        encoded_path(&self.entry.path)
    }

    fn back(&self) -> String {
        self.entry.path.parent().map_or_else(|| "/files/".to_owned(), |folder| folder_address(&folder))
    }

    fn move_address(&self) -> String {
        move_address(&self.entry.path, self.entry.path.parent().as_ref())
    }

    fn kept_until(&self) -> Timestamp {
        Timestamp::from_secs(self.now.secs().saturating_add(self.kept))
    }

    fn kept_until_shown(&self) -> String {
        human::time(self.kept_until())
    }

    fn kept_for(&self) -> String {
        human::span(self.kept)
    }

    /// What becomes of the links that lead here.
    fn links_shown(&self) -> Option<String> {
        let links = human::counted(self.links, "link");
        let what = if self.entry.is_folder() { "this folder or files in it" } else { "this file" };
        match self.links {
            0 => None,
            1 => Some(format!("{links} leads to {what}. It stops working if you rename, move or delete it.")),
            _ => Some(format!("{links} lead to {what}. They stop working if you rename, move or delete it.")),
        }
    }

    fn rename_error(&self) -> Option<&str> {
        match &self.error {
            Some(ManageError::Rename(sentence)) => Some(sentence),
            _ => None,
        }
    }

    fn delete_error(&self) -> Option<&str> {
        match &self.error {
            Some(ManageError::Delete(sentence)) => Some(sentence),
            _ => None,
        }
    }

    /// A file whose new name was sent back.
    pub fn sample(now: Timestamp) -> Option<ManageEntry> {
        let folder: FilePath = "/books/Novels & <b>more".parse().ok()?;
        let entry = sample_rows(&folder, now).into_iter().find(|row| row.path.name().starts_with('<'))?;
        Some(ManageEntry {
            chrome: Chrome::sample("Manage <script>", Section::Files),
            typed_name: "a/b\"><script>".to_owned(),
            error: Some(ManageError::Rename("A name has no slash in it.".to_owned())),
            entry,
            kept: 30 * 24 * 60 * 60,
            links: 2,
            now,
        })
    }
}

/// The address of the page that asks where to move `path`, with `to` proposed.
fn move_address(path: &FilePath, to: Option<&FilePath>) -> String {
    let to = to.map(|to| format!("&to={}", encoded_path(to))).unwrap_or_default();
    format!("/manage/to?path={}{to}", encoded_path(path))
}

/// `GET /manage/to`: where to move something; posts `path` and `to` to `/manage/move`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/move.html")]
pub struct MoveTo {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// What is to be moved.
    pub path: FilePath,
    /// The folder that is looked at.
    pub to: FilePath,
    /// The folders in it, in the order to show.
    pub folders: Vec<FilePath>,
    /// How many more folders it has.
    pub more: usize,
    /// The shares in which the person may put something; they are offered from a share's root.
    pub shares: Vec<String>,
    /// Why it was not moved.
    pub error: Option<String>,
}

impl MoveTo {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.path.name())
    }

    fn place(&self) -> Cow<'_, str> {
        human::name(self.to.name())
    }

    fn is_there(&self) -> bool {
        self.path.parent().as_ref() == Some(&self.to)
    }

    fn encoded(&self) -> String {
        encoded_path(&self.path)
    }

    fn to_encoded(&self) -> String {
        encoded_path(&self.to)
    }

    /// The way to the folder that is looked at; each step can be looked at instead.
    fn steps(&self) -> Vec<Crumb> {
        let mut steps = Vec::new();
        let mut step = self.to.parent();
        while let Some(folder) = step {
            let name = human::name(folder.name()).into_owned();
            steps.push(Crumb { name, href: move_address(&self.path, Some(&folder)) });
            step = folder.parent();
        }
        steps.reverse();
        steps
    }

    fn choices(&self) -> Vec<Crumb> {
        let choice = |folder: &FilePath| Crumb {
            name: human::name(folder.name()).into_owned(),
            href: move_address(&self.path, Some(folder)),
        };
        self.folders.iter().map(choice).collect()
    }

    fn more_shown(&self) -> String {
        human::counted(u64::try_from(self.more).unwrap_or(u64::MAX), "folder")
    }

    fn other_shares(&self) -> Vec<Crumb> {
        let others = self.shares.iter().filter(|share| share.as_str() != self.to.share());
        let roots = others.filter_map(|share| format!("/{share}").parse::<FilePath>().ok());
        roots
            .map(|root| Crumb {
                name: human::name(root.name()).into_owned(),
                href: move_address(&self.path, Some(&root)),
            })
            .collect()
    }

    fn back(&self) -> String {
        manage_address(&self.path)
    }

    fn new_folder(&self) -> String {
        new_folder_address(&self.to)
    }

    /// A folder with others in it.
    pub fn sample() -> Option<MoveTo> {
        let to: FilePath = "/books/Novels & <b>more".parse().ok()?;
        let names = ["Archive", "<script>alert(1)<script>", "\u{202e}gnp.exe", "我这一辈子"];
        Some(MoveTo {
            chrome: Chrome::sample("Move <script>", Section::Files),
            path: "/books/a\nb\"><script>.txt".parse().ok()?,
            folders: names.iter().filter_map(|name| to.join(name).ok()).collect(),
            to,
            more: 1_200,
            shares: vec!["books".to_owned(), "<b>music".to_owned()],
            error: Some("There is already something of this name there.".to_owned()),
        })
    }
}

/// `GET /manage/trash`: what was deleted from a share; posts `id` to `/manage/restore` or
/// `/manage/forget`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/trash.html")]
pub struct Trash {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// The share's root.
    pub share: FilePath,
    /// What is in the trash, newest first.
    pub entries: Vec<Trashed>,
    /// The id of what could not be put back, and why.
    pub error: Option<(String, String)>,
    /// The present moment.
    pub now: Timestamp,
}

impl Trash {
    fn crumbs(&self) -> Vec<Crumb> {
        crumbs(&self.share, true)
    }

    fn place(&self) -> Cow<'_, str> {
        human::name(self.share.name())
    }

    fn back(&self) -> String {
        folder_address(&self.share)
    }

    fn rows(&self) -> impl Iterator<Item = TrashRow<'_>> {
        self.entries.iter().map(|entry| TrashRow { entry, now: self.now, error: self.error_of(entry) })
    }

    fn error_of(&self, entry: &Trashed) -> Option<&str> {
        self.error.as_ref().filter(|(id, _)| *id == entry.id).map(|(_, sentence)| sentence.as_str())
    }

    /// A trash with three entries, one of which could not be put back.
    pub fn sample(now: Timestamp) -> Option<Trash> {
        let entry = |id: &str, path: &str, is_folder| {
            Some(Trashed {
                id: id.to_owned(),
                path: path.parse().ok()?,
                is_folder,
                account: "lin".to_owned(),
                trashed_at: Timestamp::from_secs(now.secs().saturating_sub(7_000)),
                forget_at: Timestamp::from_secs(now.secs().saturating_add(2_000_000)),
            })
        };
        Some(Trash {
            chrome: Chrome::sample("Trash", Section::Files),
            share: "/books".parse().ok()?,
            entries: vec![
                entry("one", "/books/Novels & <b>more/<script>alert(1)<script>.pdf", false)?,
                entry("two", "/books/Archive", true)?,
                entry("three", "/books/\u{202e}gnp.exe", false)?,
            ],
            error: Some(("two".to_owned(), "There is something else of this name now.".to_owned())),
            now,
        })
    }
}

/// A line of the trash.
struct TrashRow<'p> {
    entry: &'p Trashed,
    now: Timestamp,
    error: Option<&'p str>,
}

impl TrashRow<'_> {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.entry.path.name())
    }

    fn icon(&self) -> &'static str {
        if self.entry.is_folder { "folder" } else { human::icon(self.entry.path.name()) }
    }

    /// The folder that it was in.
    fn place(&self) -> String {
        let folder = self.entry.path.parent().unwrap_or_else(|| self.entry.path.clone());
        folder.components().map(human::name).collect::<Vec<_>>().join(" / ")
    }

    fn ago(&self) -> String {
        human::ago(self.now, self.entry.trashed_at)
    }

    fn until(&self) -> String {
        human::time(self.entry.forget_at)
    }
}
/// The address of the form for a new folder in `folder`.
pub(crate) fn new_folder_address(folder: &FilePath) -> String {
    format!("/manage/new-folder?folder={}", encoded_path(folder))
}

/// The address of a share's trash.
pub fn trash_address(path: &FilePath) -> String {
    let root = format!("/{}", path.share()).parse::<FilePath>();
    format!("/manage/trash?share={}", root.map(|root| encoded_path(&root)).unwrap_or_default())
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_795_340_096);
    let mut pages = Vec::new();
    if let Some(page) = NewFolder::sample() {
        pages.push(("new-folder-error", page.render()?));
        let fresh = NewFolder { typed_name: String::new(), error: None, ..page };
        pages.push(("new-folder", fresh.render()?));
    }
    if let Some(page) = ManageEntry::sample(now) {
        pages.push(("manage-rename-error", page.render()?));
        let stays = ManageError::Delete("The disk is full.".to_owned());
        pages.push(("manage-delete-error", ManageEntry { error: Some(stays), ..page.clone() }.render()?));
        pages.push(("manage", ManageEntry { error: None, ..page }.render()?));
    }
    if let Some(page) = MoveTo::sample() {
        pages.push(("move-error", page.render()?));
        let none = MoveTo { folders: Vec::new(), more: 0, shares: Vec::new(), error: None, ..page };
        pages.push(("move-no-folders", none.render()?));
    }
    if let Some(page) = Trash::sample(now) {
        pages.push(("trash-error", page.render()?));
        pages.push(("trash-empty", Trash { entries: Vec::new(), error: None, ..page }.render()?));
    }
    Ok(pages)
}
