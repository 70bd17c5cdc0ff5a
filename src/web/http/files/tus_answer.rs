//! The answers to clients of the upload protocol tus: what we support, and how far an upload is.

use std::time::{Duration, UNIX_EPOCH};

use actix_web::http::header::{CONTENT_LOCATION, HttpDate, LOCATION};
use actix_web::{HttpResponse, HttpResponseBuilder};

use crate::web::http::paths::folder_address;
use crate::web::http::respond::AppData;
use crate::web::http::tus_error::VERSION;
use crate::web::uploads::checksum::ALGORITHMS;
use crate::web::uploads::{Joining, Upload, UploadStage};

const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation";

/// Responds with what we support of the protocol.
pub(crate) fn capabilities(app: &AppData) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    answer.insert_header(("tus-version", VERSION)).insert_header(("tus-extension", EXTENSIONS));
    answer.insert_header(("tus-checksum-algorithm", ALGORITHMS));
    if app.uploads.max() > 0 {
        answer.insert_header(("tus-max-size", app.uploads.max()));
    }
    answer.finish()
}

/// Responds that an upload was created below the address `base`, perhaps with its first bytes.
pub(crate) fn created(upload: &Upload, base: &str, with_bytes: bool) -> HttpResponse {
    let mut answer = HttpResponse::Created();
    answer.insert_header((LOCATION, format!("{base}/uploads/{}", upload.id)));
    if with_bytes {
        progress(&mut answer, upload);
    } else {
        place(&mut answer, upload);
    }
    answer.finish()
}

/// Responds with how far an upload is, and what the client said about it.
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

/// Adds how far an upload is.
pub(crate) fn progress(answer: &mut HttpResponseBuilder, upload: &Upload) {
    answer.insert_header(("upload-offset", upload.offset));
    place(answer, upload);
}

/// Adds the address of the file once it is complete, or else when the upload expires.
fn place(answer: &mut HttpResponseBuilder, upload: &Upload) {
    match &upload.path {
        // A guest learns nothing about the folder, not even whether a name was taken.
        Some(_) if upload.stage == UploadStage::Done && upload.guest.is_some() => {}
        Some(path) if upload.stage == UploadStage::Done => {
            answer.insert_header((CONTENT_LOCATION, folder_address(path)));
        }
        _ => {
            if let Some(end) = UNIX_EPOCH.checked_add(Duration::from_secs(upload.expires_at.secs())) {
                answer.insert_header(("upload-expires", HttpDate::from(end).to_string()));
            }
        }
    }
}
