//! `GET /readyz`: whether this node can serve. If a signed command without revocations asks, the response
//! also proves that this is the intended node with the right node key. So the web app learns whether commands
//! and receipts will arrive.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

use crate::bearer::bearer;
use crate::clock::WrongClock;
use crate::download::problem::DownloadRefusal;
use crate::download::receipts::node_key;
use crate::download::response;
use crate::download::state::DownloadState;
use crate::download::verified::with_keys;
use crate::receipt::PROOF_HEADER;
use crate::secret::Secret;
use crate::token::{TokenError, verify_command};

pub(super) async fn answer(
    request: &HttpRequest,
    state: &Arc<DownloadState>,
) -> Result<HttpResponse, DownloadRefusal> {
    let ready = state.ready().await;
    let Some(unverified) = bearer(request.headers()) else { return status(request, state, ready) };
    let now = state.clock.now();
    let question = with_keys(state, async |ring| verify_command(unverified, ring, &state.rules, now)).await?;
    // Commands that revoke something else belong to `/revocations`.
    if question.revoke != [question.jti] {
        return Err(TokenError::ClaimValue("revoke").into());
    }
    let mut response = probe(request, ready)?;
    if let Some(proof) = proof(state, &question.jti.to_string()).await {
        response.headers_mut().insert(HeaderName::from_static(PROOF_HEADER), proof);
    }
    Ok(response)
}

/// Also reports a wrong clock. Downloads continue then, because taking a node out of service doesn't correct
/// its clock.
fn status(
    request: &HttpRequest,
    state: &DownloadState,
    ready: Result<(), String>,
) -> Result<HttpResponse, DownloadRefusal> {
    let answer = probe(request, ready)?;
    Ok(match state.clock.wrong(state.rules.leeway) {
        Some(wrong) if answer.status() == StatusCode::OK => {
            plain(StatusCode::OK, format!("ok\nbut {wrong}; {}\n", WrongClock::REMEDY))
        }
        _ => answer,
    })
}

/// `None` if there is no key; downloads work without one.
async fn proof(state: &DownloadState, about: &str) -> Option<HeaderValue> {
    let path = state.node_key.clone();
    let key = tokio::task::spawn_blocking(move || node_key(&path)).await.ok()?.ok()?;
    HeaderValue::from_str(&Secret::presented(&key).digest().prove(about)).ok()
}

/// Responds to a question about the state of the service.
pub(super) fn probe(
    request: &HttpRequest,
    verdict: Result<(), String>,
) -> Result<HttpResponse, DownloadRefusal> {
    match (request.method(), verdict) {
        (&Method::GET | &Method::HEAD, Ok(())) => Ok(plain(StatusCode::OK, "ok\n")),
        (&Method::GET | &Method::HEAD, Err(why)) => {
            Ok(plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")))
        }
        _ => Err(DownloadRefusal::Method { allow: "GET, HEAD" }),
    }
}

/// Responds with plain text.
pub(super) fn plain(status: StatusCode, text: impl MessageBody + 'static) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response::harden(&mut response);
    response.insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8")).body(text)
}
