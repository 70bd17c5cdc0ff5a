//! The start page: the person's own files, and the shares that they may read.

use askama::Template;

use crate::id::FilePath;
use crate::web::http::files::addresses::ask_address;
use crate::web::http::files::browse_parts::{SearchBox, Tools};
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::paths::{encoded_path, folder_address, shown_name};

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

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let shares = SharesPage::sample();
    let pages = vec![("shares", shares.render()?)];
    let none = SharesPage { roots: Vec::new(), ..shares }.render()?;
    Ok(pages.into_iter().chain([("shares-none", none)]).collect())
}
