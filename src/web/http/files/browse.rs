//! Browsing the shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::files::FileError;
use crate::id::FilePath;
use crate::viewable;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::files::bar::SelectionBar;
use crate::web::http::files::folder_page::FolderPage;
use crate::web::http::files::list_view::ListView;
use crate::web::http::files::listing;
use crate::web::http::files::listing::{BrowseTarget, FolderListing};
use crate::web::http::files::row::Row;
use crate::web::http::files::search_page::SearchPage;
use crate::web::http::files::shares_page::SharesPage;
use crate::web::http::layout::{Chrome, Flash, Section};
use crate::web::http::paths::{MY_FILES, folder_address};
use crate::web::http::respond::{AppData, blocking, html_with_script, see_other, without_flash};
use crate::web::http::state::AppState;
use crate::web::http::viewing::shows_pdf;
use crate::web::shares::rights::{Readable, Right};

/// The maximum time of a search. Then the page shows what was found, and says that the search stopped early.
const SEARCH_TIME: Duration = Duration::from_secs(8);

/// `GET /files/` and `GET /files/{share}/{path}`, each with `q` for a search.
pub(crate) async fn browse(
    app: AppData,
    request: HttpRequest,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let view = ListView::of(request.query_string());
    let place = place_of(request.uri().path()).ok_or(WebError::NotFound)?;
    let message = app.cookies.flash(request.headers());
    let count = app.cookies.flash_count(request.headers());
    let flash = message.map(|message| message.counted(count));
    let answer = answer(&app, who, place, view, flash).await?;
    without_flash(&app, message, answer)
}

async fn answer(
    app: &AppState,
    who: SignedIn,
    place: Option<FilePath>,
    view: ListView,
    flash: Option<Flash>,
) -> Result<HttpResponse, WebError> {
    match place {
        None if view.query.is_empty() => {
            let roots = app.rights.roots_with(who.account(), Right::Read);
            let shares = app.shares.clone();
            let roots = blocking(move || {
                let with_state = |root: FilePath| {
                    let available = shares.is_available(root.share());
                    (root, available)
                };
                roots.into_iter().map(with_state).collect()
            })
            .await?;
            // The page has the form for uploading to the person's own files.
            let chrome = who.form_chrome("Files", Section::Files);
            let chrome = Chrome { flash, ..chrome };
            html_with_script(app, &SharesPage { chrome, roots })
        }
        None => {
            let roots = app.rights.roots_with(who.account(), Right::Read).into_iter();
            let roots = roots.filter_map(|root| app.rights.readable(who.account(), root)).collect();
            search(app, who, (None, roots), view, flash).await
        }
        Some(path) => {
            let place = app.rights.readable(who.account(), path).ok_or(WebError::NotFound)?;
            if view.query.is_empty() {
                folder(app, who, place, view, flash).await
            } else {
                let within = Some(place.path().clone());
                search(app, who, (within, vec![place]), view, flash).await
            }
        }
    }
}

async fn folder(
    app: &AppState,
    who: SignedIn,
    place: Readable,
    view: ListView,
    flash: Option<Flash>,
) -> Result<HttpResponse, WebError> {
    let ListView { sort, page, ticks, .. } = view;
    let shares = app.shares.clone();
    let path = place.path().clone();
    let right = app.rights.highest(who.account(), &path).unwrap_or(Right::Read);
    let is_home = who.home.as_ref() == Some(&path);
    let looked = blocking(move || match listing::look_at(&shares, &place, sort, page) {
        // The person's own folder is created when something is first put there.
        Err(FileError::Missing) if is_home => Ok(BrowseTarget::Folder(FolderListing::default())),
        looked => looked,
    });
    let looked = looked.await??;
    match looked {
        BrowseTarget::Folder(mut listing) => {
            mark_files(app, &mut listing.rows);
            // Only a page with the upload form creates something.
            let title = if is_home { MY_FILES } else { path.name() };
            let chrome = match right >= Right::Write {
                true => who.form_chrome(title, Section::Files),
                false => who.chrome(title, Section::Files),
            };
            let page = FolderPage {
                chrome: Chrome { flash, ..chrome },
                folder: path,
                bar: SelectionBar::default(),
                rows: listing.rows,
                sort,
                right,
                total: listing.total,
                page: listing.page,
                pages: listing.pages,
                now: app.services.clock.now(),
            };
            html_with_script(app, &page.with_selection(ticks))
        }
        // A file has no page of its own, so it is shown in its folder, where it can be downloaded.
        BrowseTarget::File => {
            let name = utf8_percent_encode(path.name(), NON_ALPHANUMERIC);
            let folder = path.parent().ok_or(WebError::NotFound)?;
            Ok(see_other(&format!("{}?q={name}", folder_address(&folder))))
        }
    }
}

/// Searches in `places`: everything that the person may read, or one folder.
async fn search(
    app: &AppState,
    who: SignedIn,
    (within, places): (Option<FilePath>, Vec<Readable>),
    view: ListView,
    flash: Option<Flash>,
) -> Result<HttpResponse, WebError> {
    let ListView { query, sort, ticks, .. } = view;
    let shares = app.shares.clone();
    let words = query.clone();
    // A search is heavy, so only a few run at once and the others wait.
    let turn = app.searches.clone().acquire_owned().await;
    // Set when the time is over or the person has gone.
    let stop = Arc::new(AtomicBool::new(false));
    let _gone = StopOnDrop(Arc::clone(&stop));
    let told = Arc::clone(&stop);
    let searching = blocking(move || {
        let _turn = turn;
        listing::search(&shares, &places, &words, sort, &told)
    });
    tokio::pin!(searching);
    let mut found = tokio::select! {
        found = &mut searching => found?,
        () = tokio::time::sleep(SEARCH_TIME) => {
            stop.store(true, Ordering::Relaxed);
            searching.await?
        }
    };
    mark_files(app, &mut found.rows);
    let manages = |row: &Row| app.rights.manageable(who.account(), row.path.clone()).is_some();
    let can_change = found.rows.iter().any(manages);
    let page = SearchPage {
        chrome: Chrome { flash, ..who.chrome("Search", Section::Files) },
        query,
        within,
        bar: SelectionBar { can_change, ..SelectionBar::default() },
        rows: found.rows,
        sort,
        too_many: found.too_many,
        stopped_after: found.stopped_after,
        now: app.services.clock.now(),
    };
    html_with_script(app, &page.with_selection(ticks))
}

/// Marks the files whose paths are too long for a token, so that the page has no button for them, and those
/// that can be viewed.
fn mark_files(app: &AppState, rows: &mut [Row]) {
    let (now, pdf) = (app.services.clock.now(), shows_pdf(app));
    for row in rows {
        let Some(size) = row.size else { continue };
        row.too_long = !app.services.issuer.can_issue(&row.path, now);
        row.can_view = !row.too_long && viewable::is_offered(row.path.name(), size, pdf);
    }
}

/// Stops a search when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns the file path in an address: `Some(None)` for the list of shares, `None` for an address that is
/// not valid. Decodes it here, because the router keeps some characters encoded.
fn place_of(address: &str) -> Option<Option<FilePath>> {
    let encoded = address.strip_prefix("/files")?;
    let encoded = encoded.strip_suffix('/').unwrap_or(encoded);
    if encoded.is_empty() {
        return Some(None);
    }
    // A name can't contain a slash, not even an encoded one: it would mean another path.
    if encoded.split('/').any(|part| percent_decode_str(part).any(|byte| byte == b'/')) {
        return None;
    }
    let path = percent_decode_str(encoded).decode_utf8().ok()?;
    path.parse().ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_decoded_once() {
        let path = |address: &str| place_of(address).map(|place| place.map(|path| path.to_string()));
        assert_eq!(path("/files/"), Some(None));
        assert_eq!(path("/files/books"), Some(Some("/books".to_owned())));
        assert_eq!(path("/files/books/%E6%88%91/"), Some(Some("/books/我".to_owned())));
        assert_eq!(path("/files/books/100%2525"), Some(Some("/books/100%25".to_owned())));
        for wrong in [
            "/files/books/..%2Fetc",
            "/files/books/..",
            "/files/books/%2e%2e/x",
            "/files//",
            "/files/books//x",
            "/files/books/%ff",
            "/files/books/a%00b",
            "/files/books/a%2Fb",
        ] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }
}
