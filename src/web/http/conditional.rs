//! Conditional answers: an entity tag of the content, and 304 for a client that has the content already.

use actix_web::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::web::http::error::WebError;
use crate::web::http::respond::html_with_script;
use crate::web::http::state::AppState;

/// Returns the entity tag of some content.
pub(crate) fn tag_of(content: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, content);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest.as_ref()))
}

/// Responds with 304 if the client has the content with this tag.
pub(crate) fn unchanged(request: &HttpRequest, tag: &str) -> Result<Option<HttpResponse>, WebError> {
    let known = request.headers().get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let has_it = known.is_some_and(|known| known.split(',').any(|known| weakly(known) == tag));
    match has_it {
        true => tagged(HttpResponse::NotModified().finish(), tag).map(Some),
        false => Ok(None),
    }
}

/// The tag for the weak comparison (RFC 9110 section 8.8.3.2): a compressed page has a weak one.
fn weakly(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Responds with a page that its own script requests every few seconds.
pub(crate) fn refreshed(
    app: &AppState,
    request: &HttpRequest,
    page: &impl Template,
) -> Result<HttpResponse, WebError> {
    let tag = tag_of(page.render()?.as_bytes());
    match unchanged(request, &tag)? {
        Some(unchanged) => Ok(unchanged),
        None => tagged(html_with_script(app, page)?, &tag),
    }
}

/// Adds the tag to an answer.
pub(crate) fn tagged(mut answer: HttpResponse, tag: &str) -> Result<HttpResponse, WebError> {
    let tag = HeaderValue::from_str(tag).map_err(|error| WebError::Internal(error.into()))?;
    answer.headers_mut().insert(ETAG, tag);
    Ok(answer)
}
