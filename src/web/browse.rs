//! Looking into shares: the rows of a folder and what a search by name finds. Blocks on the disk,
//! so handlers run it on a thread that may. Sees nothing without a [`Readable`].

use std::collections::VecDeque;

use crate::files::{EntryKind, FileError, Shares};
use crate::id::FilePath;
use crate::web::pages::row::Row;
use crate::web::pages::sort::Sort;
use crate::web::rights::Readable;

/// Most rows on a page. A page of more is slow to load and no use to anybody.
const MAX_ROWS: usize = 2_000;

/// Most hits of a search …
const MAX_HITS: usize = 500;
/// … and most entries that it looks at, all folders together. Also ends a walk through folders
/// that contain themselves by a symlink.
const MAX_VISITED: usize = 50_000;

/// A folder's rows, in order.
#[derive(Debug)]
pub struct Listing {
    /// The first rows.
    pub rows: Vec<Row>,
    /// How many more there are.
    pub more: usize,
}

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// The hits, in order.
    pub rows: Vec<Row>,
    /// Whether it stopped before it had seen everything.
    pub too_many: bool,
}

/// What stands at an address.
#[derive(Debug)]
pub enum Place {
    /// A folder, with its rows.
    Folder(Listing),
    /// A file.
    File,
}

/// What stands at `place`.
///
/// # Errors
/// When nothing does, or it can't be read.
pub fn look_at(shares: &Shares, place: &Readable, sort: Sort) -> Result<Place, FileError> {
    if let EntryKind::File(_) = shares.entry(place.path())?.kind {
        return Ok(Place::File);
    }
    let entries = shares.folder(place.path())?;
    let mut rows: Vec<Row> = entries.into_iter().map(Row::of).collect();
    sort.apply(&mut rows);
    let more = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    Ok(Place::Folder(Listing { rows, more }))
}

/// The folders within `place`, in order.
///
/// # Errors
/// When there is no such folder, or it can't be read.
pub fn folders(shares: &Shares, place: &Readable) -> Result<Vec<FilePath>, FileError> {
    let entries = shares.folder(place.path())?;
    let folders = entries.into_iter().filter(|entry| entry.kind == EntryKind::Folder);
    let mut rows: Vec<Row> = folders.map(Row::of).collect();
    Sort::default().apply(&mut rows);
    Ok(rows.into_iter().map(|row| row.path).collect())
}

/// Files and folders beneath `places` in whose name each word of `query` stands, in any case.
/// Near folders are searched before deep ones. Folders that can't be read are passed over.
pub fn search(shares: &Shares, places: &[Readable], query: &str, sort: Sort) -> Found {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let mut folders: VecDeque<FilePath> = places.iter().map(|place| place.path().clone()).collect();
    let mut found = Found { rows: Vec::new(), too_many: false };
    let mut visited = 0;
    while let Some(folder) = folders.pop_front() {
        for entry in shares.folder(&folder).unwrap_or_default() {
            visited += 1;
            if found.rows.len() >= MAX_HITS || visited > MAX_VISITED {
                found.too_many = true;
                sort.apply(&mut found.rows);
                return found;
            }
            if entry.kind == EntryKind::Folder {
                folders.push_back(entry.path.clone());
            }
            let name = entry.path.name().to_lowercase();
            if words.iter().all(|word| name.contains(word.as_str())) {
                found.rows.push(Row::of(entry));
            }
        }
    }
    sort.apply(&mut found.rows);
    found
}
