//! Reading the body of a request: its type, its size and the time it may take.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;

use crate::connection::Connection;
use crate::web::http::error::WebError;

/// The media type of a form without files.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The media type of a form with files.
pub(crate) const FORM_WITH_FILES: &str = "multipart/form-data";

/// The maximum size of an ordinary form; almost all of ours are much smaller.
pub(crate) const MAX_FORM: usize = 64 * 1024;

/// The maximum time for a form to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the media type of a body, without its parameters; empty if it is not given.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// Reads the body of a request.
///
/// # Errors
/// When it is larger than `max` bytes or does not arrive in time.
pub(crate) async fn read_in_time(
    request: &HttpRequest,
    payload: Payload,
    max: usize,
) -> Result<Bytes, WebError> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let size = announced.unwrap_or(max);
    if size > max {
        return Err(WebError::TooLarge(max));
    }
    if let Some(connection) = request.conn_data::<Connection>()
        && let Some(held) = connection.hold_excess(size)?
    {
        // Held until the request is answered, because the fields made from the body live as long.
        request.extensions_mut().insert(held);
    }
    let reading = tokio::time::timeout(FORM_TIMEOUT, read(payload, size.min(MAX_FORM), max));
    reading.await.map_err(|_| WebError::Slow)?
}

async fn read(mut payload: Payload, likely: usize, max: usize) -> Result<Bytes, WebError> {
    let mut body = BytesMut::with_capacity(likely);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| WebError::Invalid("the request body ended early"))?;
        if body.len() + chunk.len() > max {
            return Err(WebError::TooLarge(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
