//! Sends a person who is not logged in to the login page and, after that, back to where they were.

use actix_web::http::Method;
use actix_web::http::header::{LOCATION, REFERER};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::web::http::csrf::origin_of;
use crate::web::http::extract::KeptForm;
use crate::web::http::local_path::LocalPath;

/// Redirects to the login page. After the login, the person gets the page that they asked for, or the form
/// that they had sent.
pub(crate) fn to_login(request: &HttpRequest) -> HttpResponse {
    let kept = request.extensions().get::<KeptForm>().cloned();
    let next = if let Some(kept) = &kept {
        LocalPath::parse(&format!("/unsent/{}", kept.id.reveal()))
    } else if matches!(*request.method(), Method::GET | Method::HEAD) {
        request.uri().path_and_query().and_then(|address| LocalPath::parse(address.as_str()))
    } else {
        page_of_form(request)
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

/// Returns the page that the form was on, if it was a page of this host.
fn page_of_form(request: &HttpRequest) -> Option<LocalPath> {
    let referer = request.headers().get(REFERER)?.to_str().ok()?;
    let origin = origin_of(referer);
    let (_, authority) = origin.split_once("://")?;
    let host = request.headers().get("host")?.to_str().ok()?;
    let path = referer.get(origin.len()..)?;
    (authority == host).then(|| LocalPath::parse(path))?
}
