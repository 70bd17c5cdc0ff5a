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
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;

use crate::human::size;
use crate::web::http::csrf::origin_of;
use crate::web::http::error::WebError;
use crate::web::http::extract::{KeptForm, session_of};
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::local_path::LocalPath;
use crate::web::http::problem::refusal_page::Refusal;
use crate::web::http::state::State;
use crate::web::shares::error::StorageError;

pub mod closed_link_page;
pub mod refusal_page;
mod storage;

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

/// Where the links lie that people get by mail or by chat.
const LINK_FOLDERS: [&str; 4] = ["/l/", "/activate/", "/reset/", "/confirm-address/"];

/// The address of a link without what a mail or chat program took for a part of it: the full stop of the
/// sentence, a bracket, a slash. `None` where there is nothing to take off.
fn lengthened(path: &str) -> Option<String> {
    let folder = LINK_FOLDERS.into_iter().find(|folder| path.starts_with(folder))?;
    let link = percent_decode_str(path.get(folder.len()..)?).decode_utf8().ok()?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = link.find(|c| !is_part(c)).unwrap_or(link.len());
    let (whole, rest) = link.split_at_checked(end)?;
    // What a form of ours posts to.
    if rest.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric())) {
        return None;
    }
    let whole = whole.trim_end_matches('.');
    // The dots of a token are its own, even if nothing stands between them and the end.
    if folder != "/l/" && whole.matches('.').count() != 2 {
        return None;
    }
    (!whole.is_empty() && whole.len() < link.len()).then(|| format!("{folder}{whole}"))
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
    if status == StatusCode::NOT_FOUND
        && let Some(whole) = lengthened(request.path())
    {
        return Some(HttpResponse::PermanentRedirect().insert_header((LOCATION, whole)).finish());
    }
    let refusal = match known {
        Some(WebError::NotFound) | None
            if status == StatusCode::NOT_FOUND
                && LINK_FOLDERS.iter().any(|it| request.path().starts_with(it)) =>
        {
            Refusal::of_incomplete_link()
        }
        Some(WebError::Storage(error)) => Refusal::saying(status.as_u16(), error.sentence()),
        Some(WebError::TooLarge(most)) => Refusal::saying(
            status.as_u16(),
            format!(
                "The form is larger than {}, which is the most that this service takes.",
                size(*most as u64)
            ),
        ),
        Some(WebError::OtherAddress(public_url)) => Refusal {
            next: format!("Open {public_url} instead."),
            ..Refusal::saying(status.as_u16(), other_address(public_url))
        },
        Some(WebError::NoCookies) => Refusal::without_cookies(),
        _ => Refusal::of(status.as_u16()),
    };
    if prefers_json(request.headers()) {
        let slug = known.map_or("refused", WebError::slug);
        return Some(problem(status, slug, wait, &refusal));
    }
    let is_about_a_share = matches!(known, Some(WebError::Storage(StorageError::ShareGone)));
    if matches!(known, Some(WebError::NotSignedIn)) {
        return Some(to_login(request));
    }
    Some(page(status, wait, refusal, surroundings(request, status, is_about_a_share).await))
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
/// the fault is ours, but for a share that is away: then the database may be what fails.
async fn surroundings(request: &HttpRequest, status: StatusCode, is_about_a_share: bool) -> Option<Chrome> {
    if status.is_server_error() && !is_about_a_share {
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
            let said = error.to_string();
            if !text.ends_with(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
    }
    let is_unreadable = error.and_then(|error| error.as_error::<WebError>()).is_some_and(|error| {
        matches!(error, WebError::Storage(StorageError::Unreadable(_) | StorageError::Forbidden(_)))
    });
    if is_unreadable {
        // Not the client's fault: somebody has to mend the permissions of what is named here.
        tracing::warn!(%method, route, status = status.as_u16(), "request failed: {text}");
    } else if status.is_server_error() {
        tracing::error!(%method, route, status = status.as_u16(), "request failed: {text}");
    } else {
        tracing::debug!(%method, route, status = status.as_u16(), "request refused: {text}");
    }
}

/// Whether who asks wants JSON rather than a page.
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = accept.contains("application/json") || accept.contains("application/problem+json");
    json && !accept.contains("text/html")
}

fn problem(status: StatusCode, slug: &str, wait: Option<u64>, words: &Refusal) -> HttpResponse {
    let body = json!({
        "type": slug,
        "title": words.headline,
        "status": status.as_u16(),
        "detail": words.what,
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
    mut refusal: Refusal,
    surroundings: Option<Chrome>,
) -> HttpResponse {
    if let Some(chrome) = surroundings {
        refusal = refusal.within(chrome);
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

/// To the log-in page and, after that, back to where the person was, or to what was typed.
fn to_login(request: &HttpRequest) -> HttpResponse {
    let kept = request.extensions().get::<KeptForm>().cloned();
    let next = if let Some(kept) = &kept {
        LocalPath::parse(&format!("/unsent/{}", kept.id.reveal()))
    } else if matches!(*request.method(), Method::GET | Method::HEAD) {
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
    let mut answer = HttpResponse::SeeOther();
    if let Some(cookie) = kept.and_then(|kept| kept.cookie) {
        answer.cookie(cookie);
    }
    answer.insert_header((LOCATION, address)).finish()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_to_a_link_comes_off_and_nothing_else() {
        for added in ["/", ".", ",", ")", "%3E", "%20", ").", "%22%3E", "%3C/a%3E", "%E2%80%9D", ":", "%0A"] {
            assert_eq!(lengthened(&format!("/l/Ab-_9{added}")).as_deref(), Some("/l/Ab-_9"), "{added}");
        }
        assert_eq!(lengthened("/reset/a.b.c.").as_deref(), Some("/reset/a.b.c"));
        for whole in [
            "/l/Ab-_9",
            "/l/Ab-_9/code",
            "/l/",
            "/l/.",
            "/reset/a.b.c/renew",
            "/reset/a.b.",
            "/files/a.",
            "/l/%ff",
        ] {
            assert_eq!(lengthened(whole), None, "{whole}");
        }
    }
}
