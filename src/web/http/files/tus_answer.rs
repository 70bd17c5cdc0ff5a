//! What clients of the protocol tus get to read: capabilities, how far an upload is, refusals.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LOCATION, LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::json;

use crate::web::http::error::WebError;
use crate::web::http::paths::folder_address;
use crate::web::http::respond::App;
use crate::web::shares::error::StorageError;
use crate::web::uploads::checksum::ALGORITHMS;
use crate::web::uploads::{Joining, Stage, Upload};

pub(crate) const VERSION: &str = "1.0.0";

const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation";

/// What a body of bytes of an upload is called.
pub(crate) const BYTES: &str = "application/offset+octet-stream";

/// Why a request of the protocol is refused.
pub(crate) enum TusError {
    /// What the service underneath says.
    Storage(StorageError),
    /// Nobody is logged in.
    NotSignedIn,
    /// It does not come from a page of ours.
    Foreign,
    /// It speaks another version of the protocol.
    Version,
    /// The method means nothing here.
    Method,
    /// The body has another type than bytes of an upload.
    BodyType,
    /// A joined upload takes no bytes.
    Joined,
    /// The account has done too much of late.
    TooEarly(std::time::Duration),
    /// A header is missing or makes no sense.
    Header(&'static str),
}

impl<E: Into<StorageError>> From<E> for TusError {
    fn from(error: E) -> TusError {
        TusError::Storage(error.into())
    }
}

pub(crate) fn capabilities(app: &App) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    answer.insert_header(("tus-version", VERSION)).insert_header(("tus-extension", EXTENSIONS));
    answer.insert_header(("tus-checksum-algorithm", ALGORITHMS));
    if app.uploads.max() > 0 {
        answer.insert_header(("tus-max-size", app.uploads.max()));
    }
    answer.finish()
}

pub(crate) fn created(upload: &Upload, with_bytes: bool) -> HttpResponse {
    let mut answer = HttpResponse::Created();
    answer.insert_header((LOCATION, format!("/uploads/{}", upload.id)));
    if with_bytes {
        progress(&mut answer, upload);
    } else {
        place(&mut answer, upload);
    }
    answer.finish()
}

pub(crate) fn state(upload: &Upload) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    progress(&mut answer, upload);
    match upload.size {
        Some(size) => answer.insert_header(("upload-length", size)),
        None => answer.insert_header(("upload-defer-length", "1")),
    };
    if !upload.metadata.is_empty() {
        answer.insert_header(("upload-metadata", upload.metadata.as_str()));
    }
    if upload.joining != Joining::Whole {
        answer.insert_header(("upload-concat", upload.joining.as_str()));
    }
    answer.finish()
}

pub(crate) fn progress(answer: &mut HttpResponseBuilder, upload: &Upload) {
    answer.insert_header(("upload-offset", upload.offset));
    place(answer, upload);
}

/// Where the file stands, once it is done; until then, when the upload will be forgotten.
fn place(answer: &mut HttpResponseBuilder, upload: &Upload) {
    match &upload.path {
        Some(path) if upload.stage == Stage::Done => {
            answer.insert_header((CONTENT_LOCATION, folder_address(path)));
        }
        _ => {
            let expires = std::time::UNIX_EPOCH
                .checked_add(std::time::Duration::from_secs(upload.expires_at.secs()))
                .map(|moment| actix_web::http::header::HttpDate::from(moment).to_string());
            if let Some(expires) = expires {
                answer.insert_header(("upload-expires", expires));
            }
        }
    }
}

pub(crate) fn unavailable(error: WebError) -> TusError {
    tracing::error!(cause = crate::telemetry::chain(&error), "cannot find the session of an upload");
    TusError::Storage(StorageError::Interrupted)
}

pub(crate) fn refuse(request: &HttpRequest, error: &TusError) -> HttpResponse {
    let (status, slug, sentence) = match error {
        TusError::Storage(error) => (error.status(), error.slug(), error.sentence()),
        TusError::NotSignedIn => {
            (StatusCode::UNAUTHORIZED, "not-signed-in", "You are not logged in any more.".to_owned())
        }
        TusError::Foreign => (
            StatusCode::FORBIDDEN,
            "foreign-form",
            "The request lacks the X-CSRF-Token of the session. Reload the page.".to_owned(),
        ),
        TusError::Version => (
            StatusCode::PRECONDITION_FAILED,
            "tus-version",
            format!("Send the header Tus-Resumable: {VERSION}."),
        ),
        TusError::Method => {
            (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "That does not work here.".to_owned())
        }
        TusError::BodyType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "body-type", format!("Send the bytes as {BYTES}."))
        }
        TusError::Joined => {
            (StatusCode::FORBIDDEN, "joined", "An upload that was joined takes no more bytes.".to_owned())
        }
        TusError::TooEarly(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "You have begun very many uploads. Go on a little later.".to_owned(),
        ),
        TusError::Header(what) => (StatusCode::BAD_REQUEST, "invalid-request", format!("{what}.")),
    };
    let mut answer = HttpResponse::build(status);
    if let TusError::Storage(error) = error {
        log(request, status, error);
        if let StorageError::Offset { is } = error {
            answer.insert_header(("upload-offset", *is));
        }
    }
    if let TusError::TooEarly(wait) = error {
        answer.insert_header((RETRY_AFTER, wait.as_secs().max(1)));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((RETRY_AFTER, 5));
    }
    if let TusError::Version = error {
        answer.insert_header(("tus-version", VERSION));
    }
    if let TusError::Method = error {
        answer.insert_header(("allow", "OPTIONS, POST, HEAD, PATCH, DELETE"));
    }
    let body = json!({ "type": slug, "title": sentence, "status": status.as_u16(), "detail": sentence });
    answer.content_type("application/problem+json").body(body.to_string())
}

fn log(request: &HttpRequest, status: StatusCode, error: &StorageError) {
    let (method, status) = (request.method(), status.as_u16());
    let cause = crate::telemetry::chain(error);
    if status >= 500 {
        tracing::error!(%method, status, "upload failed: {cause}");
    } else {
        tracing::debug!(%method, status, "upload refused: {cause}");
    }
}
