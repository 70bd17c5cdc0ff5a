//! Files and folders that someone selected: in the query of a page, and in the field of a form.

use percent_encoding::percent_decode_str;

use crate::id::FilePath;
use crate::web::http::local_path::LocalPath;
use crate::web::http::paths::{decoded_path, shown_name};

/// The maximum number of files and folders in a selection.
pub(crate) const MAX_FILES: usize = 100;

/// The query of a page about selected files.
#[derive(Default)]
pub(crate) struct FileQuery {
    /// The page on which they were selected.
    pub(crate) from: LocalPath,
    /// The files and folders; empty where none was selected.
    pub(crate) files: Vec<FilePath>,
}

impl FileQuery {
    /// Reads the query `file=…`, with `file` or `file_encoded` for each file or folder.
    pub(crate) fn of(query: &str) -> Option<FileQuery> {
        let (mut from, mut files) = (LocalPath::default(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8().ok()?;
            let path: FilePath = match name {
                "file" => value.parse().ok()?,
                "file_encoded" => decoded_path(&value)?,
                "from" => {
                    from = LocalPath::parse(&value).unwrap_or_default();
                    continue;
                }
                _ => return None,
            };
            if !files.contains(&path) {
                files.push(path);
            }
        }
        (files.len() <= MAX_FILES).then_some(FileQuery { from, files })
    }
}

/// Reads the files in a form: their paths, percent-encoded and separated by spaces.
pub(crate) fn files_of(field: &str) -> Option<Vec<FilePath>> {
    let files = field.split(' ').map(decoded_path).collect::<Option<Vec<FilePath>>>()?;
    (files.len() <= MAX_FILES).then_some(files)
}

/// Returns a title for these files, after the first of them.
pub(crate) fn title_of(files: &[FilePath], home: Option<&FilePath>) -> String {
    let first = files.first().map(|file| shown_name(file, home).into_owned()).unwrap_or_default();
    match files.len() {
        0 | 1 => first,
        2 => format!("{first} and 1 more"),
        count => format!("{first} and {} more", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_files_in_both_ways() {
        let files = |query: &str| {
            FileQuery::of(query).map(|query| query.files.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let two = files("file=%2Fbooks%2Fa+b.txt&file_encoded=%2Fbooks%2Fa%250Ab&file=/books/a%20b.txt");
        assert_eq!(two, Some(vec!["/books/a b.txt".to_owned(), "/books/a\nb".to_owned()]));
        assert_eq!(files("from=%2Ffiles%2Fbooks"), Some(Vec::new()), "nothing was chosen");
        assert_eq!(FileQuery::of("from=%2Ffiles%2Fbooks").unwrap().from.as_str(), "/files/books");
        assert_eq!(FileQuery::of("from=https%3A%2F%2Fevil.example%2F").unwrap().from.as_str(), "/files/");
        for wrong in ["file=", "file=books", "file", "other=/books/a", "file=/books/..", "file=%ff"] {
            assert_eq!(files(wrong), None, "{wrong}");
        }
        assert_eq!(files_of("/books/a%20b /books/c").map(|files| files.len()), Some(2));
        assert!(files_of("").is_none() && files_of("/books/a  /b").is_none());
    }
}
