//! How many links lead to files that somebody is about to delete.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use sqlx::Row;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::links::link::Links;

impl Links {
    /// Returns how many links of any owner lead to one of `paths` or to something below it, each link counted
    /// once. They stop working if these are deleted. Links that are revoked, expired or used up don't count:
    /// nothing can be downloaded with them anyway. A link is used up when no recipient has a use left that is
    /// neither used nor being used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leading_to(&self, paths: &[FilePath], now: Timestamp) -> Result<u64, QueryError> {
        let paths: BTreeSet<&str> = paths.iter().map(FilePath::as_str).collect();
        let start = common_start(&paths);
        // One query for any number of paths; which of them a link leads to is decided here.
        let mut rows = sqlx::query(
            "SELECT links.id, link_files.path FROM links JOIN link_files ON link_files.link = links.id \
             WHERE links.withdrawn_at IS NULL AND (links.ends_at IS NULL OR links.ends_at > $1) \
             AND SUBSTR(link_files.path, 1, CAST($2 AS INTEGER)) = $3 \
             AND (links.uses IS NULL OR EXISTS (SELECT 1 FROM recipients \
             WHERE recipients.link = links.id AND recipients.removed_at IS NULL \
             AND recipients.taken - recipients.reserved < links.uses))",
        )
        .bind(to_column(now))
        .bind(i64::try_from(start.chars().count()).unwrap_or(i64::MAX))
        .bind(start)
        .fetch(self.db.reader());
        let mut links: BTreeSet<String> = BTreeSet::new();
        while let Some(row) = rows.try_next().await? {
            if is_within_any(row.try_get("path")?, &paths) {
                links.insert(row.try_get("id")?);
            }
        }
        Ok(u64::try_from(links.len()).unwrap_or(u64::MAX))
    }
}

/// Returns whether `path` is one of `paths`, or within one of them.
fn is_within_any(path: &str, paths: &BTreeSet<&str>) -> bool {
    std::iter::successors(Some(path), |path: &&str| path.rsplit_once('/').map(|(above, _)| above))
        .any(|path| paths.contains(path))
}

/// Returns what all of these begin with; they are in order.
fn common_start<'p>(paths: &BTreeSet<&'p str>) -> &'p str {
    let (Some(first), Some(last)) = (paths.first(), paths.last()) else { return "" };
    let same = first.char_indices().zip(last.chars()).find(|((_, one), other)| one != other);
    let end = same.map_or(first.len(), |((at, _), _)| at);
    first.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_start_ends_between_characters() {
        let start = |paths: &[&'static str]| common_start(&paths.iter().copied().collect());
        assert_eq!(start(&["/b/äx", "/b/äy", "/b/ä"]), "/b/ä");
        assert_eq!(start(&["/b/ä", "/b/ö"]), "/b/");
        assert_eq!(start(&["/b/x"]), "/b/x");
        assert_eq!((start(&[]), start(&["/a", "b"])), ("", ""));
    }

    #[test]
    fn a_path_is_within_its_folders_only() {
        let paths = BTreeSet::from(["/b/folder", "/b/f.txt"]);
        for within in ["/b/folder", "/b/folder/x/y", "/b/f.txt"] {
            assert!(is_within_any(within, &paths), "{within}");
        }
        for other in ["/b", "/b/folder 2", "/b/f.txt2", ""] {
            assert!(!is_within_any(other, &paths), "{other}");
        }
    }
}
