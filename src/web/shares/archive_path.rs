//! The path under which a token for an archive is recorded. It is no file's: it lists what the right to the
//! archive depends on, which are the topmost folders that contain its files.

use std::collections::BTreeSet;

use crate::id::FilePath;
use crate::web::shares::rights::Readable;

/// Separates the folders. The names of shares don't contain control characters.
const SEPARATOR: char = '\u{1}';

/// How every such path begins.
pub(crate) const PREFIX: &str = "/zip\u{1}";

/// Returns the path for an archive of these files and folders; `None` if there are none.
pub(crate) fn of<'p>(places: impl Iterator<Item = &'p Readable>) -> Option<FilePath> {
    let roots: BTreeSet<&str> = places.map(|place| place.root().as_str()).collect();
    let roots: Vec<&str> = roots.into_iter().collect();
    format!("{PREFIX}{}", roots.join(&SEPARATOR.to_string())).parse().ok()
}

/// Returns whether a path is that of an archive.
pub(crate) fn is_archive(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Returns the folders that must be readable for a token with this path: itself, unless it is an archive's.
/// `None` if it isn't valid.
pub(crate) fn roots(path: &FilePath) -> Option<Vec<FilePath>> {
    match path.as_str().strip_prefix(PREFIX) {
        Some(roots) => roots.split(SEPARATOR).map(|root| root.parse().ok()).collect(),
        None => Some(vec![path.clone()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_depends_on_all_its_roots_and_a_file_on_itself() {
        let paths =
            |paths: &[&str]| paths.iter().map(|path| path.parse().unwrap()).collect::<Vec<FilePath>>();
        let archive: FilePath = "/zip\u{1}/books\u{1}/home/x".parse().unwrap();
        assert!(is_archive(archive.as_str()));
        assert_eq!(roots(&archive), Some(paths(&["/books", "/home/x"])));
        for file in ["/zip/a", "/zip", "/books/zip\u{1}/a", "/books/a\u{1}/b"] {
            assert!(!is_archive(file));
            assert_eq!(roots(&file.parse().unwrap()), Some(paths(&[file])));
        }
        assert_eq!(roots(&"/zip\u{1}/a\u{1}b".parse().unwrap()), None);
    }
}
