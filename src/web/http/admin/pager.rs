//! The pages of a long list: which one a query asks for, and the addresses of its neighbors.

use serde::Deserialize;

/// The number of entries on one page of a list.
pub(crate) const PAGE_SIZE: u32 = 50;

/// The query of a list's address.
#[derive(Default, Deserialize)]
pub(crate) struct ListQuery {
    /// What to search for.
    #[serde(default)]
    pub(crate) q: String,
    /// The page, counted from 0.
    #[serde(default)]
    pub(crate) page: u32,
    /// The state of the mails to list.
    #[serde(default)]
    pub(crate) state: String,
    /// If present with any value, the logs are verified.
    #[serde(default)]
    pub(crate) check: String,
}

impl ListQuery {
    /// The number of entries on the pages before this one.
    pub(crate) fn offset(&self) -> u32 {
        self.page.saturating_mul(PAGE_SIZE)
    }
}

/// The links to the neighboring pages of a list.
#[derive(Clone, Debug, Default)]
pub struct Pager {
    /// The address of the previous page.
    pub newer: Option<String>,
    /// The address of the next page.
    pub older: Option<String>,
}

impl Pager {
    /// Returns the pager for page `page` of the list at `address`; `more` says whether another page follows.
    pub(crate) fn new(address: &str, page: u32, more: bool) -> Pager {
        let joint = if address.contains('?') { '&' } else { '?' };
        let to = |page: u32| format!("{address}{joint}page={page}");
        Pager { newer: page.checked_sub(1).map(to), older: more.then(|| to(page.saturating_add(1))) }
    }
}
