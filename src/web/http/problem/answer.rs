//! The forms of a refusal: a page, a problem document, an answer of the upload protocol, or plain text.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use serde_json::json;

use crate::web::http::api_error::ApiError;
use crate::web::http::press_error::PressError;
use crate::web::http::problem::closed_link_page::{ClosedLink, ClosedLinkPage};
use crate::web::http::problem::closed_request_page::{ClosedRequest, ClosedRequestPage};
use crate::web::http::problem::refusal_page::RefusalPage;
use crate::web::http::problem::signup_closed_page::SignUpClosedPage;
use crate::web::http::tus_error::{TusError, VERSION};
use crate::web::shares::error::StorageError;

/// Responds with the page about a refusal.
pub(crate) fn page(status: StatusCode, wait: Option<u64>, page: &RefusalPage) -> HttpResponse {
    html(builder(status, wait), page, &page.headline)
}

/// Responds with the same as a problem document.
pub(crate) fn json(status: StatusCode, slug: &str, wait: Option<u64>, page: &RefusalPage) -> HttpResponse {
    problem(builder(status, wait), status, slug, &page.headline, &page.what)
}

/// Responds that nothing can be downloaded with a link.
pub(crate) fn closed_link(link: &ClosedLink, as_json: bool) -> HttpResponse {
    let why = link.why;
    let answer = builder(why.status(), why.wait());
    match as_json {
        true => problem(answer, why.status(), why.slug(), reason(why.status()), why.sentence()),
        false => html(answer, &ClosedLinkPage::new(link.clone()), why.headline()),
    }
}

/// Responds that a file request takes no files.
pub(crate) fn closed_request(why: ClosedRequest, as_json: bool) -> HttpResponse {
    let answer = HttpResponse::build(why.status());
    match as_json {
        true => problem(answer, why.status(), why.slug(), why.headline(), why.sentence()),
        false => html(answer, &ClosedRequestPage::new(why), why.headline()),
    }
}

/// Tells a program why the API refuses its request.
pub(crate) fn api(error: &ApiError, wait: Option<u64>) -> HttpResponse {
    let status = error.status();
    let mut answer = builder(status, wait);
    if let Some(challenge) = error.challenge() {
        answer.insert_header((WWW_AUTHENTICATE, challenge));
    }
    if let ApiError::MethodNotAllowed(allowed) = error {
        answer.insert_header((ALLOW, allowed.as_str()));
    }
    let mut body = json!({
        "type": error.slug(),
        "title": reason(status),
        "status": status.as_u16(),
        "detail": error.detail(),
    });
    if let (false, Some(members)) = (error.fields().is_empty(), body.as_object_mut()) {
        members.insert("errors".to_owned(), json!(error.fields()));
    }
    answer.content_type("application/problem+json").body(body.to_string())
}

/// Tells a program that there is nothing at an address of the API, or nothing that its key may know of.
pub(crate) fn not_found() -> HttpResponse {
    let status = StatusCode::NOT_FOUND;
    let detail = "There is nothing here, or nothing that this key may know of.";
    problem(HttpResponse::build(status), status, "not-found", reason(status), detail)
}

/// Tells a program that a press lacks something.
pub(crate) fn press(error: PressError) -> HttpResponse {
    let status = error.status();
    problem(HttpResponse::build(status), status, error.slug(), reason(status), error.sentence())
}

/// Responds that not everyone may sign up.
pub(crate) fn signup_closed(by_invitation: bool) -> HttpResponse {
    let page = SignUpClosedPage::new(by_invitation);
    html(HttpResponse::Forbidden(), &page, &page.chrome.title)
}

/// Responds to a download service whose node key is missing or wrong.
pub(crate) fn node_key(status: StatusCode) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    if status == StatusCode::UNAUTHORIZED {
        answer.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    answer.content_type("text/plain; charset=utf-8").body("the node key is missing or wrong\n")
}

/// Responds to a client of the upload protocol.
pub(crate) fn tus(error: &TusError) -> HttpResponse {
    let (status, sentence) = (error.status(), error.sentence());
    let mut answer = builder(status, error.wait());
    answer.insert_header((HeaderName::from_static("tus-resumable"), HeaderValue::from_static(VERSION)));
    match error {
        TusError::Storage(StorageError::Offset { is }) => answer.insert_header(("upload-offset", *is)),
        TusError::Version => answer.insert_header(("tus-version", VERSION)),
        TusError::Method => answer.insert_header((ALLOW, "OPTIONS, POST, HEAD, PATCH, DELETE")),
        _ => &mut answer,
    };
    problem(answer, status, error.slug(), &sentence, &sentence)
}

fn builder(status: StatusCode, wait: Option<u64>) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    if let Some(wait) = wait {
        answer.insert_header((RETRY_AFTER, wait));
    }
    answer
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

fn problem(
    mut answer: HttpResponseBuilder,
    status: StatusCode,
    slug: &str,
    title: &str,
    detail: &str,
) -> HttpResponse {
    let body = json!({ "type": slug, "title": title, "status": status.as_u16(), "detail": detail });
    answer.content_type("application/problem+json").body(body.to_string())
}

fn html(mut answer: HttpResponseBuilder, page: &impl Template, headline: &str) -> HttpResponse {
    match page.render() {
        Ok(html) => answer.content_type("text/html; charset=utf-8").body(html),
        Err(_) => answer.content_type("text/plain; charset=utf-8").body(headline.to_owned()),
    }
}
