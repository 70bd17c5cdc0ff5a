//! What kind of answer the client accepts.

use actix_web::http::header::{ACCEPT, HeaderMap};

/// Returns whether the client wants JSON rather than a page.
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = accept(headers);
    (accepts_json(headers) || accept.contains("application/problem+json")) && !accept.contains("text/html")
}

/// Returns whether the client takes JSON, alone or among others.
pub(crate) fn accepts_json(headers: &HeaderMap) -> bool {
    accept(headers).contains("application/json")
}

fn accept(headers: &HeaderMap) -> &str {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
