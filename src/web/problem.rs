//! The web app's edge: what went wrong becomes a status, a fixed sentence for the reader and, once,
//! a log line for the operator. No cause ever reaches a stranger.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, REFERER, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::web::csrf::origin_of;
use crate::web::error::WebError;
use crate::web::extract::session_of;
use crate::web::local_path::LocalPath;
use crate::web::pages::refusal::Refusal;
use crate::web::pages::{Chrome, Section};
use crate::web::state::State;

static ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
static OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The middleware around every handler: gives refusals their form, and every answer the headers
/// that all have in common.
///
/// # Errors
/// None of ours: a handler's errors arrive here within its answer.
pub async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    if response.status().is_client_error() || response.status().is_server_error() {
        let written = refusal(response.request(), response.response()).await;
        if let Some(written) = written {
            response = response.into_response(written);
        }
    }
    let policy = response.request().app_data::<Data<State>>().map(|state| state.policy.clone());
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        // `no-referrer` would make browsers send `Origin: null` with our own forms.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (ROBOTS.clone(), "noindex"),
        (OPENER_POLICY.clone(), "same-origin"),
        (RESOURCE_POLICY.clone(), "same-origin"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Some(policy) = policy.filter(|_| !headers.contains_key(CONTENT_SECURITY_POLICY)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// The answer in place of a bare refusal; `None` when a handler has already written a page.
async fn refusal(request: &HttpRequest, response: &HttpResponse) -> Option<HttpResponse> {
    let error = response.error();
    let known = error.and_then(|error| error.as_error::<WebError>());
    if known.is_none() && response.headers().contains_key(CONTENT_TYPE) && error.is_none() {
        return None;
    }
    let status = response.status();
    log(request, status, error);
    let wait = known.and_then(WebError::wait);
    let sentence = match known {
        Some(WebError::Storage(error)) => Some(error.sentence()),
        Some(WebError::OtherAddress(public_url)) => Some(other_address(public_url)),
        _ => None,
    };
    if prefers_json(request.headers()) {
        let slug = known.map_or("refused", WebError::slug);
        return Some(problem(status, slug, wait, sentence));
    }
    if matches!(known, Some(WebError::NotSignedIn)) {
        return Some(to_login(request));
    }
    let next = match known {
        Some(WebError::OtherAddress(public_url)) => Some(format!("Open {public_url} instead.")),
        _ => None,
    };
    Some(page(status, wait, sentence, next, surroundings(request, status).await))
}

/// What helps the person, and what helps the operator: the one can't know which of them it is.
fn other_address(public_url: &str) -> String {
    format!(
        "This app can only be used at its own address, {public_url}. \
         (For the operator: it is web.public_url in the settings. A proxy in front must pass on the \
         Host header; in nginx: proxy_set_header Host $http_host;)"
    )
}

/// What surrounds the other pages of whoever is logged in, so that a refusal is no dead end. Not when
/// the fault is ours: then the database may be what fails.
async fn surroundings(request: &HttpRequest, status: StatusCode) -> Option<Chrome> {
    if status.is_server_error() {
        return None;
    }
    let state = request.app_data::<Data<State>>()?;
    let who = session_of(request, state).await.ok()??;
    Some(who.chrome("", Section::None))
}

/// A cause is logged here and nowhere else. The address may hold a token, so the route stands for it.
fn log(request: &HttpRequest, status: StatusCode, error: Option<&actix_web::Error>) {
    let route = request.match_pattern().unwrap_or_default();
    let method = request.method();
    let mut text = String::new();
    if let Some(error) = error {
        text = error.to_string();
        // `Error` hides the causes of what it holds unless it is asked as what it is.
        let mut cause = error.as_error::<WebError>().and_then(std::error::Error::source);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
    }
    if status.is_server_error() {
        tracing::error!(%method, route, status = status.as_u16(), "request failed: {text}");
    } else {
        tracing::debug!(%method, route, status = status.as_u16(), "request refused: {text}");
    }
}

/// Whether who asks wants JSON rather than a page.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = accept.contains("application/json") || accept.contains("application/problem+json");
    json && !accept.contains("text/html")
}

fn problem(status: StatusCode, slug: &str, wait: Option<u64>, sentence: Option<String>) -> HttpResponse {
    let words = Refusal::of(status.as_u16());
    let body = json!({
        "type": slug,
        "title": words.headline,
        "status": status.as_u16(),
        "detail": sentence.unwrap_or(words.what),
    });
    let mut answer = HttpResponse::build(status);
    if let Some(wait) = wait {
        answer.insert_header((RETRY_AFTER, wait));
    }
    answer.content_type("application/problem+json").body(body.to_string())
}

fn page(
    status: StatusCode,
    wait: Option<u64>,
    sentence: Option<String>,
    next: Option<String>,
    surroundings: Option<Chrome>,
) -> HttpResponse {
    let mut refusal = Refusal::of(status.as_u16());
    if let Some(chrome) = surroundings {
        refusal = refusal.within(chrome);
    }
    if let Some(sentence) = sentence {
        refusal.what = sentence;
    }
    if let Some(next) = next {
        refusal.next = next;
    }
    let mut answer = HttpResponse::build(status);
    if let Some(wait) = wait {
        refusal = refusal.wait(wait);
        answer.insert_header((RETRY_AFTER, wait));
    }
    match refusal.render() {
        Ok(html) => answer.content_type("text/html; charset=utf-8").body(html),
        Err(_) => answer.content_type("text/plain; charset=utf-8").body(refusal.headline),
    }
}

/// To the log-in page and, after that, back to where the person was.
fn to_login(request: &HttpRequest) -> HttpResponse {
    let next = if matches!(*request.method(), Method::GET | Method::HEAD) {
        request.uri().path_and_query().and_then(|address| LocalPath::parse(address.as_str()))
    } else {
        page_of_ours(request)
    };
    let address = match next {
        Some(next) if next != LocalPath::default() && next.as_str() != "/" => {
            format!("/login?next={}", utf8_percent_encode(next.as_str(), NON_ALPHANUMERIC))
        }
        _ => "/login".to_owned(),
    };
    HttpResponse::SeeOther().insert_header((LOCATION, address)).finish()
}

/// The page on which the form stood, if it was one of this host.
fn page_of_ours(request: &HttpRequest) -> Option<LocalPath> {
    let referer = request.headers().get(REFERER)?.to_str().ok()?;
    let origin = origin_of(referer);
    let (_, authority) = origin.split_once("://")?;
    let host = request.headers().get("host")?.to_str().ok()?;
    let path = referer.get(origin.len()..)?;
    (authority == host).then(|| LocalPath::parse(path))?
}
