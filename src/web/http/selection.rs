//! What somebody selected in a list of files, as the fields of a form or of an address carry it.
//!
//! Each selected file or folder is a field `file`, which holds its path. A form would alter a line break within
//! it, so a path with a character that is not shown as it is (see [`human::name`]) is sent percent-encoded, in
//! the field `file_encoded` instead. The field `all` stands for everything in a folder, because a form with
//! every path of a large folder would be too large. `from` is the page on which it was selected.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::human;
use crate::id::FilePath;
use crate::web::http::error::WebError;
use crate::web::http::local_path::LocalPath;
use crate::web::http::paths::{decoded_path, encoded_path};

/// The fields of a form with a selection.
pub(crate) type SelectionFields = Vec<(String, String)>;

/// Up to this many selected files are part of the address of the page to which somebody returns; with more, the
/// address would be longer than some proxies accept.
const IN_ADDRESS: usize = 30;

/// The maximum length of a query with a selection.
const MAX_QUERY: usize = 2_000;

/// What is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picked {
    /// These files and folders, each of them once.
    Files(Vec<FilePath>),
    /// Everything in this folder.
    Everything(FilePath),
}

/// A form with a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What is selected.
    pub picked: Picked,
    /// The page on which it was selected.
    pub from: LocalPath,
    /// The destination, for moving.
    pub to: Option<FilePath>,
    /// What the person confirmed, see [`Selection::known`] where it is made.
    pub known: Option<String>,
}

impl Selection {
    /// Reads the fields of a form.
    ///
    /// # Errors
    /// [`WebError::Invalid`] for a field that no form of ours has, and for a path that is not valid.
    pub(crate) fn of(fields: SelectionFields) -> Result<Selection, WebError> {
        const WRONG: WebError = WebError::Invalid("the form has a missing, repeated or unexpected field");
        let (mut files, mut all, mut from, mut to, mut known) = (Vec::new(), None, None, None, None);
        let once = |place: &mut Option<String>, value: String| match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(WRONG),
        };
        for (name, value) in fields {
            match name.as_str() {
                "file" | "file_encoded" => files.push(path_in(&name, &value).ok_or(WRONG)?),
                "all" => once(&mut all, value)?,
                "from" => once(&mut from, value)?,
                "to" => once(&mut to, value)?,
                "known" => once(&mut known, value)?,
                // The list's own fields: the search and the order.
                "q" | "sorted" => {}
                _ => return Err(WRONG),
            }
        }
        let path = |text: Option<String>| match text.filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => decoded_path(&text).map(Some).ok_or(WRONG),
        };
        let picked = match path(all)? {
            Some(folder) => Picked::Everything(folder),
            None => Picked::Files(outermost(files)),
        };
        let from = from.and_then(|from| LocalPath::parse(&from)).unwrap_or_default();
        Ok(Selection { picked, from, to: path(to)?, known })
    }

    /// Returns the address of the page on which it was selected, with the same selection.
    pub(crate) fn back(&self) -> String {
        let from = self.from.as_str();
        let query = match &self.picked {
            Picked::Files(files) if files.len() <= IN_ADDRESS => query_of(files),
            _ => String::new(),
        };
        let separator = match (query.is_empty(), from.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        // The script of the list keeps what it has selected when it finds this fragment.
        format!("{from}{separator}{query}#selection")
    }
}

/// Returns the name and value of the field for a path.
pub(crate) fn field_of(path: &FilePath) -> (&'static str, String) {
    match human::name(path.as_str()) {
        Cow::Borrowed(path) => ("file", path.to_owned()),
        Cow::Owned(_) => ("file_encoded", encoded_path(path)),
    }
}

/// Reads the path in a field for a file.
pub(crate) fn path_in(name: &str, value: &str) -> Option<FilePath> {
    if name == "file" { value.parse().ok() } else { decoded_path(value) }
}

/// Returns the fields for these paths, as part of an address.
fn query_of(files: &[FilePath]) -> String {
    let pair = |path: &FilePath| {
        let (name, value) = field_of(path);
        format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
    };
    files.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Returns the address of the page at `path` for these files; `None` if it would be longer than some proxies
/// accept. With an address, the page can be reloaded.
pub(crate) fn address_for(path: &str, files: &[FilePath]) -> Option<String> {
    let query = query_of(files);
    (query.len() <= MAX_QUERY).then(|| format!("{path}?{query}"))
}

/// Leaves out what is within another of these folders, because it goes where its folder goes.
fn outermost(mut files: Vec<FilePath>) -> Vec<FilePath> {
    files.sort_by_cached_key(|path| path.components().map(str::to_owned).collect::<Vec<_>>());
    // Sorted by components, what is within a folder follows the folder.
    files.dedup_by(|path, before| path.is_within(before));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(fields: &[(&str, &str)]) -> Result<Selection, WebError> {
        Selection::of(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_form_names_files_in_both_ways_and_each_counts_once() {
        let read = selection(&[
            ("file", "/b/c d.txt"),
            ("file_encoded", "/b/a%0Ab"),
            ("file", "/b/c d.txt"),
            ("file", "/b/folder/in.txt"),
            ("file", "/b/folder"),
            ("file", "/b/folder 2"),
            ("q", "x"),
            ("sorted", "name-asc"),
            ("from", "/files/b?sort=name&order=asc"),
        ]);
        let read = read.unwrap();
        let Picked::Files(files) = &read.picked else { panic!("{read:?}") };
        let files: Vec<&str> = files.iter().map(FilePath::as_str).collect();
        assert_eq!(files, ["/b/a\nb", "/b/c d.txt", "/b/folder", "/b/folder 2"]);
        let back = "/files/b?sort=name&order=asc&file_encoded=%2Fb%2Fa%250Ab&file=%2Fb%2Fc%20d%2Etxt";
        assert!(read.back().starts_with(back) && read.back().ends_with("#selection"), "{}", read.back());
    }

    #[test]
    fn everything_in_a_folder_is_one_field() {
        let read = selection(&[("all", "/b/50%25"), ("file", "/b/x")]).unwrap();
        assert_eq!(read.picked, Picked::Everything("/b/50%".parse().unwrap()));
        assert_eq!(read.back(), "/files/#selection");
    }

    #[test]
    fn a_form_that_is_not_ours_is_refused() {
        for wrong in [
            ("file", "b"),
            ("file", ""),
            ("file_encoded", "/b/%ff"),
            ("all", "/b/.."),
            ("to", "b"),
            ("other", "x"),
        ] {
            assert!(selection(&[wrong]).is_err(), "{wrong:?}");
        }
        assert!(selection(&[("to", "/a"), ("to", "/b")]).is_err(), "twice");
        assert_eq!(selection(&[]).unwrap().picked, Picked::Files(Vec::new()));
    }
}
