//! What a link is on, as it is now: its files, and those beneath its folders. Blocks on the disk, so
//! handlers run it on a thread that may. Sees nothing without a [`Readable`].

use std::collections::VecDeque;
use std::ops::ControlFlow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::files::{EntryKind, Shares};
use crate::id::FilePath;
use crate::web::shares::folding::{NameQuery, fold, natural};
use crate::web::shares::rights::Readable;

/// Files on a page.
const PER_PAGE: usize = 1_000;
/// Most entries that are looked at for all pages. Also ends a walk through folders that contain
/// themselves by a symlink.
const MAX_VISITED: usize = 200_000;

/// Everything but RFC 3986's unreserved characters and the slash between components.
const WITHIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A file that can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFile {
    /// What the button for it sends: the place of the file or folder among those that the link is on,
    /// and for a file beneath a folder the way to it, percent-encoded.
    pub key: String,
    /// Where it is.
    pub path: FilePath,
    /// How recipients see it: its name, or its way from the folder that the link is on.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its version.
    pub version: String,
}

/// Which of the files somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentsQuery {
    /// What their names have; empty for all.
    pub query: String,
    /// Which page, counted from 1; 0 is the first, too.
    pub page: usize,
}

/// What a link is on: one page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkContents {
    /// The files of the page, those of a folder in order of their names.
    pub items: Vec<LinkFile>,
    /// How many files there are on all pages.
    pub total: usize,
    /// Which page this is, counted from 1.
    pub page: usize,
    /// How many pages there are, 1 at least.
    pub pages: usize,
    /// Whether there are more files than were looked at. They can be downloaded all the same.
    pub more: bool,
    /// How many of the files and folders are not there now.
    pub missing: usize,
    /// How many files of the page were taken out because no token can name them.
    pub too_long: usize,
}

/// A file that was found by name.
struct Named {
    position: usize,
    path: FilePath,
    name: String,
}

/// What is there of `places`: the files and folders that a link is on, each with its place among them.
/// Hidden files of a folder, whose names begin with a dot, are left out: few people know that they have
/// them, and fewer mean to give them away.
pub fn look_at(shares: &Shares, places: &[(usize, Readable)], view: &ContentsQuery) -> LinkContents {
    let mut contents = LinkContents::default();
    let (mut named, mut visited) = (Vec::new(), 0);
    for (position, place) in places {
        let (position, path) = (*position, place.path());
        match shares.entry(path).map(|entry| entry.kind) {
            Ok(EntryKind::File(_)) => {
                named.push(Named { position, path: path.clone(), name: path.name().to_owned() });
            }
            Ok(EntryKind::Folder) => {
                contents.more |= !walk(shares, position, path, &mut visited, &mut named);
            }
            Err(_) => contents.missing += 1,
        }
    }
    let query = NameQuery::new(&view.query);
    named.retain(|file| query.fits(&file.name));
    contents.total = named.len();
    contents.pages = named.len().div_ceil(PER_PAGE).max(1);
    contents.page = view.page.clamp(1, contents.pages);
    let first = (contents.page - 1) * PER_PAGE;
    for Named { position, path, name } in named.into_iter().skip(first).take(PER_PAGE) {
        // What vanished a moment ago is not there.
        let Ok(EntryKind::File(version)) = shares.entry(&path).map(|entry| entry.kind) else { continue };
        // The name of a file in a folder begins with the folder's.
        let key = match name.split_once('/') {
            Some((_, within)) => key_within(position, within),
            None => position.to_string(),
        };
        contents.items.push(LinkFile { key, path, name, size: version.len, version: version.to_string() });
    }
    contents
}

/// Finds the files beneath a folder, near ones before deep ones; returns whether these are all.
fn walk(
    shares: &Shares,
    position: usize,
    root: &FilePath,
    visited: &mut usize,
    named: &mut Vec<Named>,
) -> bool {
    let mut folders = VecDeque::from([root.clone()]);
    while let Some(folder) = folders.pop_front() {
        let mut here = Vec::new();
        // A folder that vanished or can't be read has nothing to give.
        let _passed_over = shares.scan(&folder, |path, is_folder| {
            *visited += 1;
            if *visited > MAX_VISITED {
                return ControlFlow::Break(());
            }
            if !is_hidden(path.name()) {
                here.push((fold(path.name()), path, is_folder));
            }
            ControlFlow::Continue(())
        });
        here.sort_by(|(a_name, a, _), (b_name, b, _)| natural(a_name, b_name).then_with(|| a.cmp(b)));
        for (_, path, is_folder) in here {
            if is_folder {
                folders.push_back(path);
            } else {
                let within = path.as_str().get(root.as_str().len() + 1..).unwrap_or_default();
                let name = format!("{}/{within}", root.name());
                named.push(Named { position, path, name });
            }
        }
        if *visited > MAX_VISITED {
            return false;
        }
    }
    true
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Where the file is that a button's key names, among `files`, which a link is on. Whether there is
/// anything is another question, and nothing leads out of a folder that the link is on.
pub fn find(files: &[FilePath], key: &str) -> Option<(usize, FilePath)> {
    let (position, within) = match key.split_once('/') {
        Some((position, within)) => (position, Some(within)),
        None => (key, None),
    };
    // One spelling for each place.
    let place = position.parse::<usize>().ok().filter(|place| place.to_string() == position)?;
    let file = files.get(place)?;
    match within {
        None => Some((place, file.clone())),
        Some(within) => {
            let within = percent_decode_str(within).decode_utf8().ok()?;
            if within.split('/').any(is_hidden) {
                return None;
            }
            format!("{file}/{within}").parse().ok().map(|path| (place, path))
        }
    }
}

/// The key of the button for a file, among `files`, which a link is on; `None` where none leads to it. The
/// opposite of [`find`].
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
    fn a_key_names_one_file_and_never_leads_out() {
        let files: Vec<FilePath> = vec!["/books/a.txt".parse().unwrap(), "/books/more".parse().unwrap()];
        let found = |key: &str| find(&files, key).map(|(_, path)| path.to_string());
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
