//! `GET /r/{code}`: the public page of a file request, which changes nothing however often it is opened.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::web::http::accept::prefers_json;
use crate::web::http::csrf;
use crate::web::http::error::WebError;
use crate::web::http::extract::session_of;
use crate::web::http::flash::FlashMessage;
use crate::web::http::guest::{GuestTicket, OpenRequest, guest_of, open_for_new};
use crate::web::http::layout::Chrome;
use crate::web::http::requests::public_request_page::{GuestView, PublicRequestPage, SentFile};
use crate::web::http::respond::{AppData, allow_script, with_form, without_flash};
use crate::web::requests::FileRequest;

/// What was wrong with a guest's form, by field.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuestErrors {
    pub(crate) name: Option<String>,
    pub(crate) password: Option<String>,
}

/// A file request as a guest finds it, open for new files.
pub(crate) struct PublicRequest {
    pub(crate) request: FileRequest,
    pub(crate) open: OpenRequest,
    /// The guest, if this browser has a valid ticket.
    pub(crate) ticket: Option<GuestTicket>,
}

/// Finds the request of that code, which must take files. Changes nothing.
pub(crate) async fn open(
    app: &AppData,
    request: &HttpRequest,
    code: &str,
) -> Result<PublicRequest, WebError> {
    let found = app.services.requests.by_code(code).await?;
    let asked = found.ok_or(WebError::NotFound)?;
    let open = open_for_new(app, &asked).await?.map_err(WebError::RequestClosed)?;
    let ticket = guest_of(request, app, &asked).await?;
    Ok(PublicRequest { request: asked, open, ticket })
}

/// `GET /r/{code}`
pub(crate) async fn page(
    app: AppData,
    request: HttpRequest,
    code: Path<String>,
) -> Result<HttpResponse, WebError> {
    let view = open(&app, &request, &code).await?;
    if prefers_json(request.headers()) {
        let asked = &view.request;
        return Ok(HttpResponse::Ok().json(json!({
            "title": asked.title,
            "from": view.open.owner.name.as_str(),
            "note": asked.note,
            "max_files": asked.max_files,
            "max_bytes": asked.max_bytes,
            "ends_at": asked.ends_at.to_string(),
            "asks_password": asked.password.is_some(),
        })));
    }
    let session = session_of(&request, &app).await?;
    let own = session.is_some_and(|who| who.account().id == view.request.owner);
    show(&app, &request, &code, view, own, StatusCode::OK, (String::new(), GuestErrors::default())).await
}

/// Responds with the page.
pub(crate) async fn show(
    app: &AppData,
    request: &HttpRequest,
    code: &str,
    view: PublicRequest,
    own: bool,
    status: StatusCode,
    (typed_name, errors): (String, GuestErrors),
) -> Result<HttpResponse, WebError> {
    let PublicRequest { request: asked, open, ticket } = view;
    let requests = &app.services.requests;
    let total = requests.total(&asked.id).await?;
    let sent = match &ticket {
        Some(ticket) => requests.sent_by(&ticket.guest.id).await?,
        None => Vec::new(),
    };
    let sent = sent.into_iter().map(|file| SentFile { name: file.name, size: file.size, at: file.at });
    let flash = app.cookies.flash(request.headers());
    let mut chrome = Chrome::public(asked.title.clone());
    chrome.flash = flash.map(FlashMessage::flash);
    let guest = match &ticket {
        Some(ticket) => GuestView::Admitted { name: ticket.guest.name.clone(), token: ticket.csrf() },
        None if asked.password.is_some() => GuestView::MustKnowPassword,
        None => GuestView::Welcome,
    };
    let answer = with_form(request, &app.cookies, status, |token| PublicRequestPage {
        chrome,
        action: format!("/r/{code}"),
        csrf: csrf::with_id(&token),
        id: asked.id.to_string(),
        from: open.owner.name.as_str().to_owned(),
        title: asked.title.clone(),
        note: asked.note.clone(),
        max: (asked.max_files, asked.max_bytes),
        file_max: app.uploads.max(),
        ends_at: asked.ends_at,
        is_full: total.files >= asked.max_files || total.bytes >= asked.max_bytes,
        own,
        guest,
        typed_name,
        name_error: errors.name,
        password_error: errors.password,
        sent: sent.collect(),
        now: app.services.clock.now(),
    })?;
    without_flash(app, flash, allow_script(app, answer))
}
