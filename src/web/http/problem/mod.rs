//! The web app's edge: an error becomes a status, a fixed sentence for the reader and, once, a log line for
//! the operator. No cause ever reaches a stranger.

use std::borrow::Cow;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::access::{AccessNote, issued_jti};
use crate::human::size;
use crate::web::http::accept::prefers_json;
use crate::web::http::error::WebError;
use crate::web::http::extract::session_of;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::problem::log::log;
use crate::web::http::problem::mended_link::{is_link, mended};
use crate::web::http::problem::refusal_page::RefusalPage;
use crate::web::http::problem::to_login::to_login;
use crate::web::http::rate_headers::add_quota;
use crate::web::http::respond::see_other;
use crate::web::http::state::AppState;
use crate::web::http::zip_words;
use crate::web::shares::error::StorageError;

mod answer;
pub mod closed_link_page;
pub mod closed_request_page;
mod log;
mod mended_link;
pub mod refusal_page;
pub mod signup_closed_page;
mod storage;
mod to_login;

static ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
static OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The middleware around every handler: turns errors into answers, and adds the headers that all answers have
/// in common.
///
/// # Errors
/// Those of the middlewares within it. An error of a handler arrives as part of its response.
pub async fn edge(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let note = access_note(&response);
    if response.status().is_client_error() || response.status().is_server_error() {
        let written = refusal(response.request(), response.response()).await;
        if let Some(written) = written {
            response = response.into_response(written);
        }
    }
    let policy = response.request().app_data::<Data<AppState>>().map(|state| state.policy.clone());
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
    add_quota(&mut response);
    note.on(response.response_mut());
    Ok(response)
}

/// Returns what the access log says about a request.
fn access_note(response: &ServiceResponse<BoxBody>) -> AccessNote {
    let error = response.response().error();
    let known = error.and_then(|error| error.as_error::<WebError>());
    AccessNote {
        route: response.request().match_pattern().map(Cow::Owned).unwrap_or_default(),
        outcome: known.map_or("", WebError::slug),
        jti: issued_jti(response.response()),
        handed_on: None,
    }
}

/// Returns the answer in place of a bare refusal; `None` when a handler has already written a page.
async fn refusal(request: &HttpRequest, response: &HttpResponse) -> Option<HttpResponse> {
    let error = response.error();
    let known = error.and_then(|error| error.as_error::<WebError>());
    if known.is_none() && response.headers().contains_key(CONTENT_TYPE) && error.is_none() {
        return None;
    }
    let status = response.status();
    log(request, status, error);
    let is_api = is_api(request.path());
    let as_json = is_api || prefers_json(request.headers());
    match known {
        Some(WebError::LinkClosed(link)) => return Some(answer::closed_link(link, as_json)),
        Some(WebError::RequestClosed(why)) => return Some(answer::closed_request(*why, as_json)),
        Some(WebError::Api(error)) => return Some(answer::api(error, known.and_then(WebError::wait))),
        Some(WebError::Press(error)) => return Some(answer::press(*error)),
        Some(WebError::SignUpClosed { by_invitation }) => return Some(answer::signup_closed(*by_invitation)),
        Some(WebError::NodeKeyMissing | WebError::NodeKeyUnknown) => return Some(answer::node_key(status)),
        Some(WebError::Tus(error)) => return Some(answer::tus(error)),
        _ => {}
    }
    if status == StatusCode::NOT_FOUND
        && !is_api
        && let Some(whole) = mended(request.path())
    {
        return Some(HttpResponse::PermanentRedirect().insert_header((LOCATION, whole)).finish());
    }
    let wait = known.and_then(WebError::wait);
    let page = page_about(request, status, known);
    if as_json {
        let slug = known.map_or("refused", WebError::slug);
        if is_api && matches!(known, Some(WebError::NotFound)) {
            return Some(answer::not_found());
        }
        return Some(answer::json(status, slug, wait, &page));
    }
    match known {
        Some(WebError::NotSignedIn) => return Some(to_login(request)),
        Some(WebError::FactorNeeded) => return Some(see_other("/account/second-factor")),
        _ => {}
    }
    let is_about_a_share = matches!(known, Some(WebError::Storage(StorageError::ShareGone)));
    let page = match frame(request, status, is_about_a_share).await {
        Some(chrome) => page.within(chrome),
        None => page.for_visitor_of(request.path()),
    };
    let page = match wait {
        Some(wait) => page.wait(wait),
        None => page,
    };
    Some(answer::page(status, wait, &page))
}

/// Returns whether an address belongs to the API, which answers in JSON whatever the client prefers.
fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
}

/// Returns the page that says what happened.
fn page_about(request: &HttpRequest, status: StatusCode, known: Option<&WebError>) -> RefusalPage {
    match known {
        Some(WebError::NotFound) | None if status == StatusCode::NOT_FOUND && is_link(request.path()) => {
            RefusalPage::of_incomplete_link()
        }
        Some(WebError::Storage(error)) => RefusalPage::saying(status.as_u16(), error.sentence()),
        Some(WebError::TooLarge(max)) => RefusalPage::saying(
            status.as_u16(),
            format!("The form is larger than {}, which is the maximum.", size(*max as u64)),
        ),
        Some(WebError::OtherAddress(public_url)) => RefusalPage {
            next: format!("Open {public_url} instead."),
            ..RefusalPage::saying(status.as_u16(), other_address(public_url))
        },
        Some(WebError::NoCookies) => RefusalPage::without_cookies(),
        Some(WebError::StillPreparing(progress)) => {
            RefusalPage::saying(status.as_u16(), zip_words::preparing(*progress))
        }
        Some(WebError::ArchiveTooLarge) => RefusalPage {
            next: "Choose fewer files, or download the folders one by one.".to_owned(),
            ..RefusalPage::saying(status.as_u16(), zip_words::too_large())
        },
        Some(WebError::NotViewable) => RefusalPage::not_viewable(
            status.as_u16(),
            "Only pictures, PDF, plain text, audio and video are shown in the browser.",
        ),
        Some(WebError::ViewNotAllowed) => {
            RefusalPage::not_viewable(status.as_u16(), "The files of this link can only be downloaded.")
        }
        _ => RefusalPage::of(status.as_u16()),
    }
}

/// Returns what helps a person and what helps an operator, because the reader may be either.
fn other_address(public_url: &str) -> String {
    format!(
        "This app can only be used at its own address, {public_url}. \
         (For the operator: it is web.public_url in the settings. A proxy in front must pass on the \
         Host header; in nginx: proxy_set_header Host $http_host;)"
    )
}

/// Returns the frame of the other pages of the person who is logged in, so that a refusal is not a dead end.
/// Errors of the server have no frame, because the database may be their cause, except for an unavailable share.
async fn frame(request: &HttpRequest, status: StatusCode, is_about_a_share: bool) -> Option<Chrome> {
    if status.is_server_error() && !is_about_a_share {
        return None;
    }
    let state = request.app_data::<Data<AppState>>()?;
    let who = session_of(request, state).await.ok()??;
    Some(who.chrome("", Section::None))
}
