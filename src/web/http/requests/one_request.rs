//! One file request as its owner sees it: its state, its address, and what has arrived.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::web::http::conditional::{tag_of, tagged, unchanged};
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::layout::Section;
use crate::web::http::paths::{folder_address, shown_path};
use crate::web::http::qr;
use crate::web::http::requests::one_request_page::{ComingFile, OneRequestPage, ReceivedRow, RequestLive};
use crate::web::http::requests::own_request::{own_request, states_of};
use crate::web::http::respond::{AppData, allow_script, html, html_with_flash};
use crate::web::links::moment;
use crate::web::requests::FileRequest;
use crate::web::requests::size_field;
use crate::web::requests::terms::{RequestForm, RequestFormErrors};

/// Maximum number of files on their way that the page shows.
const COMING_MAX: u32 = 50;

/// `GET /requests/{id}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    id: Path<String>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let asked = own_request(&app, &who, &id).await?;
    let typed = typed_of(&asked);
    let mut page = page_of(&app, &who, asked, typed, RequestFormErrors::default()).await?;
    let answer = html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })?;
    Ok(allow_script(&app, answer))
}

/// `GET /requests/{id}/live`: the part of the page that changes, for the script that refreshes it.
pub(crate) async fn live(
    app: AppData,
    request: HttpRequest,
    id: Path<String>,
    who: SignedIn,
) -> Result<HttpResponse, WebError> {
    let asked = own_request(&app, &who, &id).await?;
    let live = live_of(&app, &who, &asked).await?;
    let tag = tag_of(live.render()?.as_bytes());
    match unchanged(&request, &tag)? {
        Some(unchanged) => Ok(unchanged),
        None => tagged(html(&live)?, &tag),
    }
}

/// `GET /requests/{id}/qr`: its address as a QR code.
pub(crate) async fn picture(app: AppData, id: Path<String>, who: SignedIn) -> Result<HttpResponse, WebError> {
    let asked = own_request(&app, &who, &id).await?;
    let address = app.services.requests.address(&app.public_url, &asked);
    let qr = qr::of(&address).ok_or(WebError::NotFound)?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "image/svg+xml")).body(qr::picture(&qr)))
}

/// Returns the terms of a request as its form shows them.
pub(crate) fn typed_of(request: &FileRequest) -> RequestForm {
    RequestForm {
        title: request.title.clone(),
        note: request.note.clone(),
        max_bytes: size_field::field(request.max_bytes),
        max_files: request.max_files.to_string(),
        ends: moment::field(request.ends_at),
        notify: request.notify,
        ..RequestForm::default()
    }
}

pub(crate) async fn page_of(
    app: &AppData,
    who: &SignedIn,
    request: FileRequest,
    typed: RequestForm,
    errors: RequestFormErrors,
) -> Result<OneRequestPage, WebError> {
    let live = live_of(app, who, &request).await?;
    let address = app.services.requests.address(&app.public_url, &request);
    Ok(OneRequestPage {
        chrome: who.form_chrome(request.title.clone(), Section::Requests),
        id: request.id.to_string(),
        qr: qr::of(&address),
        address,
        folder: (folder_address(&request.folder), shown_path(&request.folder, who.home.as_ref())),
        max: (request.max_files, request.max_bytes),
        ends_at: request.ends_at,
        created_at: request.created_at,
        has_password: request.password.is_some(),
        title: request.title,
        live,
        limits: *app.services.requests.limits.current(),
        typed,
        errors,
    })
}

async fn live_of(app: &AppData, who: &SignedIn, request: &FileRequest) -> Result<RequestLive, WebError> {
    let requests = &app.services.requests;
    let total = requests.total(&request.id).await?;
    let state = states_of(app, who, &[(request, total.files, total.bytes)]).await?;
    let state = state.first().copied().ok_or_else(|| WebError::Internal("no state".into()))?;
    let home = who.home.as_ref();
    let files = requests.received(request).await?.into_iter().map(|file| {
        // Where a file has another name than its sender gave it, both are shown.
        let stored = file.path.as_ref().map(|path| shown_path(path, home)).unwrap_or_default();
        let is_renamed =
            file.path.as_ref().is_none_or(|path| !path.as_str().ends_with(&format!("/{}", file.name)));
        ReceivedRow {
            from: file.from,
            name: file.name,
            stored: if is_renamed { stored } else { String::new() },
            size: file.size,
            at: file.at,
        }
    });
    let files = files.collect();
    let mut coming = Vec::new();
    // While the share is unavailable, the rest of the page is still right.
    for upload in app.uploads.coming(&request.id, COMING_MAX).await.unwrap_or_default() {
        let from = match &upload.guest {
            Some(guest) => requests.guest_name(&guest.id).await?,
            None => String::new(),
        };
        coming.push(ComingFile { from, name: upload.sent_as, bytes: upload.offset, size: upload.size });
    }
    Ok(RequestLive { state, total, files, coming, now: app.services.clock.now() })
}
