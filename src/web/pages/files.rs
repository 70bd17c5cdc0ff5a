//! Pages for browsing: the list of shares, a folder, and what a search found.
//!
//! A Download button posts to `/download` with `csrf` and the field `file`, which holds the file
//! path. A form would alter a line break within it, so a path with a character that is not shown
//! as it is (see [`human::name`]) is sent percent-encoded, in the field `file_encoded` instead.

use std::borrow::Cow;
use std::cmp::Ordering;

use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Timestamp;
use crate::files::{Entry, EntryKind};
use crate::human;
use crate::id::FilePath;

use super::{Chrome, Section};

/// Everything but RFC 3986's unreserved characters and the slash between components.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The address of a folder's page: `/files/{share}/{path}`.
pub fn address(folder: &FilePath) -> String {
    format!("/files{}", utf8_percent_encode(folder.as_str(), PATH))
}

/// By what a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// The name, as people count: `part 2` before `part 10`.
    #[default]
    Name,
    /// The size; folders have none.
    Size,
    /// The moment of the last change.
    Modified,
}

impl SortBy {
    fn word(self) -> &'static str {
        match self {
            SortBy::Name => "name",
            SortBy::Size => "size",
            SortBy::Modified => "modified",
        }
    }
}

/// The order of a list: query parameters `sort` and `order`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl Sort {
    /// Reads `sort` (`name`, `size`, `modified`) and `order` (`asc`, `desc`); anything else means
    /// the default, by name.
    pub fn parse(sort: Option<&str>, order: Option<&str>) -> Sort {
        let by = match sort {
            Some("size") => SortBy::Size,
            Some("modified") => SortBy::Modified,
            _ => SortBy::Name,
        };
        Sort { by, descending: order == Some("desc") }
    }

    /// Puts `rows` into this order; folders always come first.
    pub fn apply(self, rows: &mut [Row]) {
        rows.sort_by(|a, b| {
            let by_name = || natural(a.path.name(), b.path.name());
            let order = match self.by {
                SortBy::Name => by_name(),
                SortBy::Size => a.size.cmp(&b.size),
                SortBy::Modified => a.modified.cmp(&b.modified),
            };
            let order = if self.descending { order.reverse() } else { order };
            // Ties by name, so that the order does not change from one visit to the next.
            b.is_folder().cmp(&a.is_folder()).then(order).then_with(by_name)
        });
    }

    /// What a click on the heading of `by` asks for: the other direction, or the one that people
    /// look for first (names from A, but largest and newest first).
    fn clicked(self, by: SortBy) -> Sort {
        let descending = if self.by == by { !self.descending } else { by != SortBy::Name };
        Sort { by, descending }
    }
}

/// Compares names as people sort them: letters regardless of case, digits by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(l), Some(r)) = (left.chars().next(), right.chars().next()) else {
            // Names that differ only in case or leading zeros still have one order.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let ((l_digits, l_rest), (r_digits, r_rest)) = (digits(left), digits(right));
            match l_digits.len().cmp(&r_digits.len()).then_with(|| l_digits.cmp(r_digits)) {
                Ordering::Equal => (left, right) = (l_rest, r_rest),
                order => return order,
            }
        } else {
            match l.to_lowercase().cmp(r.to_lowercase()) {
                Ordering::Equal => {
                    left = left.strip_prefix(l).unwrap_or_default();
                    right = right.strip_prefix(r).unwrap_or_default();
                }
                order => return order,
            }
        }
    }
}

/// The number that `text` starts with, without leading zeros, and what follows it.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (number.trim_start_matches('0'), rest)
}

/// A file or folder in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it is.
    pub path: FilePath,
    /// Its size in bytes; `None` for a folder.
    pub size: Option<u64>,
    /// When it last changed.
    pub modified: Timestamp,
}

impl Row {
    /// The row of an entry of `folder`; `None` if no token could name it.
    pub fn of(folder: &FilePath, entry: &Entry) -> Option<Row> {
        let size = match entry.kind {
            EntryKind::Folder => None,
            EntryKind::File(version) => Some(version.len),
        };
        Some(Row { path: folder.join(&entry.name).ok()?, size, modified: entry.modified })
    }

    fn is_folder(&self) -> bool {
        self.size.is_none()
    }

    fn shown_name(&self) -> Cow<'_, str> {
        human::name(self.path.name())
    }

    fn icon(&self) -> &'static str {
        if self.is_folder() { "folder" } else { human::icon(self.path.name()) }
    }

    fn address(&self) -> String {
        address(&self.path)
    }

    /// The name and value of the field that says which file to download.
    fn field(&self) -> (&'static str, String) {
        let path = self.path.as_str();
        match human::name(path) {
            Cow::Borrowed(path) => ("file", path.to_owned()),
            Cow::Owned(_) => ("file_encoded", utf8_percent_encode(path, PATH).to_string()),
        }
    }

    /// Its size as shown, and exactly.
    fn shown_size(&self) -> Option<(String, String)> {
        self.size.map(|bytes| (human::size(bytes), human::exact_size(bytes)))
    }

    fn exact_time(&self) -> String {
        human::exact_time(self.modified)
    }

    fn ago(&self, now: Timestamp) -> String {
        human::ago(now, self.modified)
    }

    /// The folder that holds it: its address and how it is shown.
    fn folder(&self) -> Option<(String, String)> {
        let folder = self.path.parent()?;
        let shown = folder.components().map(human::name).collect::<Vec<_>>().join(" / ");
        Some((address(&folder), shown))
    }
}

/// A heading by which a list can be sorted.
struct Heading {
    label: &'static str,
    class: &'static str,
    href: String,
    /// The value of `aria-sort`, on the heading that the list is sorted by.
    aria_sort: Option<&'static str>,
}

fn headings(sort: Sort, query: Option<&str>) -> Vec<Heading> {
    [(SortBy::Name, "Name"), (SortBy::Size, "Size"), (SortBy::Modified, "Modified")]
        .into_iter()
        .map(|(by, label)| {
            let next = sort.clicked(by);
            let order = if next.descending { "desc" } else { "asc" };
            let query = query
                .map(|query| format!("q={}&", utf8_percent_encode(query, NON_ALPHANUMERIC)))
                .unwrap_or_default();
            let aria_sort = match (sort.by == by, sort.descending) {
                (false, _) => None,
                (true, false) => Some("ascending"),
                (true, true) => Some("descending"),
            };
            Heading {
                label,
                class: by.word(),
                href: format!("?{query}sort={}&order={order}", by.word()),
                aria_sort,
            }
        })
        .collect()
}

/// A step of the way to a folder.
struct Crumb {
    name: String,
    href: String,
}

/// The steps above `folder`, the list of shares first; and `folder` itself last where asked.
fn crumbs(folder: &FilePath, itself: bool) -> Vec<Crumb> {
    let mut steps = Vec::new();
    let mut step = if itself { Some(folder.clone()) } else { folder.parent() };
    while let Some(path) = step {
        steps.push(Crumb { name: human::name(path.name()).into_owned(), href: address(&path) });
        step = path.parent();
    }
    steps.push(Crumb { name: "Files".to_owned(), href: "/files/".to_owned() });
    steps.reverse();
    steps
}

/// `GET /files/`: the shares that a person may read.
#[derive(Clone, Debug, Template)]
#[template(path = "web/shares.html")]
pub struct Shares {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// The names of the shares that the person may read, in the order to show.
    pub shares: Vec<String>,
}

impl Shares {
    /// Address and shown name of each share.
    fn entries(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.shares.iter().map(|name| {
            let href = format!("/files/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
            (href, human::name(name).into_owned())
        })
    }

    fn search(&self) -> SearchBox {
        SearchBox { action: "/files/".to_owned(), query: String::new(), place: "all shares".to_owned() }
    }

    /// A page with three shares.
    pub fn sample() -> Shares {
        let shares = ["books", "Holiday photos 2026", "<script>alert(1)</script>"];
        Shares {
            chrome: Chrome::sample("Files", Section::Files),
            shares: shares.into_iter().map(str::to_owned).collect(),
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
pub struct Folder {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// The folder.
    pub folder: FilePath,
    /// What is in it, in the order to show (see [`Sort::apply`]).
    pub rows: Vec<Row>,
    /// The order of the rows.
    pub sort: Sort,
    /// How many more entries the folder has that are not in `rows`.
    pub more: usize,
    /// The present moment.
    pub now: Timestamp,
}

impl Folder {
    fn name(&self) -> Cow<'_, str> {
        human::name(self.folder.name())
    }

    fn crumbs(&self) -> Vec<Crumb> {
        crumbs(&self.folder, false)
    }

    fn parent(&self) -> String {
        self.folder.parent().map_or_else(|| "/files/".to_owned(), |parent| address(&parent))
    }

    fn headings(&self) -> Vec<Heading> {
        headings(self.sort, None)
    }

    fn summary(&self) -> String {
        let shown = summary(&self.rows);
        match self.more {
            0 => shown,
            more => {
                let more = human::grouped(u64::try_from(more).unwrap_or(u64::MAX));
                format!("{shown} shown. {more} more are in this folder: search for them by name.")
            }
        }
    }

    fn search(&self) -> SearchBox {
        SearchBox { action: address(&self.folder), query: String::new(), place: self.name().into_owned() }
    }

    /// A folder with names of every kind.
    pub fn sample(now: Timestamp) -> Option<Folder> {
        let folder: FilePath = "/books/Novels & <b>more".parse().ok()?;
        let sort = Sort::default();
        let mut rows = sample_rows(&folder, now);
        sort.apply(&mut rows);
        Some(Folder {
            chrome: Chrome::sample("Novels & <script>", Section::Files),
            folder,
            rows,
            sort,
            more: 0,
            now,
        })
    }
}

/// `3 folders, 12 files, 45.6 MB`.
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
pub struct Search {
    /// What surrounds the page; somebody is logged in.
    pub chrome: Chrome,
    /// What was searched for.
    pub query: String,
    /// The folder beneath which was searched; `None` for all shares.
    pub within: Option<FilePath>,
    /// What was found, in the order to show.
    pub rows: Vec<Row>,
    /// The order of the rows.
    pub sort: Sort,
    /// Whether the search stopped before it had seen everything.
    pub too_many: bool,
    /// The present moment.
    pub now: Timestamp,
}

impl Search {
    fn crumbs(&self) -> Vec<Crumb> {
        match &self.within {
            Some(folder) => crumbs(folder, true),
            None => vec![Crumb { name: "Files".to_owned(), href: "/files/".to_owned() }],
        }
    }

    fn headings(&self) -> Vec<Heading> {
        headings(self.sort, Some(&self.query))
    }

    fn shown_query(&self) -> Cow<'_, str> {
        human::name(&self.query)
    }

    fn place(&self) -> String {
        self.within.as_ref().map_or_else(|| "all shares".to_owned(), |f| human::name(f.name()).into_owned())
    }

    fn found(&self) -> String {
        if self.too_many {
            format!("The first {}", counted(self.rows.len(), "hit"))
        } else {
            counted(self.rows.len(), "hit")
        }
    }

    fn search(&self) -> SearchBox {
        SearchBox {
            action: self.within.as_ref().map_or_else(|| "/files/".to_owned(), address),
            query: self.query.clone(),
            place: self.place(),
        }
    }

    /// Hits in several folders, more than are shown.
    pub fn sample(now: Timestamp) -> Search {
        let rows = ["/books", "/books/Novels & <b>more", "/music/2026/live"]
            .iter()
            .filter_map(|folder| folder.parse().ok())
            .flat_map(|folder| sample_rows(&folder, now).into_iter().take(4))
            .collect();
        Search {
            chrome: Chrome::sample("Search", Section::Files),
            query: "我 <script>alert(1)</script>".to_owned(),
            within: None,
            rows,
            sort: Sort { by: SortBy::Modified, descending: true },
            too_many: true,
            now,
        }
    }
}

fn sample_rows(folder: &FilePath, now: Timestamp) -> Vec<Row> {
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
            Some(Row { path: folder.join(name).ok()?, size: *size, modified })
        })
        .collect()
}

pub(super) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_795_340_096);
    let shares = Shares::sample();
    let search = Search::sample(now);
    let mut pages = vec![
        ("shares", shares.render()?),
        ("shares-none", Shares { shares: Vec::new(), ..shares }.render()?),
        ("search", search.render()?),
        ("search-nothing", Search { rows: Vec::new(), too_many: false, ..search }.render()?),
    ];
    if let Some(folder) = Folder::sample(now) {
        pages.push(("folder", folder.render()?));
        let by_size = Sort { by: SortBy::Size, descending: true };
        pages.push(("folder-more", Folder { more: 312, sort: by_size, ..folder.clone() }.render()?));
        pages.push(("folder-empty", Folder { rows: Vec::new(), ..folder }.render()?));
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, size: Option<u64>, modified: u64) -> Row {
        Row { path: path.parse().unwrap(), size, modified: Timestamp::from_secs(modified) }
    }

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.path.name()).collect()
    }

    #[test]
    fn folders_come_first_and_numbers_count() {
        let mut rows = vec![
            row("/b/part 10", Some(1), 3),
            row("/b/Part 2", Some(5), 2),
            row("/b/part 02", Some(2), 1),
            row("/b/zoo", None, 9),
            row("/b/Äpfel", None, 0),
        ];
        Sort::default().apply(&mut rows);
        assert_eq!(names(&rows), ["zoo", "Äpfel", "Part 2", "part 02", "part 10"]);
        Sort::parse(Some("size"), Some("desc")).apply(&mut rows);
        assert_eq!(names(&rows), ["zoo", "Äpfel", "Part 2", "part 02", "part 10"]);
        Sort::parse(Some("modified"), None).apply(&mut rows);
        assert_eq!(names(&rows), ["Äpfel", "zoo", "part 02", "Part 2", "part 10"]);
    }

    #[test]
    fn a_heading_turns_its_own_order_around() {
        let headings = headings(Sort::parse(Some("size"), Some("desc")), Some("a&b"));
        let hrefs: Vec<_> = headings.iter().map(|h| (h.href.as_str(), h.aria_sort)).collect();
        assert_eq!(
            hrefs,
            [
                ("?q=a%26b&sort=name&order=asc", None),
                ("?q=a%26b&sort=size&order=asc", Some("descending")),
                ("?q=a%26b&sort=modified&order=desc", None),
            ]
        );
    }

    #[test]
    fn addresses_are_encoded_and_keep_their_slashes() {
        let path: FilePath = "/books/50% ?#é\n".parse().unwrap();
        assert_eq!(address(&path), "/files/books/50%25%20%3F%23%C3%A9%0A");
    }

    #[test]
    fn a_form_never_carries_a_bare_line_break() {
        assert_eq!(row("/b/a\nb", Some(1), 0).field(), ("file_encoded", "/b/a%0Ab".to_owned()));
        assert_eq!(row("/b/50%", Some(1), 0).field(), ("file", "/b/50%".to_owned()));
    }
}
