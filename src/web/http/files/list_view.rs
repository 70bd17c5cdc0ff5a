//! What the address of a list asks for: a search, an order, a page, and what is selected. Forms without scripts
//! carry the selection from one page of the list to the next in it.

use url::form_urlencoded;

use crate::id::FilePath;
use crate::web::http::files::bar::Ticks;
use crate::web::http::files::sort::Sort;
use crate::web::http::selection::path_in;

/// The maximum length of a search; the page's field takes no more.
const MAX_QUERY: usize = 200;

/// The maximum number of selected files that an address may name.
const MAX_TICKS: usize = 2_000;

/// What the address of a list asks for. Parameters that are not valid are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListView {
    /// The search; empty for none.
    pub(crate) query: String,
    pub(crate) sort: Sort,
    /// Counted from 1.
    pub(crate) page: usize,
    pub(crate) ticks: Ticks,
}

impl ListView {
    pub(crate) fn of(query: &str) -> ListView {
        let (mut search, mut page, mut files) = (String::new(), 1, Vec::new());
        let (mut sort, mut order, mut sorted, mut all, mut ticks) = (None, None, None, false, String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "q" => search = value.trim().chars().take(MAX_QUERY).collect(),
                "sort" => sort = Some(value.into_owned()),
                "order" => order = Some(value.into_owned()),
                "sorted" => sorted = Some(value.into_owned()),
                "page" => page = value.parse().unwrap_or(1),
                "ticks" => ticks = value.into_owned(),
                "all" => all = !value.is_empty(),
                "file" | "file_encoded" if files.len() < MAX_TICKS => files.extend(path_in(&name, &value)),
                _ => {}
            }
        }
        let files: Vec<FilePath> = files;
        let ticks = match ticks.as_str() {
            "none" => Ticks::default(),
            "all" => Ticks::Everything,
            "page" => Ticks::WholePage(files),
            _ if all => Ticks::Everything,
            _ => Ticks::Files(files),
        };
        // A button for an order replaces the one that the list has.
        let sort = Sort::parse(sort.as_deref().or(sorted.as_deref()), order.as_deref());
        ListView { query: search, sort, page, ticks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_carries_the_selection_and_the_latest_order() {
        let view =
            ListView::of("q=+a+b+&sorted=size-desc&file=%2Fb%2Fx&file_encoded=%2Fb%2Fa%250Ab&file=..&page=x");
        let files = |ticks: &Ticks| match ticks {
            Ticks::Files(files) | Ticks::WholePage(files) => files.iter().map(ToString::to_string).collect(),
            Ticks::Everything => vec!["everything".to_owned()],
        };
        assert_eq!((view.query.as_str(), view.page, view.sort.word().as_str()), ("a b", 1, "size-desc"));
        assert_eq!(files(&view.ticks), ["/b/x", "/b/a\nb"]);
        assert_eq!(ListView::of("sorted=size-desc&sort=name-asc").sort, Sort::default());
        assert_eq!(ListView::of("sort=modified&order=desc&page=3").page, 3);
        assert_eq!(files(&ListView::of("file=%2Fb%2Fx&all=%2Fb").ticks), ["everything"]);
        assert_eq!(ListView::of("file=%2Fb%2Fx&all=%2Fb&ticks=none").ticks, Ticks::default());
        assert_eq!(
            ListView::of("file=%2Fb%2Fx&ticks=page").ticks,
            Ticks::WholePage(vec!["/b/x".parse().unwrap()])
        );
    }
}
