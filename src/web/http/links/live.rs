//! `GET /l/{code}/state`: what the buttons of a public link would do for this visitor now, for the script on
//! the page. It is small and reads no disk.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::web::http::client::{client_address, own_address};
use crate::web::http::conditional::{tag_of, tagged, unchanged};
use crate::web::http::error::WebError;
use crate::web::http::link_state::arrived_words;
use crate::web::http::links::press_archive::order_of;
use crate::web::http::links::public_link_page::PublicLinkPage;
use crate::web::http::links::public_link_view::{open, visitor_of};
use crate::web::http::problem::closed_link_page::ClosedReason;
use crate::web::http::respond::AppData;
use crate::web::http::zip_words;
use crate::web::links::contents;
use crate::web::links::offers::Offer;

/// The state of the link for this visitor.
#[derive(Serialize)]
struct VisitorState {
    /// Why nothing can be downloaded, if so.
    closed: Option<&'static str>,
    /// How many files have arrived, while they are still being uploaded.
    uploading: Option<Uploading>,
    /// Whether this browser keeps our cookie.
    keeps_cookie: bool,
    /// How many downloads are left, in words.
    left: String,
    /// The files whose download was begun.
    files: Vec<FileState>,
    /// The state of all other files.
    others: FileState,
    /// The state of all files as one archive.
    zip: FileState,
    /// How far that archive is, in words, while it is prepared for this visitor.
    zip_preparing: Option<String>,
}

/// How far the files of a link have come.
#[derive(Serialize)]
struct Uploading {
    arrived: u32,
    words: String,
}

/// The state of a file for this visitor.
#[derive(Serialize)]
struct FileState {
    /// Its key; empty in the state that all other files share.
    file: String,
    state: &'static str,
    status: String,
    button: Option<String>,
}

impl FileState {
    fn of(file: String, offer: Offer) -> FileState {
        FileState { file, state: offer.word(), status: offer.status(), button: offer.button() }
    }
}

/// `GET /l/{code}/state`; does not count as a view.
pub(crate) async fn state(
    app: AppData,
    request: HttpRequest,
    code: Path<String>,
) -> Result<HttpResponse, WebError> {
    let opened = open(&app, &code).await?;
    let services = &app.services;
    let secret = app.cookies.form(request.headers());
    let visitor = visitor_of(&app, secret.as_ref(), own_address(&request, &app), &opened.recipient);
    let now = services.clock.now();
    let offers = services.links.offers(&opened.link, &opened.recipient, &visitor, now).await?;
    let closed = opened.closed.filter(|why| *why != ClosedReason::Ended || !offers.has_own());
    let others = offers.for_untouched_file();
    let all = opened.archive_path().map_or(Offer::Gone, |path| offers.of(path.as_str(), None));
    let files = offers.touched().into_iter().filter_map(|path| {
        let key = contents::key_of(&opened.link.files, path)?;
        Some(FileState::of(key, offers.of(path, None)))
    });
    let files: Vec<FileState> = files.collect();
    // A link on a single file has no other files; in a link on a folder, no file has the key `0`.
    let is_one_file = opened.link.files.len() == 1 && files.iter().any(|file| file.file == "0");
    let has_own =
        files.iter().any(|file| file.button.is_some()) || (!is_one_file && others.button().is_some());
    let order = order_of(&opened, &visitor, client_address(&app, &request));
    let preparing = app.archives.progress(&order.id());
    let state = VisitorState {
        closed: closed.map(ClosedReason::headline),
        uploading: opened
            .link
            .arrival
            .filter(|_| closed == Some(ClosedReason::Uploading))
            .map(|arrival| Uploading { arrived: arrival.arrived, words: arrived_words(&arrival) }),
        keeps_cookie: secret.is_some(),
        left: PublicLinkPage::left_words(opened.recipient.left(opened.link.uses_per_recipient), has_own),
        files,
        others: FileState::of(String::new(), others),
        zip: FileState {
            file: zip_words::ALL_FILES.to_owned(),
            state: all.word(),
            status: zip_words::status(all),
            button: zip_words::button(all),
        },
        zip_preparing: preparing.map(zip_words::preparing_live),
    };
    let body = serde_json::to_vec(&state).map_err(|error| WebError::Internal(error.into()))?;
    let tag = tag_of(&body);
    if let Some(unchanged) = unchanged(&request, &tag)? {
        return Ok(unchanged);
    }
    tagged(HttpResponse::Ok().content_type("application/json").body(body), &tag)
}
