//! The pages for moving and deleting what is selected in a list.

use std::borrow::Cow;

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::id::FilePath;
use crate::web::http::files::destinations::Destinations;
use crate::web::http::files::row::ShownFolder;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::local_path::LocalPath;
use crate::web::http::paths::{encoded_path, folder_above};
use crate::web::http::selection::{Picked, Selection, field_of};

/// The number of files and folders that a page names.
const NAMED: usize = 10;
/// The number of refused ones that a page names.
const REFUSED_NAMED: usize = 100;

/// A selection, as a form carries it on.
#[derive(Clone, Debug, Default)]
pub struct CarriedSelection {
    from: String,
    files: Vec<(&'static str, String)>,
    all: Option<String>,
    known: Option<String>,
}

impl CarriedSelection {
    /// Carries `selection`; `known` identifies what "everything" is, for an action that was confirmed.
    pub fn of(selection: &Selection, known: Option<String>) -> CarriedSelection {
        let from = selection.from.as_str().to_owned();
        match &selection.picked {
            Picked::Files(files) => {
                CarriedSelection { from, files: files.iter().map(field_of).collect(), all: None, known }
            }
            Picked::Everything(folder) => {
                CarriedSelection { from, files: Vec::new(), all: Some(encoded_path(folder)), known }
            }
        }
    }
}

/// `POST /manage/selected/confirm`: whether to delete what is selected; posts it to `/manage/selected/delete`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/delete-selected.html")]
pub struct DeleteSelectedPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// What is selected, as the form carries it.
    pub carried: CarriedSelection,
    /// The address of the list.
    pub back: String,
    /// What will be deleted.
    pub files: Vec<FilePath>,
    /// How many of the selected files the person may not delete.
    pub untouchable: usize,
    /// The number of links that lead to them or to something in them.
    pub links: u64,
    /// How many seconds the trash keeps them.
    pub kept: u64,
    /// Whether the folder has changed since the person confirmed.
    pub has_changed: bool,
    /// The present moment.
    pub now: Timestamp,
}

impl DeleteSelectedPage {
    fn counted(&self) -> String {
        items(self.files.len())
    }

    fn names(&self) -> Vec<Cow<'_, str>> {
        names(&self.files)
    }

    fn more(&self) -> Option<String> {
        more(self.files.len(), NAMED)
    }

    fn untouchable(&self) -> Option<String> {
        untouchable(self.untouchable)
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

    fn links_broken(&self) -> Option<String> {
        let links = human::counted(self.links, "link");
        match self.links {
            0 => None,
            1 => Some(format!("{links} will stop working. It works again if you restore its files.")),
            _ => Some(format!("{links} will stop working. They work again if you restore their files.")),
        }
    }
}

/// `POST /manage/selected/to`: where to move what is selected; posts it with `to` to `/manage/selected/move`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/move-selected.html")]
pub struct MoveSelectedPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// What is selected, as the form carries it.
    pub carried: CarriedSelection,
    /// The address of the list.
    pub back: String,
    /// What will be moved.
    pub files: Vec<FilePath>,
    /// How many of the selected files the person may not move.
    pub untouchable: usize,
    /// The folder that the page shows.
    pub to: FilePath,
    /// The folders that can be reached from it.
    pub destinations: Destinations,
}

impl MoveSelectedPage {
    fn counted(&self) -> String {
        items(self.files.len())
    }

    fn untouchable(&self) -> Option<String> {
        untouchable(self.untouchable)
    }

    fn place(&self) -> ShownFolder {
        self.shown(&self.to)
    }

    fn shown(&self, folder: &FilePath) -> ShownFolder {
        ShownFolder::new(folder.clone(), self.chrome.home())
    }

    /// Returns whether all of it is already in the shown folder.
    fn is_there(&self) -> bool {
        self.files.iter().all(|file| file.parent().as_ref() == Some(&self.to))
    }

    /// Returns the folders above the shown one.
    fn steps(&self) -> Vec<ShownFolder> {
        let above = |path: &FilePath| folder_above(path, self.chrome.home());
        let mut steps: Vec<ShownFolder> =
            std::iter::successors(above(&self.to), above).map(|folder| self.shown(&folder)).collect();
        steps.reverse();
        steps
    }

    fn choices(&self) -> Vec<ShownFolder> {
        self.destinations.folders.iter().map(|folder| self.shown(folder)).collect()
    }

    fn more_shown(&self) -> Option<String> {
        let more = u64::try_from(self.destinations.more).unwrap_or(u64::MAX);
        (more > 0).then(|| human::counted(more, "folder"))
    }

    fn other_shares(&self) -> Vec<ShownFolder> {
        let others = self.destinations.roots.iter().filter(|root| !self.to.is_within(root));
        others.map(|root| self.shown(root)).collect()
    }
}

/// What was done with a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It was moved to another folder.
    Moved,
    /// It was moved to the trash.
    Deleted,
}

impl Deed {
    /// Returns the title of the page about it.
    pub const fn title(self) -> &'static str {
        match self {
            Deed::Moved => "Not everything was moved",
            Deed::Deleted => "Not everything was deleted",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Deed::Moved => "moved",
            Deed::Deleted => "deleted",
        }
    }
}

/// A file or folder with which it was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEntry {
    /// Its path.
    pub path: FilePath,
    /// A sentence that says why.
    pub why: String,
}

impl RefusedEntry {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.path.name())
    }
}

/// The answer to an action on a selection that was not done completely.
#[derive(Clone, Debug, Template)]
#[template(path = "web/selection-failed.html")]
pub struct SelectionFailedPage {
    /// The frame of the page; somebody is logged in.
    pub chrome: Chrome,
    /// What was to be done.
    pub deed: Deed,
    /// With how many it was done.
    pub done: usize,
    /// With which it was not.
    pub refused: Vec<RefusedEntry>,
    /// The address of the list, where these are still selected.
    pub back: String,
}

impl SelectionFailedPage {
    fn named(&self) -> &[RefusedEntry] {
        self.refused.get(..REFUSED_NAMED).unwrap_or(&self.refused)
    }

    fn more(&self) -> Option<String> {
        more(self.refused.len(), REFUSED_NAMED)
    }

    fn outcome(&self) -> String {
        let word = self.deed.word();
        let refused = self.refused.len();
        let verb = if refused == 1 { "was" } else { "were" };
        match self.done {
            0 => format!("Nothing was {word}."),
            1 => format!("1 item was {word}, {} {verb} not.", human::grouped(number(refused))),
            done => format!("{} were {word}, {} {verb} not.", items(done), human::grouped(number(refused))),
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn items(count: usize) -> String {
    human::counted(number(count), "item")
}

fn names(files: &[FilePath]) -> Vec<Cow<'_, str>> {
    files.iter().take(NAMED).map(|file| human::name(file.name())).collect()
}

/// Returns what follows a list that is cut off after `named`.
fn more(count: usize, named: usize) -> Option<String> {
    let more = count.saturating_sub(named);
    (more > 0).then(|| format!("and {} more", human::grouped(number(more))))
}

fn untouchable(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 of the selected items stays where it is, because you may not change it.".to_owned()),
        count => Some(format!(
            "{} of the selected items stay where they are, because you may not change them.",
            human::grouped(number(count))
        )),
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let path = |text: &str| text.parse::<FilePath>().ok();
    let (Some(folder), Some(to)) = (path("/books/Novels & <b>more"), path("/books/<script>alert(1)<script>"))
    else {
        return Ok(Vec::new());
    };
    let names = ["a\nb\"><script>.txt", "\u{202e}gnp.exe", "我这一辈子.pdf"];
    let files: Vec<FilePath> = names.iter().filter_map(|name| folder.join(name).ok()).collect();
    let many = (0..12).filter_map(|n| folder.join(&format!("<b>{n}")).ok()).collect();
    let selection = |picked: Picked| Selection { picked, from: LocalPath::default(), to: None, known: None };
    let carried = CarriedSelection::of(&selection(Picked::Files(files.clone())), None);
    let everything =
        CarriedSelection::of(&selection(Picked::Everything(folder)), Some("0123abcd".to_owned()));
    let chrome = Chrome::sample("Selected <script>", Section::Files);
    let back = "/files/books#selection".to_owned();
    let delete = DeleteSelectedPage {
        chrome: chrome.clone(),
        carried: carried.clone(),
        back: back.clone(),
        files: files.clone(),
        untouchable: 0,
        links: 2,
        kept: 30 * 24 * 60 * 60,
        has_changed: false,
        now: Timestamp::from_secs(1_795_340_096),
    };
    let moving = MoveSelectedPage {
        chrome: chrome.clone(),
        carried,
        back: back.clone(),
        destinations: Destinations {
            folders: files.clone(),
            more: 1_200,
            roots: chrome.home().cloned().into_iter().chain(path("/<b>music")).collect(),
        },
        files: files.clone(),
        untouchable: 1,
        to,
    };
    let why = "There is already something called “<b>”. Choose another name.";
    let failed = SelectionFailedPage {
        chrome,
        deed: Deed::Moved,
        done: 9,
        refused: files.into_iter().map(|path| RefusedEntry { path, why: why.to_owned() }).collect(),
        back,
    };
    let none = Destinations::default();
    Ok(vec![
        ("selected-delete", delete.render()?),
        (
            "selected-delete-changed",
            DeleteSelectedPage {
                has_changed: true,
                links: 0,
                files: many,
                untouchable: 2,
                carried: everything,
                ..delete
            }
            .render()?,
        ),
        ("selected-move", moving.render()?),
        (
            "selected-move-no-folders",
            MoveSelectedPage { destinations: none, untouchable: 0, ..moving }.render()?,
        ),
        ("selected-failed", failed.render()?),
        ("selected-failed-all", SelectionFailedPage { deed: Deed::Deleted, done: 0, ..failed }.render()?),
    ])
}
