//! Looking into shares: the rows of a folder and what a search by name finds. Blocks on the disk,
//! so handlers run it on a thread that may. Sees nothing without a [`Readable`].

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::{EntryKind, FileError, Shares};
use crate::id::FilePath;
use crate::web::http::files::row::Row;
use crate::web::http::files::sort::Sort;
use crate::web::shares::folding::Query;
use crate::web::shares::rights::Readable;

/// Rows on a page. A page of more is slow to load and hard to read.
const PER_PAGE: usize = 1_000;

/// Most hits of a search …
const MAX_HITS: usize = 500;
/// … and most entries that it looks at, all folders together, should nobody stop it before. Also ends
/// a walk through folders that contain themselves by a symlink.
const MAX_VISITED: usize = 5_000_000;

/// A folder's rows, in order.
#[derive(Debug)]
pub struct Listing {
    /// The rows of one page.
    pub rows: Vec<Row>,
    /// How many there are on all pages.
    pub total: usize,
    /// Which page this is, counted from 1, and how many there are.
    pub page: usize,
    /// How many pages there are, 1 at least.
    pub pages: usize,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct SearchResults {
    /// The hits, in order.
    pub rows: Vec<Row>,
    /// Whether there are more hits than are shown.
    pub too_many: bool,
    /// How many entries were looked at, if the search ended before it had seen all of them.
    pub stopped_after: Option<usize>,
}

/// What stands at an address.
#[derive(Debug)]
pub enum Target {
    /// A folder, with its rows.
    Folder(Listing),
    /// A file.
    File,
}

/// What stands at `place`; of a folder the given page, or the last one where it has fewer.
///
/// # Errors
/// When nothing does, or it can't be read.
pub fn look_at(shares: &Shares, place: &Readable, sort: Sort, page: usize) -> Result<Target, FileError> {
    if let EntryKind::File(_) = shares.entry(place.path())?.kind {
        return Ok(Target::File);
    }
    let entries = shares.folder(place.path())?;
    let mut rows: Vec<Row> = entries.into_iter().map(Row::of).collect();
    sort.apply(&mut rows);
    let total = rows.len();
    let pages = total.div_ceil(PER_PAGE).max(1);
    let page = page.clamp(1, pages);
    let rows = rows.into_iter().skip((page - 1) * PER_PAGE).take(PER_PAGE).collect();
    Ok(Target::Folder(Listing { rows, total, page, pages }))
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

/// Files and folders beneath `places` whose names fit `query`. Near folders are searched before deep
/// ones. Folders that can't be read are passed over. Ends early when `stop` is set.
pub fn search(
    shares: &Shares,
    places: &[Readable],
    query: &str,
    sort: Sort,
    stop: &AtomicBool,
) -> SearchResults {
    let query = Query::new(query);
    let mut folders: VecDeque<FilePath> = places.iter().map(|place| place.path().clone()).collect();
    let mut found = SearchResults::default();
    let mut visited = 0;
    while let Some(folder) = folders.pop_front() {
        let mut see = |path: FilePath, is_folder: bool| {
            if visited >= MAX_VISITED || stop.load(Ordering::Relaxed) {
                found.stopped_after = Some(visited);
                return ControlFlow::Break(());
            }
            visited += 1;
            if query.fits(path.name()) {
                if found.rows.len() >= MAX_HITS {
                    found.too_many = true;
                    return ControlFlow::Break(());
                }
                found.rows.extend(shares.entry(&path).ok().map(Row::of));
            }
            if is_folder {
                folders.push_back(path);
            }
            ControlFlow::Continue(())
        };
        // A folder that vanished or can't be read has nothing to show.
        let _passed_over = shares.scan(&folder, &mut see);
        if found.too_many || found.stopped_after.is_some() {
            break;
        }
    }
    sort.apply(&mut found.rows);
    found
}
