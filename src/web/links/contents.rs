//! The current contents of a link: its files, and the files in its folders. Blocks on disk I/O, so handlers
//! must run it on a blocking thread. Can only read what a [`Readable`] allows.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::files::{EntryKind, Shares};
use crate::id::FilePath;
use crate::web::shares::folding::{NameQuery, fold, natural};
use crate::web::shares::rights::Readable;

/// Number of files on a page, for programs.
const PER_PAGE: usize = 1_000;
/// Number of files on a page that people read, who search rather than scroll.
pub const PER_READABLE_PAGE: usize = 100;
/// Maximum number of files whose total size is determined.
const SIZED_MAX: usize = 1_000;
/// Maximum number of entries that are visited for all pages together. Also ends the walk through folders that
/// contain themselves through a symlink.
const MAX_VISITED: usize = 200_000;

/// Everything except RFC 3986's unreserved characters and the slash between components.
const WITHIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A file that can be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFile {
    /// The value that its button submits: the position of the file or folder in the link's list, and for a
    /// file in a folder also its percent-encoded path within the folder.
    pub key: String,
    /// Its path.
    pub path: FilePath,
    /// The name that recipients see: the file's name, or for a file in a folder its path, starting with the
    /// folder's name unless the link has only this folder.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its version.
    pub version: String,
}

/// Which files to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentsQuery {
    /// Text that their names must contain; empty for all files.
    pub query: String,
    /// The page number, starting at 1; 0 also means the first page.
    pub page: usize,
    /// The number of files on a page; 0 for as many as programs get.
    pub per_page: usize,
    /// Whether to list hidden files in folders, too.
    pub hidden_files: bool,
}

/// One page of a link's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkContents {
    /// The files on the page, those of a folder sorted by name.
    pub items: Vec<LinkFile>,
    /// Number of files on all pages.
    pub total: usize,
    /// The number of this page, starting at 1.
    pub page: usize,
    /// Number of pages, at least 1.
    pub pages: usize,
    /// Whether there are more files than were visited. They can be downloaded all the same.
    pub more: bool,
    /// The total size of the files on all pages, in bytes; `None` if there are too many to look at each.
    pub size: Option<u64>,
    /// The names of the link's files and folders that don't exist now.
    pub missing: Vec<String>,
    /// How many files were removed from the page because their paths are too long for a token.
    pub too_long: usize,
}

/// A file that was found by name.
struct Named {
    position: usize,
    path: FilePath,
    /// Where the path within the folder begins, if the file is in a folder of the link.
    within: Option<usize>,
    name: String,
}

/// Lists the contents of `places`: the files and folders of a link, each with its position in the link.
/// Hidden files in folders (those with names that begin with a dot) are left out unless the link's owner chose
/// to share them, because few people know that they have them, and even fewer mean to share them.
pub fn look_at(shares: &Shares, places: &[(usize, Readable)], view: &ContentsQuery) -> LinkContents {
    let mut contents = LinkContents::default();
    let (mut named, mut visited) = (Vec::new(), 0);
    for (position, place) in places {
        let (position, path) = (*position, place.path());
        match shares.entry(path).map(|entry| entry.kind) {
            Ok(EntryKind::File(_)) => {
                let name = path.name().to_owned();
                named.push(Named { position, path: path.clone(), within: None, name });
            }
            Ok(EntryKind::Folder) => {
                // All files are in a folder that is alone: its name would only repeat the title.
                let top = if places.len() == 1 { "" } else { path.name() };
                let walk = Walk { shares, position, root: path, top, hidden_files: view.hidden_files };
                let walked = walk.find(&mut visited, &mut named);
                contents.more |= !walked;
            }
            Err(_) => contents.missing.push(path.name().to_owned()),
        }
    }
    let query = NameQuery::new(&view.query);
    named.retain(|file| query.fits(&file.name));
    contents.total = named.len();
    let per_page = if view.per_page == 0 { PER_PAGE } else { view.per_page };
    contents.pages = named.len().div_ceil(per_page).max(1);
    contents.page = view.page.clamp(1, contents.pages);
    let first = (contents.page - 1) * per_page;
    let is_sized = !contents.more && named.len() <= SIZED_MAX;
    let mut size = 0_u64;
    for (number, Named { position, path, within, name }) in named.into_iter().enumerate() {
        let is_shown = (first..first + per_page).contains(&number);
        if !is_shown && !is_sized {
            continue;
        }
        // The file may have disappeared since it was found.
        let Ok(EntryKind::File(version)) = shares.entry(&path).map(|entry| entry.kind) else { continue };
        size = size.saturating_add(version.len);
        if !is_shown {
            continue;
        }
        let key = match within.and_then(|at| path.as_str().get(at..)) {
            Some(within) => key_within(position, within),
            None => position.to_string(),
        };
        contents.items.push(LinkFile { key, path, name, size: version.len, version: version.to_string() });
    }
    contents.size = is_sized.then_some(size);
    contents
}

/// A walk through a folder of a link.
struct Walk<'w> {
    shares: &'w Shares,
    position: usize,
    root: &'w FilePath,
    /// What the names of its files begin with; may be empty.
    top: &'w str,
    hidden_files: bool,
}

impl Walk<'_> {
    /// Finds the files below the folder, breadth first; returns false if there are more than were visited.
    fn find(&self, visited: &mut usize, named: &mut Vec<Named>) -> bool {
        let begin = self.root.as_str().len() + 1;
        let mut folders = VecDeque::from([self.root.clone()]);
        while let Some(folder) = folders.pop_front() {
            let mut here = Vec::new();
            // Skips folders that disappeared or can't be read.
            let _passed_over = self.shares.scan(&folder, |path, is_folder| {
                *visited += 1;
                if *visited > MAX_VISITED {
                    return ControlFlow::Break(());
                }
                if self.hidden_files || !is_hidden(path.name()) {
                    here.push((fold(path.name()), path, is_folder));
                }
                ControlFlow::Continue(())
            });
            here.sort_by(|(a_name, a, _), (b_name, b, _)| natural(a_name, b_name).then_with(|| a.cmp(b)));
            for (_, path, is_folder) in here {
                if is_folder {
                    folders.push_back(path);
                    continue;
                }
                let within = path.as_str().get(begin..).unwrap_or_default();
                let name = match self.top {
                    "" => within.to_owned(),
                    top => format!("{top}/{within}"),
                };
                named.push(Named { position: self.position, path, within: Some(begin), name });
            }
            if *visited > MAX_VISITED {
                return false;
            }
        }
        true
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Returns the position in `files` (the list of a link) and the path of the file that a button's key refers
/// to. The file need not exist. A key can't lead out of the link's folders, nor to a hidden file in them unless
/// `hidden_files` are shared, too.
pub fn find(files: &[FilePath], key: &str, hidden_files: bool) -> Option<(usize, FilePath)> {
    let (position, within) = match key.split_once('/') {
        Some((position, within)) => (position, Some(within)),
        None => (key, None),
    };
    // Each position has only one valid spelling.
    let place = position.parse::<usize>().ok().filter(|place| place.to_string() == position)?;
    let file = files.get(place)?;
    match within {
        None => Some((place, file.clone())),
        Some(within) => {
            let within = percent_decode_str(within).decode_utf8().ok()?;
            if !hidden_files && within.split('/').any(is_hidden) {
                return None;
            }
            format!("{file}/{within}").parse().ok().map(|path| (place, path))
        }
    }
}

/// Returns the key of the button for the file at `path`, among `files` (the list of a link); `None` if the
/// link doesn't include it. The inverse of [`find`].
pub fn key_of(files: &[FilePath], path: &str) -> Option<String> {
    files.iter().enumerate().find_map(|(position, file)| {
        let rest = path.strip_prefix(file.as_str())?;
        match rest.strip_prefix('/') {
            Some(within) => Some(key_within(position, within)),
            None => rest.is_empty().then(|| position.to_string()),
        }
    })
}

fn key_within(position: usize, within: &str) -> String {
    format!("{position}/{}", utf8_percent_encode(within, WITHIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_identifies_one_file_and_never_leads_out() {
        let files: Vec<FilePath> = vec!["/books/a.txt".parse().unwrap(), "/books/more".parse().unwrap()];
        let found = |key: &str| find(&files, key, false).map(|(_, path)| path.to_string());
        let shown = |key: &str| find(&files, key, true).map(|(_, path)| path.to_string());
        assert_eq!(shown("1/.git/config").as_deref(), Some("/books/more/.git/config"));
        assert_eq!((shown("1/../a.txt"), shown("1/%2e%2e/a.txt"), shown("1/./a.txt")), (None, None, None));
        assert_eq!(found("0").as_deref(), Some("/books/a.txt"));
        assert_eq!(found("1/deep/b%0A%25.txt").as_deref(), Some("/books/more/deep/b\n%.txt"));
        for wrong in [
            "1/.env",
            "1/.git/config",
            "",
            "2",
            "-1",
            "00",
            "+1",
            "1/",
            "1/../a.txt",
            "1/%2e%2e/a.txt",
            "1//x",
            "1/%ff",
            "1/%00",
            "x",
        ] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
        for key in ["0", "1/deep/b%0A%25.txt", "1/a.txt"] {
            assert_eq!(key_of(&files, &found(key).unwrap()).as_deref(), Some(key));
        }
        for other in ["/books/a.txt2", "/books/mor", "/other/a.txt", "/books"] {
            assert_eq!(key_of(&files, other), None, "{other}");
        }
    }
}
