//! The answers of the API that aren't refusals.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, LOCATION};
use serde::Serialize;

use crate::web::http::error::WebError;
use crate::web::http::paths::API;

/// Responds with JSON.
pub(crate) fn json(body: &impl Serialize) -> Result<HttpResponse, WebError> {
    with_status(StatusCode::OK, body)
}

/// Responds with JSON that can be edited, and its entity tag.
pub(crate) fn versioned(body: &impl Serialize, tag: &str) -> Result<HttpResponse, WebError> {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((ETAG, tag));
    Ok(answer.content_type("application/json").body(written(body)?))
}

/// Responds with what was made, and where it is below [`API`].
pub(crate) fn created(
    body: &impl Serialize,
    path: &str,
    tag: Option<&str>,
) -> Result<HttpResponse, WebError> {
    let mut answer = HttpResponse::Created();
    answer.insert_header((LOCATION, format!("{API}{path}")));
    if let Some(tag) = tag {
        answer.insert_header((ETAG, tag));
    }
    Ok(answer.content_type("application/json").body(written(body)?))
}

/// Responds with JSON and this status.
pub(crate) fn with_status(status: StatusCode, body: &impl Serialize) -> Result<HttpResponse, WebError> {
    Ok(HttpResponse::build(status).content_type("application/json").body(written(body)?))
}

fn written(body: &impl Serialize) -> Result<String, WebError> {
    serde_json::to_string(body).map_err(|error| WebError::Internal(error.into()))
}
