//! Parts that the pages for browsing have in common.

use crate::human;

/// The search form of a page: `GET` with `q`.
pub(super) struct SearchBox {
    pub(super) action: String,
    pub(super) query: String,
    pub(super) place: String,
}

/// The tools above the list, for people who may write.
pub(super) struct Tools {
    /// The folder, as forms carry it.
    pub(super) encoded: String,
    /// Whether what is uploaded becomes a link.
    pub(super) makes_link: bool,
    pub(super) new_folder: Option<String>,
    pub(super) trash: Option<String>,
    /// The address of the page on which others are asked for files in this folder.
    pub(super) ask: String,
}

/// Returns a number of things.
pub(super) fn counted(count: usize, what: &str) -> String {
    human::counted(u64::try_from(count).unwrap_or(u64::MAX), what)
}
