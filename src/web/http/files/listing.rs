//! Lists folders and searches shares by name. Blocks on the disk, so handlers run it on the blocking pool.
//! Lists nothing without a [`Readable`].

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::{EntryKind, FileError, Shares};
use crate::id::FilePath;
use crate::web::http::files::row::Row;
use crate::web::http::files::sort::Sort;
use crate::web::shares::folding::NameQuery;
use crate::web::shares::rights::Readable;

/// The number of rows on a page. A page with more is slow to load and hard to read.
const PER_PAGE: usize = 1_000;

/// The maximum number of hits of a search …
const MAX_HITS: usize = 500;
/// … and of entries that it looks at, in all folders together. This also ends a walk through folders that
/// contain themselves by a symlink.
const MAX_VISITED: usize = 5_000_000;

/// A folder's rows, in order.
#[derive(Debug)]
pub struct FolderListing {
    /// The rows of one page.
    pub rows: Vec<Row>,
    /// The number of rows on all pages.
    pub total: usize,
    /// Which page this is, counted from 1.
    pub page: usize,
    /// The number of pages, at least 1.
    pub pages: usize,
}

impl Default for FolderListing {
    /// Returns the listing of an empty folder.
    fn default() -> FolderListing {
        FolderListing { rows: Vec::new(), total: 0, page: 1, pages: 1 }
    }
}

/// The results of a search.
#[derive(Debug, Default)]
pub struct SearchResults {
    /// The hits, in order.
    pub rows: Vec<Row>,
    /// Whether there are more hits than are shown.
    pub too_many: bool,
    /// The number of entries after which the search stopped early, if it did.
    pub stopped_after: Option<usize>,
}

/// What a path leads to.
#[derive(Debug)]
pub enum BrowseTarget {
    /// A folder, with its rows.
    Folder(FolderListing),
    /// A file.
    File,
}

/// Returns what is at `place`; of a folder the given page, or its last page if it has fewer.
///
/// # Errors
/// When there is nothing, or it can't be read.
pub fn look_at(
    shares: &Shares,
    place: &Readable,
    sort: Sort,
    page: usize,
) -> Result<BrowseTarget, FileError> {
    if let EntryKind::File(_) = shares.entry(place.path())?.kind {
        return Ok(BrowseTarget::File);
    }
    let entries = shares.folder(place.path())?;
    let mut rows: Vec<Row> = entries.into_iter().map(Row::of).collect();
    sort.apply(&mut rows);
    let total = rows.len();
    let pages = total.div_ceil(PER_PAGE).max(1);
    let page = page.clamp(1, pages);
    let rows = rows.into_iter().skip((page - 1) * PER_PAGE).take(PER_PAGE).collect();
    Ok(BrowseTarget::Folder(FolderListing { rows, total, page, pages }))
}

/// Returns the subfolders of `place`, in order.
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

/// Finds the files and folders in `places` whose names match `query`. Searches breadth-first and skips
/// folders that can't be read. Stops early when `stop` is set.
pub fn search(
    shares: &Shares,
    places: &[Readable],
    query: &str,
    sort: Sort,
    stop: &AtomicBool,
) -> SearchResults {
    let query = NameQuery::new(query);
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
        // A folder that has vanished or can't be read has no results.
        let _passed_over = shares.scan(&folder, &mut see);
        if found.too_many || found.stopped_after.is_some() {
            break;
        }
    }
    sort.apply(&mut found.rows);
    found
}
