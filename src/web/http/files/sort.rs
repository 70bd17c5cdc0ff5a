//! The order of a list, and the column headings that change it.

use crate::web::http::files::row::Row;
use crate::web::shares::folding::{fold, natural};
use crate::words::words;

words! {
    /// By what a list is sorted.
    #[derive(Default)]
    pub enum SortBy {
        /// The name in natural order: `part 2` before `part 10`.
        #[default]
        Name = "name",
        /// The size; folders have none.
        Size = "size",
        /// The time of the last change.
        Modified = "modified",
    }
}

/// The order of a list: query parameters `sort` and `order`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub by: SortBy,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl Sort {
    /// Reads `sort` (`name`, `size`, `modified`) and `order` (`asc`, `desc`), or both as one word in `sort`, as
    /// the buttons send it (`size-desc`); anything else means the default, by name.
    pub fn parse(sort: Option<&str>, order: Option<&str>) -> Sort {
        let one_word = sort.and_then(|word| word.split_once('-'));
        let (sort, order) = one_word.map_or((sort, order), |(sort, order)| (Some(sort), Some(order)));
        let by = sort.and_then(|word| word.parse().ok()).unwrap_or_default();
        Sort { by, descending: order == Some("desc") }
    }

    /// Returns the order as one word, see [`Sort::parse`].
    pub fn word(self) -> String {
        format!("{}-{}", self.by.as_str(), if self.descending { "desc" } else { "asc" })
    }

    /// Sorts `rows`; folders always come first.
    pub fn apply(self, rows: &mut Vec<Row>) {
        let mut named: Vec<(String, Row)> = rows.drain(..).map(|row| (fold(row.path.name()), row)).collect();
        named.sort_by(|(a_name, a), (b_name, b)| {
            // Names that differ only in case, accents or leading zeros still have one order.
            let by_name = || natural(a_name, b_name).then_with(|| a.path.cmp(&b.path));
            let order = match self.by {
                SortBy::Name => by_name(),
                SortBy::Size => a.size.cmp(&b.size),
                SortBy::Modified => a.modified.cmp(&b.modified),
            };
            let order = if self.descending { order.reverse() } else { order };
            // Ties by name, so that the order does not change from one visit to the next.
            b.is_folder().cmp(&a.is_folder()).then(order).then_with(by_name)
        });
        rows.extend(named.into_iter().map(|(_, row)| row));
    }

    /// Returns the order after a click on the heading of `by`: the other direction, or first the one that
    /// people expect (names from A, but the largest and the newest first).
    fn clicked(self, by: SortBy) -> Sort {
        let descending = if self.by == by { !self.descending } else { by != SortBy::Name };
        Sort { by, descending }
    }
}

/// A heading by which a list can be sorted: a button of the list's form, which carries what is selected.
pub(crate) struct Heading {
    pub(crate) label: &'static str,
    pub(crate) class: &'static str,
    /// The value of the field `sort`.
    pub(crate) value: String,
    /// The value of `aria-sort`, for the column that the list is sorted by.
    pub(crate) aria_sort: Option<&'static str>,
}

pub(crate) fn headings(sort: Sort) -> Vec<Heading> {
    [(SortBy::Name, "Name"), (SortBy::Size, "Size"), (SortBy::Modified, "Modified")]
        .into_iter()
        .map(|(by, label)| {
            let aria_sort = match (sort.by == by, sort.descending) {
                (false, _) => None,
                (true, false) => Some("ascending"),
                (true, true) => Some("descending"),
            };
            Heading { label, class: by.as_str(), value: sort.clicked(by).word(), aria_sort }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn folders_come_first_and_numbers_count() {
        let mut rows = vec![
            row("/b/part 10", Some(1), 3),
            row("/b/Part 2", Some(5), 2),
            row("/b/part 02", Some(2), 1),
            row("/b/zoo", None, 9),
            row("/b/Äpfel", None, 0),
        ];
        Sort::default().apply(&mut rows);
        assert_eq!(names(&rows), ["Äpfel", "zoo", "Part 2", "part 02", "part 10"]);
        Sort::parse(Some("size"), Some("desc")).apply(&mut rows);
        assert_eq!(names(&rows), ["Äpfel", "zoo", "Part 2", "part 02", "part 10"]);
        Sort::parse(Some("modified"), None).apply(&mut rows);
        assert_eq!(names(&rows), ["Äpfel", "zoo", "part 02", "Part 2", "part 10"]);
    }

    #[test]
    fn a_heading_reverses_its_own_order() {
        let headings = headings(Sort::parse(Some("size-desc"), None));
        let values: Vec<_> = headings.iter().map(|h| (h.value.as_str(), h.aria_sort)).collect();
        assert_eq!(values, [("name-asc", None), ("size-asc", Some("descending")), ("modified-desc", None)]);
        assert_eq!(Sort::parse(Some("size"), Some("desc")), Sort::parse(Some("size-desc"), Some("asc")));
    }

    fn row(path: &str, size: Option<u64>, modified: u64) -> Row {
        Row {
            path: path.parse().unwrap(),
            size,
            modified: Timestamp::from_secs(modified),
            too_long: false,
            can_view: false,
        }
    }

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.path.name()).collect()
    }
}
