//! Versions of what programs edit: the entity tag that a program reads, and must send back with its edit, so that it
//! overwrites nobody else's changes (RFC 9110, section 13.1.1).

use actix_web::HttpRequest;
use actix_web::http::header::IF_MATCH;
use serde::Serialize;

use crate::web::http::api_error::ApiError;
use crate::web::http::conditional::tag_of;

/// Returns the entity tag of the terms that can be edited. What is only counted isn't part of it, so that a download
/// doesn't get in the way of an edit.
pub(crate) fn tag(terms: &impl Serialize) -> String {
    // Terms are plain texts and numbers, so this can't fail; if it did, no tag would match.
    tag_of(&serde_json::to_vec(terms).unwrap_or_default())
}

/// What an edit says about the version that it is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Any version, as it is now.
    Any,
    /// The present one.
    Present,
}

/// Checks `If-Match` against the present entity tag.
///
/// # Errors
/// [`ApiError::VersionMissing`] without the header, [`ApiError::VersionChanged`] if it names another version.
pub(crate) fn if_match(request: &HttpRequest, tag: &str) -> Result<Precondition, ApiError> {
    let mut given = request.headers().get_all(IF_MATCH).peekable();
    if given.peek().is_none() {
        return Err(ApiError::VersionMissing);
    }
    let mut tags = given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let found = tags.find_map(|one| match one.trim() {
        "*" => Some(Precondition::Any),
        // Weak tags never match here.
        one if one == tag => Some(Precondition::Present),
        _ => None,
    });
    found.ok_or(ApiError::VersionChanged)
}
