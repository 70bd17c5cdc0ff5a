//! `GET /readyz`: whether this node can serve. Asked with a signed command about nothing but itself, the
//! answer also shows that this is the node that the asker means, with its key: whoever signs for us learns
//! whether commands and receipts find their way.

use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use crate::download::handlers::{bearer, probe, with_keys};
use crate::download::problem::Refusal;
use crate::download::receipts::node_key;
use crate::download::state::DownloadState;
use crate::receipt::PROOF_HEADER;
use crate::secret::Secret;
use crate::token::{TokenError, verify_command};

pub(super) async fn answer(
    request: &HttpRequest,
    state: &Arc<DownloadState>,
) -> Result<HttpResponse, Refusal> {
    let ready = state.ready().await;
    let Some(unverified) = bearer(request.headers()) else { return probe(request, ready) };
    let now = state.clock.now();
    let question = with_keys(state, |ring| verify_command(unverified, ring, &state.rules, now)).await?;
    // A command that revokes something else is for `/revocations`.
    if question.revoke != [question.jti] {
        return Err(TokenError::ClaimValue("revoke").into());
    }
    let mut response = probe(request, ready)?;
    if let Some(proof) = proof(state, &question.jti.to_string()).await {
        response.headers_mut().insert(HeaderName::from_static(PROOF_HEADER), proof);
    }
    Ok(response)
}

/// `None` where there is no key; downloads go on without one.
async fn proof(state: &DownloadState, about: &str) -> Option<HeaderValue> {
    let path = state.node_key.clone();
    let key = tokio::task::spawn_blocking(move || node_key(&path)).await.ok()?.ok()?;
    HeaderValue::from_str(&Secret::presented(&key).digest().prove(about)).ok()
}
