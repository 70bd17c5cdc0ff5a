//! The page that asks where to move a file or folder. Its form carries paths percent-encoded.

use std::borrow::Cow;

use askama::Template;

use crate::human;
use crate::id::FilePath;
use crate::web::http::files::addresses::{manage_address, move_address, new_folder_address};
use crate::web::http::files::row::Crumb;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::{encoded_path, folder_above, shown_name};

/// `GET /manage/to`: where to move something; posts `path` and `to` to `/manage/move`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/move.html")]
pub struct MovePage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// The file or folder to move.
    pub path: FilePath,
    /// The folder that the page shows.
    pub to: FilePath,
    /// Its subfolders, in order.
    pub folders: Vec<FilePath>,
    /// The number of subfolders that are not shown.
    pub more: usize,
    /// The shares that the person may write to, and their own folder.
    pub roots: Vec<FilePath>,
    /// Why it was not moved.
    pub error: Option<String>,
}

impl MovePage {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.path.name())
    }

    fn place(&self) -> Cow<'_, str> {
        shown_name(&self.to, self.chrome.home())
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

    /// Returns the folders above the shown one, each with its own page.
    fn steps(&self) -> Vec<Crumb> {
        let above = |path: &FilePath| folder_above(path, self.chrome.home());
        let above = std::iter::successors(above(&self.to), above);
        let mut steps: Vec<Crumb> = above.map(|folder| self.step(&folder)).collect();
        steps.reverse();
        steps
    }

    fn step(&self, folder: &FilePath) -> Crumb {
        let name = shown_name(folder, self.chrome.home()).into_owned();
        Crumb { name, href: move_address(&self.path, Some(folder)) }
    }

    fn choices(&self) -> Vec<Crumb> {
        self.folders.iter().map(|folder| self.step(folder)).collect()
    }

    fn more_shown(&self) -> String {
        human::counted(u64::try_from(self.more).unwrap_or(u64::MAX), "folder")
    }

    fn other_shares(&self) -> Vec<Crumb> {
        let others = self.roots.iter().filter(|root| !self.to.is_within(root));
        others.map(|root| self.step(root)).collect()
    }

    fn back(&self) -> String {
        manage_address(&self.path)
    }

    fn new_folder(&self) -> String {
        new_folder_address(&self.to)
    }

    /// Returns a page with several subfolders and an error.
    pub fn sample() -> Option<MovePage> {
        let to: FilePath = "/books/Novels & <b>more".parse().ok()?;
        let names = ["Archive", "<script>alert(1)<script>", "\u{202e}gnp.exe", "我这一辈子"];
        let chrome = Chrome::sample("Move <script>", Section::Files);
        let home = chrome.home()?.clone();
        Some(MovePage {
            chrome,
            path: "/books/a\nb\"><script>.txt".parse().ok()?,
            folders: names.iter().filter_map(|name| to.join(name).ok()).collect(),
            to,
            more: 1_200,
            roots: vec![home, "/books".parse().ok()?, "/<b>music".parse().ok()?],
            error: Some("There is already something of this name there.".to_owned()),
        })
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let Some(page) = MovePage::sample() else { return Ok(Vec::new()) };
    let none = MovePage { folders: Vec::new(), more: 0, roots: Vec::new(), error: None, ..page.clone() };
    Ok(vec![("move-error", page.render()?), ("move-no-folders", none.render()?)])
}
