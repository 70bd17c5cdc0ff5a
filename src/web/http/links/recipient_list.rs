//! The recipients on the page of a link: a page of them, those with a text in their addresses, or those whom no
//! email has reached.

use actix_web::HttpRequest;
use actix_web::web::Query;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::link_state::viewed;
use crate::web::http::links::mailing_page::MailingPart;

/// The number of recipients on a page.
const PER_PAGE: usize = 100;
/// The maximum length of a search in characters.
const MAX_QUERY: usize = 254;

/// A recipient on the page of a link.
#[derive(Clone, Debug)]
pub struct RecipientRow {
    /// Their id.
    pub id: String,
    /// Their address; `None` for anyone who has the link.
    pub email: Option<String>,
    /// The address of their link.
    pub address: String,
    /// Their uses, reserved or used.
    pub taken: u32,
    /// The uses that are reserved.
    pub reserved: u32,
    /// How often their page was opened.
    pub views: u32,
    /// When it was opened last.
    pub viewed_at: Option<Timestamp>,
    /// How often they viewed a file.
    pub file_views: u32,
    /// When they viewed one last.
    pub file_viewed_at: Option<Timestamp>,
    /// The mail with their link, if there is one.
    pub mailing: Option<MailingPart>,
    /// Whether there is none, and one can be sent.
    pub can_send_first: bool,
    /// Whether the owner has removed them.
    pub is_removed: bool,
}

impl RecipientRow {
    pub(super) fn files_viewed(&self) -> String {
        format!("files {}", viewed(self.file_views))
    }

    pub(super) fn viewed(&self) -> String {
        match (self.views, self.taken) {
            (0, _) => viewed(0),
            (views, 0) => format!("{}, not downloaded", viewed(views)),
            (views, _) => viewed(views),
        }
    }

    /// Returns whether no mail has reached them.
    fn is_unreached(&self) -> bool {
        !self.is_removed && self.mailing.as_ref().is_some_and(MailingPart::is_lost)
    }
}

/// Which recipients the page shows: the fields of its address.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct RecipientQuery {
    /// Text that their addresses must contain; empty for all recipients.
    #[serde(default)]
    q: String,
    /// The page number, starting at 1; 0 also means the first page.
    #[serde(default)]
    page: usize,
    /// If present, only those whom no email has reached.
    unreached: Option<String>,
}

impl RecipientQuery {
    /// Reads the query of a request. What can't be read shows all recipients.
    pub(super) fn of(request: &HttpRequest) -> RecipientQuery {
        let query = Query::<RecipientQuery>::from_query(request.query_string());
        let query = query.map(Query::into_inner).unwrap_or_default();
        RecipientQuery { q: query.q.trim().chars().take(MAX_QUERY).collect(), ..query }
    }

    /// Returns the fields for an address, from the question mark on; empty if there are none.
    fn fields(&self, page: usize) -> String {
        let mut fields = Vec::new();
        if self.unreached.is_some() {
            fields.push("unreached".to_owned());
        }
        if !self.q.is_empty() {
            fields.push(format!("q={}", utf8_percent_encode(&self.q, NON_ALPHANUMERIC)));
        }
        if page > 1 {
            fields.push(format!("page={page}"));
        }
        if fields.is_empty() { String::new() } else { format!("?{}", fields.join("&")) }
    }
}

/// The recipients of a link, as its page shows them.
#[derive(Clone, Debug, Default)]
pub struct RecipientList {
    /// The recipients on this page.
    pub rows: Vec<RecipientRow>,
    /// What was asked for.
    pub query: RecipientQuery,
    /// The page number, starting at 1.
    pub page: usize,
    /// The number of recipients on all pages.
    pub found: usize,
    /// The number of recipients whom no mail has reached.
    pub unreached: usize,
    /// Whether the link is for anyone who has it.
    pub is_open_to_all: bool,
    /// The number of recipients, including those who were removed …
    pub all: usize,
    /// … and without them.
    pub active: usize,
}

impl RecipientList {
    /// Chooses those that `query` asks for.
    pub fn of(all: Vec<RecipientRow>, query: RecipientQuery) -> RecipientList {
        let (total, unreached) = (all.len(), all.iter().filter(|row| row.is_unreached()).count());
        let is_open_to_all = all.iter().all(|row| row.email.is_none());
        let active = all.iter().filter(|row| !row.is_removed).count();
        let text = query.q.to_lowercase();
        let is_meant = |row: &RecipientRow| {
            let email = row.email.as_deref().unwrap_or_default();
            (text.is_empty() || email.to_lowercase().contains(&text))
                && (query.unreached.is_none() || row.is_unreached())
        };
        let meant: Vec<RecipientRow> = all.into_iter().filter(is_meant).collect();
        let found = meant.len();
        let page = query.page.clamp(1, found.div_ceil(PER_PAGE).max(1));
        let rows = meant.into_iter().skip((page - 1) * PER_PAGE).take(PER_PAGE).collect();
        RecipientList { rows, query, page, found, unreached, is_open_to_all, all: total, active }
    }

    fn pages(&self) -> usize {
        self.found.div_ceil(PER_PAGE).max(1)
    }

    /// Returns whether there are so many that the page has a search and says which it shows.
    pub(super) fn is_long(&self) -> bool {
        self.all > PER_PAGE || !self.is_complete()
    }

    /// Returns whether the query asks for all recipients.
    pub(super) fn is_complete(&self) -> bool {
        self.query.q.is_empty() && self.query.unreached.is_none()
    }

    /// Returns what was searched for.
    pub(super) fn searched(&self) -> &str {
        &self.query.q
    }

    /// Returns whether only those are shown whom no email has reached.
    pub(super) fn only_unreached(&self) -> bool {
        self.query.unreached.is_some()
    }

    /// Returns the fields of this page's address.
    pub(super) fn fields(&self) -> String {
        self.query.fields(self.page)
    }

    /// Returns how many there are, and which page of them this is.
    pub(super) fn counted(&self) -> String {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let counted = match self.is_complete() {
            true => human::counted(number(self.found), "recipient"),
            false => {
                let all = human::counted(number(self.all), "recipient");
                format!("{} of {all}", human::grouped(number(self.found)))
            }
        };
        match self.pages() {
            1 => counted,
            pages => format!("{counted}, page {} of {pages}", self.page),
        }
    }

    /// Returns the fields of the addresses of the previous and the next page.
    pub(super) fn pager(&self) -> (Option<String>, Option<String>) {
        // The first page needs no number, but its address must not be empty.
        let to = |page: usize| match self.query.fields(page) {
            fields if fields.is_empty() => "?page=1".to_owned(),
            fields => fields,
        };
        let before = (self.page > 1).then(|| to(self.page - 1));
        (before, (self.page < self.pages()).then(|| to(self.page + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: usize) -> RecipientRow {
        RecipientRow {
            id: number.to_string(),
            email: Some(format!("Person{number}@example.org")),
            address: String::new(),
            taken: 0,
            reserved: 0,
            views: 0,
            viewed_at: None,
            file_views: 0,
            file_viewed_at: None,
            mailing: None,
            can_send_first: false,
            is_removed: number == 7,
        }
    }

    fn list(q: &str, page: usize) -> RecipientList {
        let query = RecipientQuery { q: q.to_owned(), page, unreached: None };
        RecipientList::of((0..1_000).map(row).collect(), query)
    }

    #[test]
    fn every_recipient_is_on_one_page_and_counts_are_of_all() {
        let mut seen = Vec::new();
        let mut page = 1;
        loop {
            let list = list("", page);
            assert_eq!((list.all, list.active, list.found), (1_000, 999, 1_000));
            assert_eq!(list.counted(), format!("1,000 recipients, page {page} of 10"));
            seen.extend(list.rows.iter().map(|row| row.id.clone()));
            if list.pager().1.is_none() {
                break;
            }
            page += 1;
        }
        assert_eq!(seen, (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(list("", 99).page, 10);
        assert_eq!(list("", 2).pager(), (Some("?page=1".to_owned()), Some("?page=3".to_owned())));
    }

    #[test]
    fn a_search_ignores_case_and_keeps_its_words_on_every_page() {
        let one = list("person999@", 1);
        assert_eq!((one.found, one.counted().as_str()), (1, "1 of 1,000 recipients"));
        let many = list("PERSON", 2);
        assert_eq!(many.fields(), "?q=PERSON&page=2");
        assert_eq!(many.pager().0.as_deref(), Some("?q=PERSON"));
        assert_eq!(list("nobody", 1).counted(), "0 of 1,000 recipients");
    }
}
