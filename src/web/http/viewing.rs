//! What the two ways to a view share: whether it is offered, its token, and the policy of its page.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use crate::clock::Timestamp;
use crate::files::identity::ClaimedVersion;
use crate::id::Jti;
use crate::viewable::{self, ViewKind};
use crate::web::http::error::WebError;
use crate::web::http::layout;
use crate::web::http::state::AppState;
use crate::web::revocations::issued::NewToken;
use crate::web::tokens::issuer::{IssuedToken, ViewTokenRequest};

/// Returns whether all download services have origins of their own, so that they show PDF.
pub(crate) fn shows_pdf(app: &AppState) -> bool {
    let nodes = app.services.nodes.services().iter();
    nodes.into_iter().all(|node| viewable::are_two_origins(&app.public_url, &node.public_url))
}

/// Returns the id of a new token and that of the key that signs it, which are recorded before it is issued.
///
/// # Errors
/// When there are no random bytes.
pub(crate) fn new_ids(app: &AppState, now: Timestamp) -> Result<(Jti, String), WebError> {
    Ok((Jti::random()?, app.services.issuer.signer.active_kid(now)))
}

/// Issues the token of a view that was recorded, for the file as it was found.
///
/// # Errors
/// When it can't be signed.
pub(crate) fn issue(
    app: &AppState,
    token: &NewToken<'_>,
    found: &ClaimedVersion,
    now: Timestamp,
) -> Result<IssuedToken, WebError> {
    let version = found.to_string();
    let order = ViewTokenRequest {
        subject: token.account.as_str(),
        file: token.file,
        size: Some(found.version().len),
        version: Some(&version),
    };
    Ok(app.services.issuer.for_audience(token.basis.node).issue_view_as(token.jti, &order, now)?)
}

/// Lets the page of an answer show the view at this address, and nothing else from there.
///
/// # Errors
/// When the address of the download service is not a web address.
pub(crate) fn allow_view(
    app: &AppState,
    kind: ViewKind,
    address: &str,
    mut answer: HttpResponse,
) -> Result<HttpResponse, WebError> {
    let policy = app.policy.to_str().ok().zip(viewable::origin(address));
    let policy = policy.map(|(policy, origin)| layout::with_view(policy, kind, &origin));
    let policy = policy.and_then(|policy| HeaderValue::from_str(&policy).ok());
    let policy = policy.ok_or_else(|| WebError::Internal("a download service has no web address".into()))?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(answer)
}
