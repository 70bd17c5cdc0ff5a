//! The pages for a new folder, and for one file or folder to rename, move or delete.
//!
//! Their forms carry paths percent-encoded (fields `folder` and `path`), because a form would alter a line
//! break in one.

use std::borrow::Cow;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::moment::Moment;
use crate::web::http::files::addresses::{move_address, parent_address};
use crate::web::http::files::row::{Crumb, Row, ShownFolder, crumbs, sample_rows};
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::encoded_path;

/// `GET /manage/new-folder`; posts `folder` and `name` to `/manage/make-folder`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/new-folder.html")]
pub struct NewFolderPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The folder in which to create the new one.
    pub folder: ShownFolder,
    /// The name as it was typed.
    pub typed_name: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl NewFolderPage {
    /// Returns a page with an error.
    pub fn sample() -> Option<NewFolderPage> {
        Some(NewFolderPage {
            chrome: Chrome::sample("New folder", Section::Files),
            folder: ShownFolder::new("/books/Novels & <b>more".parse().ok()?, None),
            typed_name: "\"><script>alert(1)</script>".to_owned(),
            error: Some("There is already something of this name here.".to_owned()),
        })
    }
}

/// What is wrong with one of the forms of [`ManagePage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManageError {
    /// `POST /manage/rename`: a sentence about the name.
    Rename(String),
    /// `POST /manage/delete`: why it was not deleted.
    Delete(String),
}

/// `GET /manage/entry`: a file or folder; posts `path` and `name` to `/manage/rename`, or `path` to
/// `/manage/delete`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/manage.html")]
pub struct ManagePage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The file or folder.
    pub entry: Row,
    /// How many seconds the trash keeps a deleted entry.
    pub kept: u64,
    /// The number of links to it or to something in it.
    pub links: u64,
    /// The new name as it was typed.
    pub typed_name: String,
    /// What was wrong with a form.
    pub error: Option<ManageError>,
    /// The present moment.
    pub now: Timestamp,
}

impl ManagePage {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.entry.path.name())
    }

    fn what(&self) -> &'static str {
        if self.entry.is_folder() { "folder" } else { "file" }
    }

    fn crumbs(&self) -> Vec<Crumb> {
        crumbs(&self.entry.path, false, self.chrome.home())
    }

    fn encoded(&self) -> String {
        encoded_path(&self.entry.path)
    }

    fn back(&self) -> String {
        parent_address(&self.entry.path, self.chrome.home())
    }

    fn move_address(&self) -> String {
        move_address(&self.entry.path, self.entry.path.parent().as_ref())
    }

    fn kept_until(&self) -> Moment {
        Moment(Timestamp::from_secs(self.now.secs().saturating_add(self.kept)))
    }

    fn kept_for(&self) -> String {
        human::span(self.kept)
    }

    /// Returns a sentence about the links that lead here.
    fn links_shown(&self) -> Option<String> {
        let links = human::counted(self.links, "link");
        let what = if self.entry.is_folder() { "this folder or files in it" } else { "this file" };
        match self.links {
            0 => None,
            1 => Some(format!("{links} leads to {what}. It keeps working if you rename or move it.")),
            _ => Some(format!("{links} lead to {what}. They keep working if you rename or move it.")),
        }
    }

    /// Returns what deleting does to the links that lead here; `None` if there are none.
    fn links_broken(&self) -> Option<String> {
        let links = human::counted(self.links, "link");
        let what = self.what();
        match self.links {
            0 => None,
            1 => Some(format!("{links} will stop working. It works again if you restore the {what}.")),
            _ => Some(format!("{links} will stop working. They work again if you restore the {what}.")),
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

    /// Returns a page with an error about the new name.
    pub fn sample(now: Timestamp) -> Option<ManagePage> {
        let folder: FilePath = "/books/Novels & <b>more".parse().ok()?;
        let entry = sample_rows(&folder, now).into_iter().find(|row| row.path.name().starts_with('<'))?;
        Some(ManagePage {
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

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_795_340_096);
    let mut pages = Vec::new();
    if let Some(page) = NewFolderPage::sample() {
        pages.push(("new-folder-error", page.render()?));
        let fresh = NewFolderPage { typed_name: String::new(), error: None, ..page };
        pages.push(("new-folder", fresh.render()?));
    }
    if let Some(page) = ManagePage::sample(now) {
        pages.push(("manage-rename-error", page.render()?));
        let error = Some(ManageError::Delete("The disk is full.".to_owned()));
        pages.push(("manage-delete-error", ManagePage { error, ..page.clone() }.render()?));
        pages.push(("manage", ManagePage { error: None, ..page.clone() }.render()?));
        pages.push(("manage-no-links", ManagePage { error: None, links: 0, ..page }.render()?));
    }
    Ok(pages)
}
