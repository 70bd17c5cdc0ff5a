//! The addresses of the pages on which files and folders are changed.

use crate::id::FilePath;
use crate::web::http::paths::{encoded_path, folder_above, folder_address};

/// Returns the address of the page on which an entry is renamed, moved or deleted.
pub(crate) fn manage_address(path: &FilePath) -> String {
    format!("/manage/entry?path={}", encoded_path(path))
}

/// Returns the address of the page that asks where to move `path`, with `to` proposed.
pub(crate) fn move_address(path: &FilePath, to: Option<&FilePath>) -> String {
    let to = to.map(|to| format!("&to={}", encoded_path(to))).unwrap_or_default();
    format!("/manage/to?path={}{to}", encoded_path(path))
}

/// Returns the address of the form for a new folder in `folder`.
pub(crate) fn new_folder_address(folder: &FilePath) -> String {
    format!("/manage/new-folder?folder={}", encoded_path(folder))
}

/// Returns the address of the page on which others are asked for files in `folder`.
pub(crate) fn ask_address(folder: &FilePath) -> String {
    format!("/requests/new?folder={}", encoded_path(folder))
}

/// Returns the address of the trash of the share that `path` is in, or of the person's own files.
pub(crate) fn trash_address(path: &FilePath, home: Option<&FilePath>) -> String {
    let root = match home {
        Some(home) if path.is_within(home) => Some(home.clone()),
        _ => format!("/{}", path.share()).parse().ok(),
    };
    format!("/manage/trash?share={}", root.map(|root| encoded_path(&root)).unwrap_or_default())
}

/// Returns the address of the folder that contains `path`, or of the list of shares.
pub(crate) fn parent_address(path: &FilePath, home: Option<&FilePath>) -> String {
    folder_above(path, home).map_or_else(|| "/files/".to_owned(), |folder| folder_address(&folder))
}
