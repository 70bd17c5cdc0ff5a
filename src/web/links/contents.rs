//! What a link is on, as it is now: its files, and those beneath its folders. Blocks on the disk, so
//! handlers run it on a thread that may. Sees nothing without a [`Readable`].

use std::collections::VecDeque;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::files::{EntryKind, Shares};
use crate::id::FilePath;
use crate::web::rights::Readable;

/// Most files that a page lists …
const MAX_ITEMS: usize = 1_000;
/// … and most entries that are looked at for them. Also ends a walk through folders that contain
/// themselves by a symlink.
const MAX_VISITED: usize = 20_000;

/// Everything but RFC 3986's unreserved characters and the slash between components.
const WITHIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A file that can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
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

/// What a link is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The files, those of a folder in order of their names.
    pub items: Vec<Item>,
    /// Whether there are more than are listed. They can be taken all the same.
    pub more: bool,
    /// How many of the files and folders are not there now.
    pub missing: usize,
}

/// What is there of `places`: the files and folders that a link is on, each with its place among them.
pub fn look_at(shares: &Shares, places: &[(usize, Readable)]) -> Contents {
    let mut contents = Contents::default();
    let mut visited = 0;
    for (position, place) in places {
        let path = place.path();
        match shares.entry(path).map(|entry| entry.kind) {
            Ok(EntryKind::File(version)) => {
                let (key, name) = (position.to_string(), path.name().to_owned());
                let (size, version) = (version.len, version.to_string());
                contents.items.push(Item { key, path: path.clone(), name, size, version });
            }
            Ok(EntryKind::Folder) => walk(shares, *position, path, &mut visited, &mut contents),
            Err(_) => contents.missing += 1,
        }
        if contents.items.len() > MAX_ITEMS {
            contents.items.truncate(MAX_ITEMS);
            contents.more = true;
        }
    }
    contents
}

/// The files beneath a folder, near ones before deep ones.
fn walk(shares: &Shares, position: usize, root: &FilePath, visited: &mut usize, contents: &mut Contents) {
    let mut folders = VecDeque::from([root.clone()]);
    while let Some(folder) = folders.pop_front() {
        // One more than may be looked at, so that it is noticed when there are more.
        let most = MAX_VISITED.saturating_sub(*visited) + 1;
        let mut entries = shares.folder_up_to(&folder, most).unwrap_or_default();
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        for entry in entries {
            *visited += 1;
            if *visited > MAX_VISITED || contents.items.len() > MAX_ITEMS {
                contents.more = true;
                return;
            }
            let path = entry.path;
            let EntryKind::File(version) = entry.kind else {
                folders.push_back(path);
                continue;
            };
            let within = path.as_str().get(root.as_str().len() + 1..).unwrap_or_default();
            contents.items.push(Item {
                key: key_within(position, within),
                name: format!("{}/{within}", root.name()),
                size: version.len,
                version: version.to_string(),
                path,
            });
        }
    }
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
        for wrong in
            ["", "2", "-1", "00", "+1", "1/", "1/../a.txt", "1/%2e%2e/a.txt", "1//x", "1/%ff", "1/%00", "x"]
        {
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
