//! A file or folder in a list, and the path to a folder.
//!
//! A Download button posts to `/download` with `csrf` and the field for its file (see
//! [`crate::web::http::selection`]).

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::files::{EntryKind, FolderEntry};
use crate::human;
use crate::id::FilePath;
use crate::viewable;
use crate::web::http::files::addresses::manage_address;
use crate::web::http::files::name_parts;
use crate::web::http::paths::{encoded_path, folder_above, folder_address, shown_name, shown_steps};
use crate::web::http::selection::field_of;

/// A file or folder in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its path.
    pub path: FilePath,
    /// Its size in bytes; `None` for a folder.
    pub size: Option<u64>,
    /// When it last changed.
    pub modified: Timestamp,
    /// Whether its path is too long for a token, so that it can't be downloaded.
    pub too_long: bool,
    /// Whether it can be viewed in the browser.
    pub can_view: bool,
}

impl Row {
    /// Returns the row of an entry.
    pub fn of(entry: FolderEntry) -> Row {
        let size = match entry.kind {
            EntryKind::Folder => None,
            EntryKind::File(version) => Some(version.len),
        };
        Row { path: entry.path, size, modified: entry.modified, too_long: false, can_view: false }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.size.is_none()
    }

    pub(crate) fn shown_name(&self) -> Cow<'_, str> {
        human::name(self.path.name())
    }

    /// Returns the beginning and the end of a name that is too long for one line on a phone.
    pub(crate) fn name_parts(&self) -> Option<(String, String)> {
        name_parts::split(&self.shown_name()).map(|(start, end)| (start.to_owned(), end.to_owned()))
    }

    pub(crate) fn icon(&self) -> &'static str {
        if self.is_folder() { "folder" } else { human::icon(self.path.name()) }
    }

    pub(crate) fn address(&self) -> String {
        folder_address(&self.path)
    }

    /// Returns the address of the page on which it is renamed, moved and deleted.
    pub(crate) fn manage_address(&self) -> String {
        manage_address(&self.path)
    }

    /// Returns the address of the page on which a link to it is made.
    pub(crate) fn link_address(&self) -> String {
        let (field, value) = self.field();
        format!("/links/new?{field}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
    }

    /// Returns the name and value of the field that says which file to download.
    pub(crate) fn field(&self) -> (&'static str, String) {
        field_of(&self.path)
    }

    /// Returns its size as shown and exactly.
    pub(crate) fn shown_size(&self) -> Option<(String, String)> {
        self.size.map(|bytes| (human::size(bytes), human::exact_size(bytes)))
    }

    /// Returns the folder that contains it: its address and its path as shown.
    pub(crate) fn folder(&self, home: Option<&FilePath>) -> Option<(String, String)> {
        let folder = self.path.parent()?;
        Some((folder_address(&folder), shown_steps(&folder, home).join(" / ")))
    }
}

/// The folder that a page is about, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownFolder {
    path: FilePath,
    /// The person's own folder.
    home: Option<FilePath>,
}

impl ShownFolder {
    /// Shows `path` to a person whose own folder is `home`.
    pub fn new(path: FilePath, home: Option<&FilePath>) -> ShownFolder {
        ShownFolder { path, home: home.cloned() }
    }

    /// Returns the steps to the folder, itself included.
    pub(crate) fn crumbs(&self) -> Vec<Crumb> {
        crumbs(&self.path, true, self.home.as_ref())
    }

    pub(crate) fn name(&self) -> Cow<'_, str> {
        shown_name(&self.path, self.home.as_ref())
    }

    pub(crate) fn address(&self) -> String {
        folder_address(&self.path)
    }

    /// Returns its path as forms carry it.
    pub(crate) fn encoded(&self) -> String {
        encoded_path(&self.path)
    }
}

/// A step of the path to a folder.
pub(crate) struct Crumb {
    pub(crate) name: String,
    pub(crate) href: String,
}

/// Returns the steps above `folder`, the list of shares first, and `folder` itself last if `itself` is set.
pub(crate) fn crumbs(folder: &FilePath, itself: bool, home: Option<&FilePath>) -> Vec<Crumb> {
    let above = |path: &FilePath| folder_above(path, home);
    let first = if itself { Some(folder.clone()) } else { above(folder) };
    let crumb =
        |path: FilePath| Crumb { name: shown_name(&path, home).into_owned(), href: folder_address(&path) };
    let mut steps: Vec<Crumb> = std::iter::successors(first, above).map(crumb).collect();
    steps.push(Crumb { name: "Files".to_owned(), href: "/files/".to_owned() });
    steps.reverse();
    steps
}

pub(crate) fn sample_rows(folder: &FilePath, now: Timestamp) -> Vec<Row> {
    let long = format!("{}.txt", "a-very-long-name-without-any-space-".repeat(7));
    let files: &[(&str, Option<u64>, u64)] = &[
        ("我这一辈子.pdf", Some(48_213), 12),
        ("Archive", None, 400_000),
        ("Résumé & notes.docx", Some(1_234_567), 200),
        ("كتاب الألف ليلة.epub", Some(2_400_000), 8_000),
        ("\u{202e}gnp.exe", Some(73_802), 90_000),
        ("<script>alert(1)<script><img src=x onerror=alert(1)>.html", Some(512), 250_000),
        ("chapter 10.md", Some(9_101), 2_000_000),
        ("chapter 2.md", Some(8_300), 2_000_000),
        ("🎉 party 👩‍👩‍👧.jpg", Some(3_456_789), 5_000_000),
        ("line\nbreak.csv", Some(1), 60_000_000),
        ("\"quoted\" 'name'.mp3", Some(7_654_321), 70_000_000),
        ("film.mkv", Some(8_123_456_789), 1_000_000),
        ("backup.tar.zst", Some(912_345_678), 1_100_000),
        ("budget.xlsx", Some(45_000), 1_200_000),
        ("talk.pptx", Some(5_100_000), 1_300_000),
        ("main.rs", Some(0), 1_400_000),
        ("LICENSE", Some(1_070), 40_000_000),
        (&long, Some(65_536), 700_000),
        ("Photos 2026", None, 3_000),
    ];
    files
        .iter()
        .filter_map(|(name, size, age)| {
            let modified = Timestamp::from_secs(now.secs().saturating_sub(*age));
            let too_long = name.len() > 200;
            let can_view = !too_long && size.is_some_and(|size| viewable::is_offered(name, size, true));
            Some(Row { path: folder.join(name).ok()?, size: *size, modified, too_long, can_view })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_and_keep_their_slashes() {
        let path: FilePath = "/books/50% ?#é\n".parse().unwrap();
        assert_eq!(folder_address(&path), "/files/books/50%25%20%3F%23%C3%A9%0A");
    }

    #[test]
    fn a_form_never_carries_a_bare_line_break() {
        assert_eq!(row("/b/a\nb").field(), ("file_encoded", "/b/a%0Ab".to_owned()));
        assert_eq!(row("/b/50%").field(), ("file", "/b/50%".to_owned()));
    }

    fn row(path: &str) -> Row {
        let modified = Timestamp::EPOCH;
        Row { path: path.parse().unwrap(), size: Some(1), modified, too_long: false, can_view: false }
    }
}
