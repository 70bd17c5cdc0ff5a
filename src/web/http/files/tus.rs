//! Uploads over the resumable protocol tus 1.0, at `/uploads` and `/uploads/{id}`, and for programs with an API key at
//! the same below `/api/v1`.
//!
//! The sender is logged in, or a guest of a file request with a ticket, and proves with the header
//! `X-CSRF-Token` that the request comes from a page of ours, or from a program that was given the session.
//! Answers are short, because a program reads them.

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use crate::clock::Timestamp;
use crate::web::arrivals::LinkFate;
use crate::web::http::body::content_type;
use crate::web::http::error::WebError;
use crate::web::http::files::access::{may_continue_program, may_continue_upload};
use crate::web::http::files::tus_answer::{capabilities, created, progress, state};
use crate::web::http::files::tus_header::{number, text};
use crate::web::http::files::tus_order::{Concat, Destination, Order};
use crate::web::http::files::tus_sender::UploadSender;
use crate::web::http::program::{FilesWrite, Program};
use crate::web::http::respond::AppData;
use crate::web::http::tus_error::{BYTES, TusError, VERSION};
use crate::web::shares::error::StorageError;
use crate::web::uploads::checksum::Checksum;
use crate::web::uploads::intake::UploadBody;
use crate::web::uploads::{Joining, Upload, UploadStage};

/// Handles all requests below `/uploads`.
pub(crate) async fn handle(
    app: AppData,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, WebError> {
    let mut answer = serve(&app, &request, body).await?;
    let version = HeaderValue::from_static(VERSION);
    answer.headers_mut().insert(HeaderName::from_static("tus-resumable"), version);
    Ok(answer)
}

/// Handles all requests below `/api/v1/uploads`, where the sender is a program with an API key and nobody else.
pub(crate) async fn handle_program(
    app: AppData,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, WebError> {
    let method = method_of(&request)?;
    let mut answer = match method {
        Method::OPTIONS => capabilities(&app),
        method => {
            let program = Program::<FilesWrite>::of(&request, &app).await?;
            must_be_our_version(&request)?;
            let who = UploadSender::Program(Box::new(program));
            serve_to(&app, &request, &method, &who, body).await?
        }
    };
    let version = HeaderValue::from_static(VERSION);
    answer.headers_mut().insert(HeaderName::from_static("tus-resumable"), version);
    Ok(answer)
}

async fn serve(app: &AppData, request: &HttpRequest, body: Payload) -> Result<HttpResponse, TusError> {
    let method = method_of(request)?;
    if method == Method::OPTIONS {
        return Ok(capabilities(app));
    }
    must_be_our_version(request)?;
    let sender = UploadSender::of(request, app, method != Method::HEAD).await?;
    let served = serve_to(app, request, &method, &sender, body).await;
    served.map_err(|error| sender.told(error))
}

/// Returns the method of a request, also of a client behind a proxy that only passes GET and POST.
fn method_of(request: &HttpRequest) -> Result<Method, TusError> {
    match text(request.headers(), "x-http-method-override") {
        Some(name) if *request.method() == Method::POST => {
            Method::from_bytes(name.as_bytes()).map_err(|_| TusError::Method)
        }
        _ => Ok(request.method().clone()),
    }
}

fn must_be_our_version(request: &HttpRequest) -> Result<(), TusError> {
    match text(request.headers(), "tus-resumable") {
        Some(VERSION) => Ok(()),
        _ => Err(TusError::Version),
    }
}

async fn serve_to(
    app: &AppData,
    request: &HttpRequest,
    method: &Method,
    who: &UploadSender,
    body: Payload,
) -> Result<HttpResponse, TusError> {
    let now = app.services.clock.now();
    match (method.as_str(), request.match_info().get("id")) {
        ("POST", None) => create(app, request, who, body, now).await,
        ("HEAD", Some(id)) => {
            let id = id.parse().map_err(|_| StorageError::Missing)?;
            Ok(state(&app.uploads.look(who.owner(), &id).await?))
        }
        ("PATCH", Some(id)) => {
            let upload = find(app, who, id, now).await?;
            patch(app, request, who, upload, body, now).await
        }
        ("DELETE", Some(id)) => {
            let upload = find(app, who, id, now).await?;
            app.uploads.abandon(&upload, fate(request)).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        _ => Err(TusError::Method),
    }
}

/// Returns what happens to the link that waits for an upload when the upload is canceled: it ends, unless the
/// address says `?leave-out`.
fn fate(request: &HttpRequest) -> LinkFate {
    match request.query_string() {
        "leave-out" => LinkFate::GoesWithout,
        _ => LinkFate::Ends,
    }
}

async fn find(app: &AppData, who: &UploadSender, id: &str, now: Timestamp) -> Result<Upload, TusError> {
    let id = id.parse().map_err(|_| StorageError::Missing)?;
    let upload = app.uploads.find(who.owner(), &id, now).await?;
    match who.covers(&upload.folder) {
        true => Ok(upload),
        false => Err(StorageError::Missing.into()),
    }
}

async fn create(
    app: &AppData,
    request: &HttpRequest,
    who: &UploadSender,
    body: Payload,
    now: Timestamp,
) -> Result<HttpResponse, TusError> {
    let headers = request.headers();
    let order = Order::read(headers).map_err(TusError::Header)?;
    who.admit(app, now)?;
    let sender = who.sender(app, request);
    let open = who.open(app, matches!(order.concat, Concat::Final { .. })).await?;
    let to = match (&open, who) {
        (Some(open), _) => Destination::Fixed(&open.folder),
        (None, UploadSender::Account(who)) => Destination::Chosen(&app.rights, who.account()),
        (None, UploadSender::Program(program)) => Destination::Chosen(&app.rights, program.account()),
        (None, UploadSender::Guest(_)) => return Err(TusError::NoTicket),
    };
    if let Concat::Final { parts, header } = &order.concat {
        let new = who.covered(order.file(&to)?)?;
        let upload = app.uploads.join(&sender, new, parts, header, now).await?;
        return Ok(created(&upload, who.base(), true));
    }
    let size = order.size.map_err(TusError::Header)?;
    let has_body = has_bytes(headers);
    if !has_body && text(headers, CONTENT_LENGTH.as_str()).is_some_and(|length| length != "0") {
        return Err(TusError::BodyType);
    }
    let checksum = checksum(headers)?;
    if let (Some(size), Some(coming)) = (size, content_length(headers))
        && coming > size
    {
        return Err(StorageError::Beyond.into());
    }
    let new = who.covered(order.new_upload(&to, size)?)?;
    let upload = app.uploads.begin(&sender, new, now).await?;
    if !has_body || upload.stage == UploadStage::Done {
        // One that was begun before may have bytes.
        return Ok(created(&upload, who.base(), has_body || upload.offset > 0));
    }
    match append(app, request, who, upload.clone(), 0, checksum, body, now).await {
        Ok(upload) => Ok(created(&upload, who.base(), true)),
        // The client could not continue, because it never got the address.
        Err(error @ (StorageError::Checksum | StorageError::Beyond | StorageError::TooLarge { .. })) => {
            app.uploads.abandon(&upload, LinkFate::Waits).await?;
            Err(error.into())
        }
        // The offset tells the client that bytes are missing, and it learns why when it continues.
        Err(_) => {
            let upload = app.uploads.find(who.owner(), &upload.id, now).await?;
            Ok(created(&upload, who.base(), true))
        }
    }
}

/// Returns whether the body is declared to be bytes of an upload. Some clients add a `charset`, which means
/// nothing.
fn has_bytes(headers: &HeaderMap) -> bool {
    content_type(headers).eq_ignore_ascii_case(BYTES)
}

async fn patch(
    app: &AppData,
    request: &HttpRequest,
    who: &UploadSender,
    mut upload: Upload,
    body: Payload,
    now: Timestamp,
) -> Result<HttpResponse, TusError> {
    let headers = request.headers();
    if !has_bytes(headers) {
        return Err(TusError::BodyType);
    }
    if matches!(upload.joining, Joining::Joined(_)) {
        return Err(TusError::Joined);
    }
    // The right may have been revoked since the upload began.
    match who {
        UploadSender::Account(who) => {
            app.rights.writable(who.account(), upload.folder.clone()).ok_or(StorageError::Missing)?;
        }
        UploadSender::Program(program) => {
            program.writable(&app.rights, upload.folder.clone()).ok_or(StorageError::Missing)?;
        }
        UploadSender::Guest(_) => {
            who.open(app, true).await?;
        }
    }
    let offset = number(headers, "upload-offset").map_err(TusError::Header)?;
    let offset = offset.ok_or(TusError::Header("Upload-Offset is missing"))?;
    let checksum = checksum(headers)?;
    if offset != upload.offset {
        return Err(StorageError::Offset { is: upload.offset }.into());
    }
    if let Some(size) = number(headers, "upload-length").map_err(TusError::Header)? {
        match upload.size {
            None => upload = app.uploads.set_size(&upload, size).await?,
            Some(known) if known == size => {}
            Some(_) => return Err(TusError::Header("Upload-Length cannot change")),
        }
    }
    if let (Some(size), Some(coming)) = (upload.size, content_length(headers))
        && coming > size.saturating_sub(offset)
    {
        return Err(StorageError::Beyond.into());
    }
    if upload.stage != UploadStage::Done {
        upload = append(app, request, who, upload, offset, checksum, body, now).await?;
    }
    let mut answer = HttpResponse::NoContent();
    progress(&mut answer, &upload);
    Ok(answer.finish())
}

/// Appends a body to an upload.
#[expect(clippy::too_many_arguments, reason = "what one request says, read by its two callers")]
async fn append(
    app: &AppData,
    request: &HttpRequest,
    who: &UploadSender,
    upload: Upload,
    offset: u64,
    checksum: Option<Checksum>,
    body: Payload,
    now: Timestamp,
) -> Result<Upload, StorageError> {
    let may_go_on = async || match who {
        UploadSender::Account(_) => may_continue_upload(app, request, &upload.folder).await,
        UploadSender::Program(_) => may_continue_program(app, request, &upload.folder).await,
        UploadSender::Guest(guest) => guest.may_go_on(app).await,
    };
    app.uploads.append(&upload, offset, UploadBody { body, checksum, may_go_on }, now).await
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, TusError> {
    let header = text(headers, "upload-checksum").map(Checksum::parse).transpose();
    header.map_err(|_| TusError::Header("Upload-Checksum is neither sha1 nor sha256"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH.as_str())?.parse().ok()
}
