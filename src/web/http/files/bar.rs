//! The bar beneath a list, for what is selected in it, and the form that its checkboxes and buttons belong to.
//!
//! The form is sent with GET by the search, the headings and the pager, which show the list again with the same
//! selection, and with POST by the actions. Only the buttons of the actions carry the CSRF token, as their own
//! name and value, so that it never becomes part of an address.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::human;
use crate::id::FilePath;
use crate::web::http::files::row::Row;
use crate::web::http::paths::encoded_path;
use crate::web::http::selection::field_of;

/// What is selected in a list, as its address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ticks {
    /// These files and folders. Some may be on other pages of the list.
    Files(Vec<FilePath>),
    /// These, and everything on this page.
    WholePage(Vec<FilePath>),
    /// Everything on all pages.
    Everything,
}

impl Default for Ticks {
    /// Returns the selection of nothing.
    fn default() -> Ticks {
        Ticks::Files(Vec::new())
    }
}

/// The bar of a list and its form.
#[derive(Clone, Debug, Default)]
pub struct SelectionBar {
    /// The address of the list, without a query. What is selected is kept as long as it stays the same.
    pub action: String,
    /// The page, for returning to it after an action.
    pub from: String,
    /// The order, see [`crate::web::http::files::sort::Sort::word`].
    pub sorted: String,
    /// Whether the person may move and delete what is selected.
    pub can_change: bool,
    /// The folder, if the list shows all of its pages' entries, not results of a search.
    pub folder: Option<FilePath>,
    /// The number of entries on all pages.
    pub total: usize,
    /// The number of entries on this page.
    pub shown: usize,
    /// What is selected; of everything in a folder, what is on this page.
    pub ticked: BTreeSet<FilePath>,
    /// What of it is not on this page.
    pub elsewhere: Vec<FilePath>,
    /// Whether everything on all pages is selected.
    pub everything: bool,
}

impl SelectionBar {
    /// Selects in the list with these rows what `ticks` says. What is not within `scope` is left out.
    pub fn with(self, ticks: Ticks, rows: &[Row], scope: Option<&FilePath>) -> SelectionBar {
        let everything = ticks == Ticks::Everything && self.folder.is_some();
        let on_page = || rows.iter().map(|row| row.path.clone());
        let listed = |files: Vec<FilePath>| {
            files.into_iter().filter(|file| scope.is_none_or(|scope| file.is_within(scope) && file != scope))
        };
        let ticked: BTreeSet<FilePath> = match ticks {
            Ticks::Files(files) => listed(files).collect(),
            Ticks::WholePage(files) => listed(files).chain(on_page()).collect(),
            Ticks::Everything if everything => on_page().collect(),
            Ticks::Everything => BTreeSet::new(),
        };
        let shown: BTreeSet<FilePath> = if ticked.is_empty() { BTreeSet::new() } else { on_page().collect() };
        let elsewhere = ticked.difference(&shown).cloned().collect();
        SelectionBar { shown: rows.len(), ticked, elsewhere, everything, ..self }
    }

    fn count(&self) -> usize {
        if self.everything { self.total } else { self.ticked.len() }
    }

    /// Returns the attributes of a row's checkbox. While everything is selected, a form without scripts can't
    /// except a single file, so the box can't be changed.
    pub(crate) fn checked(&self, row: &Row) -> &'static str {
        match self.ticked.contains(&row.path) {
            false => "",
            true if self.everything => " checked disabled",
            true => " checked",
        }
    }

    /// Returns the fields for what is selected and not on this page.
    pub(crate) fn elsewhere(&self) -> Vec<(&'static str, String)> {
        self.elsewhere.iter().map(field_of).collect()
    }

    /// Returns the value of the field `all`, while everything in the folder is selected.
    pub(crate) fn all(&self) -> Option<String> {
        self.folder.as_ref().filter(|_| self.everything).map(encoded_path)
    }

    /// Returns the folder as the script needs it: as the fields `file` begin, if they can, and as `all` and the
    /// fields `file_encoded` carry it.
    pub(crate) fn folder(&self) -> Option<(&str, String)> {
        let plain = |folder: &'_ FilePath| matches!(human::name(folder.as_str()), Cow::Borrowed(_));
        let folder = self.folder.as_ref()?;
        Some((if plain(folder) { folder.as_str() } else { "" }, encoded_path(folder)))
    }

    /// Returns what the bar says about the number.
    pub(crate) fn counted(&self) -> String {
        match self.count() {
            0 => "Selected:".to_owned(),
            count => format!("{} selected", human::grouped(u64::try_from(count).unwrap_or(u64::MAX))),
        }
    }

    pub(crate) fn is_shown(&self) -> bool {
        self.shown > 0 || self.count() > 0
    }

    /// Returns the label of the button that selects everything on all pages, where there are several and this
    /// one is selected.
    pub(crate) fn everything_label(&self) -> Option<String> {
        let page_is_ticked = self.ticked.len() - self.elsewhere.len() == self.shown;
        let more = self.folder.is_some() && self.total > self.shown && !self.everything && page_is_ticked;
        more.then(|| format!("Select all {}", human::grouped(u64::try_from(self.total).unwrap_or(u64::MAX))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn row(path: &str) -> Row {
        Row::of(crate::files::FolderEntry {
            path: path.parse().unwrap(),
            kind: crate::files::EntryKind::Folder,
            modified: Timestamp::EPOCH,
        })
    }

    #[test]
    fn a_selection_is_split_into_what_is_on_the_page_and_what_is_not() {
        let folder: FilePath = "/b".parse().unwrap();
        let rows = [row("/b/1"), row("/b/2")];
        let path = |text: &str| text.parse::<FilePath>().unwrap();
        let bar = SelectionBar { folder: Some(folder.clone()), total: 5, ..SelectionBar::default() };
        let with = |ticks: Ticks| bar.clone().with(ticks, &rows, Some(&folder));

        let some = with(Ticks::Files(vec![path("/b/2"), path("/b/4"), path("/c/4"), path("/b")]));
        assert_eq!((some.checked(&rows[0]), some.checked(&rows[1])), ("", " checked"));
        assert_eq!(some.elsewhere(), [("file", "/b/4".to_owned())]);
        assert_eq!((some.counted().as_str(), some.everything_label()), ("2 selected", None));

        let page = with(Ticks::WholePage(vec![path("/b/4")]));
        assert_eq!(page.counted(), "3 selected");
        assert_eq!(page.everything_label().as_deref(), Some("Select all 5"));

        let all = with(Ticks::Everything);
        assert_eq!((all.counted().as_str(), all.all().as_deref()), ("5 selected", Some("/b")));
        assert_eq!((all.checked(&rows[0]), all.everything_label()), (" checked disabled", None));
        let search = SelectionBar { folder: None, ..bar }.with(Ticks::Everything, &rows, None);
        assert_eq!(
            (search.counted().as_str(), search.all()),
            ("Selected:", None),
            "a search has no other pages"
        );
    }
}
