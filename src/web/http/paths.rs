//! Encodes file paths for addresses and for the fields of forms, decodes them, and shows them to people. `home`
//! is the person's own folder: nothing above it is shown, and its name is *My files* instead of an account id.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::human;
use crate::id::FilePath;

/// Where the API begins.
pub(crate) const API: &str = "/api/v1";

/// The name of a person's own folder.
pub(crate) const MY_FILES: &str = "My files";

/// Everything except RFC 3986's unreserved characters and the slash between components.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Returns the address of a folder's page: `/files/{share}/{path}`.
pub(crate) fn folder_address(folder: &FilePath) -> String {
    format!("/files{}", utf8_percent_encode(folder.as_str(), PATH))
}

/// Returns a path as addresses and the fields of forms carry it.
pub(crate) fn encoded_path(path: &FilePath) -> String {
    utf8_percent_encode(path.as_str(), PATH).to_string()
}

/// Decodes the path in a field of a form; `None` if it is not a valid path.
pub(crate) fn decoded_path(text: &str) -> Option<FilePath> {
    percent_decode_str(text).decode_utf8().ok()?.parse().ok()
}

/// Returns the name of a file or folder.
pub(crate) fn shown_name<'p>(path: &'p FilePath, home: Option<&FilePath>) -> Cow<'p, str> {
    if home == Some(path) { MY_FILES.into() } else { human::name(path.name()) }
}

/// Returns the folder that contains `path`; `None` if the person can't open it.
pub(crate) fn folder_above(path: &FilePath, home: Option<&FilePath>) -> Option<FilePath> {
    if home == Some(path) { None } else { path.parent() }
}

/// Returns the names of the folders that lead to `path`, and its own.
pub(crate) fn shown_steps(path: &FilePath, home: Option<&FilePath>) -> Vec<String> {
    let above = std::iter::successors(Some(path.clone()), |path| folder_above(path, home));
    let mut steps: Vec<String> = above.map(|path| shown_name(&path, home).into_owned()).collect();
    steps.reverse();
    steps
}

/// Returns a path such as `/books/report.pdf` or `My files/report.pdf`.
pub(crate) fn shown_path(path: &FilePath, home: Option<&FilePath>) -> String {
    match home {
        Some(home) if path.is_within(home) => shown_steps(path, Some(home)).join("/"),
        _ => human::name(path.as_str()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_above_the_own_folder_is_shown() {
        let path = |text: &str| text.parse::<FilePath>().unwrap();
        let home = path("/home/0123");
        let shown = |text: &str| shown_path(&path(text), Some(&home));
        assert_eq!(shown("/home/0123"), "My files");
        assert_eq!(shown("/home/0123/a/b.txt"), "My files/a/b.txt");
        assert_eq!(shown("/home/01234/b.txt"), "/home/01234/b.txt", "not in it");
        assert_eq!(shown("/books/b.txt"), "/books/b.txt");
        assert_eq!(shown_path(&home, None), "/home/0123");
        assert_eq!(folder_above(&home, Some(&home)), None);
        assert_eq!(shown_steps(&path("/home/0123/a"), Some(&home)), ["My files", "a"]);
        assert_eq!(shown_steps(&path("/books/a"), Some(&home)), ["books", "a"]);
    }
}
