//! The headers of the download service's responses.
//!
//! Only the table of content types is used from actix-files: `NamedFile` would read a whole file to answer a
//! HEAD, show HTML inline, put the inode in its ETag and answer several ranges with the first.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use bytes::Bytes;

use crate::brand::Brand;
use crate::download::body::FileBody;
use crate::download::browser::Agent;
use crate::download::conditions::{RequestedPart, http_date};
use crate::download::content_disposition::attachment;
use crate::download::pages;
use crate::files::FileVersion;
use crate::files::identity::ClaimedVersion;
use crate::token::{Grant, GrantContent};

/// If a browser shows a file after all, it can neither run scripts nor load anything.
const FILE_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");
/// For files: a proxy that compresses them would remove their length and ranges.
const NO_STORE_AS_IS: HeaderValue = HeaderValue::from_static("private, no-store, no-transform");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NOINDEX: HeaderValue = HeaderValue::from_static("noindex");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
/// By default, nginx buffers a whole response, in a temporary file of up to 1 GiB. Then we couldn't know how
/// much a client has received when it disconnects.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO: HeaderValue = HeaderValue::from_static("no");

/// Maximum number and length of the endings of file names whose content type each worker remembers.
const ENDINGS_MAX: usize = 128;
const ENDING_LEN_MAX: usize = 16;

fn common(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(ROBOTS, NOINDEX);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// The headers of every response without a page or file.
pub(crate) fn harden(response: &mut HttpResponseBuilder) {
    for (name, value) in [
        (header::CACHE_CONTROL, NO_STORE),
        (header::REFERRER_POLICY, NO_REFERRER),
        (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
        (ROBOTS, NOINDEX),
        (header::CONTENT_SECURITY_POLICY, FILE_POLICY),
    ] {
        response.insert_header((name, value));
    }
}

/// Returns a page of the download service.
pub(crate) fn page(response: &mut HttpResponseBuilder, page: &impl Template, brand: &Brand) -> HttpResponse {
    harden(response);
    response.insert_header((header::CONTENT_SECURITY_POLICY, pages::content_security_policy(brand)));
    response.insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"));
    match page.render() {
        Ok(html) => response.body(html),
        // The templates are compiled and a test renders every page, so only running out of memory can fail.
        Err(_) => response.status(StatusCode::INTERNAL_SERVER_ERROR).finish(),
    }
}

/// Returns the status and headers of a file response, without the `ETag` and the body.
pub(crate) fn head(grant: &Grant, version: FileVersion, part: &RequestedPart, agent: Agent) -> HttpResponse {
    let mut response = HttpResponse::new(match part {
        RequestedPart::Range(_) => StatusCode::PARTIAL_CONTENT,
        RequestedPart::Whole | RequestedPart::Unsatisfiable => StatusCode::OK,
    });
    let name = grant.name.as_deref().unwrap_or_else(|| grant.content.name());
    let headers = response.headers_mut();
    common(headers, FILE_POLICY);
    headers.insert(header::CACHE_CONTROL, NO_STORE_AS_IS);
    headers.insert(ACCEL_BUFFERING, NO);
    headers.insert(header::ACCEPT_RANGES, BYTES);
    let kind = match grant.content {
        GrantContent::File(_) => content_type(name),
        GrantContent::Archive(_) => HeaderValue::from_static("application/zip"),
    };
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, attachment(name, agent == Agent::Aria2));
    if let Ok(modified) = HeaderValue::from_str(&http_date(version.modified()).to_string()) {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    // The digest of the whole file, whatever part is sent (RFC 9530 section 3).
    let claimed = grant.version.as_deref().and_then(|text| text.parse::<ClaimedVersion>().ok());
    let digest =
        grant.digest.as_ref().filter(|_| claimed.is_some_and(|claimed| claimed.version() == version));
    if let Some(value) = digest.and_then(|sha256| HeaderValue::from_str(&format!("sha-256=:{sha256}:")).ok())
    {
        headers.insert(REPR_DIGEST, value);
    }
    if let RequestedPart::Range(range) = part {
        let content_range = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), version.len);
        if let Ok(value) = HeaderValue::from_str(&content_range) {
            headers.insert(header::CONTENT_RANGE, value);
        }
    }
    response
}

/// Returns a file response with its bytes and its resume key.
pub(crate) fn file(mut head: HttpResponse, resume_key: &str, body: FileBody) -> HttpResponse {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{resume_key}\"")) {
        head.headers_mut().insert(header::ETAG, tag);
    }
    with_file(head, body)
}

/// Returns a response with the bytes of a file, and their number: the body passes HTTP's dispatcher by, which
/// would otherwise count them.
pub(crate) fn with_file(mut head: HttpResponse, body: FileBody) -> HttpResponse {
    if body.size() == BodySize::Stream {
        head.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        head.head_mut().no_chunking(true);
    }
    head.set_body(body).map_into_boxed_body()
}

/// Returns the response to a HEAD: it has the length of the body that isn't sent.
pub(crate) fn without_body(head: HttpResponse, len: u64) -> HttpResponse {
    head.set_body(NoBody(len)).map_into_boxed_body()
}

/// A body that only has a length: nothing is read to answer a HEAD.
struct NoBody(u64);

impl MessageBody for NoBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// Sends no response: the connection is closed before the first byte of a head.
pub(crate) fn abort() -> HttpResponse {
    HttpResponse::new(StatusCode::GONE).set_body(AbortedBody).map_into_boxed_body()
}

/// A body that fails before anything is written, including the head.
struct AbortedBody;

#[derive(Debug, thiserror::Error)]
#[error("a refusal that would be saved as the file is not sent")]
struct NotSent;

impl MessageBody for AbortedBody {
    type Error = NotSent;

    fn size(&self) -> BodySize {
        BodySize::Sized(1)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, NotSent>>> {
        Poll::Ready(Some(Err(NotSent)))
    }
}

/// Returns 304 without the `ETag`, because only the redeeming client may see the resume key.
pub(crate) fn not_modified(version: FileVersion) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::NOT_MODIFIED);
    common(response.headers_mut(), FILE_POLICY);
    if let Ok(modified) = HeaderValue::from_str(&http_date(version.modified()).to_string()) {
        response.headers_mut().insert(header::LAST_MODIFIED, modified);
    }
    response
}

/// Returns the content type for a file name.
fn content_type(name: &str) -> HeaderValue {
    thread_local! {
        static KNOWN: RefCell<HashMap<Box<str>, HeaderValue>> = RefCell::default();
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    KNOWN.with_borrow_mut(|known| {
        if let Some(value) = known.get(ending) {
            return value.clone();
        }
        let value = content_type_of(ending);
        // People choose the names of files, so there may be any number of endings.
        if known.len() < ENDINGS_MAX && ending.len() < ENDING_LEN_MAX {
            known.insert(ending.into(), value.clone());
        }
        value
    })
}

/// Returns the content type for the ending of a file name, unless a browser would execute that type on our
/// origin; then it is just bytes.
fn content_type_of(ending: &str) -> HeaderValue {
    const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
    let guess = actix_files::file_extension_to_mime(ending);
    let runs = match (guess.type_().as_str(), guess.subtype().as_str()) {
        ("image" | "audio" | "video" | "font", subtype) => subtype.starts_with("svg"),
        ("text", subtype) => {
            !matches!(subtype, "plain" | "csv" | "markdown" | "calendar" | "tab-separated-values")
        }
        ("application", "pdf" | "json" | "zip" | "gzip" | "epub" | "rtf" | "msword") => false,
        ("application", subtype) => {
            !(subtype.starts_with("vnd.") || subtype.starts_with("x-7z") || subtype.starts_with("x-tar"))
        }
        _ => true,
    };
    let markup = guess.suffix().is_some_and(|suffix| suffix == "xml");
    if runs || markup {
        return BYTES;
    }
    HeaderValue::from_str(guess.essence_str()).unwrap_or(BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_content_type_is_one_that_a_browser_runs() {
        for (name, expected) in [
            ("a.pdf", "application/pdf"),
            ("a.PNG", "image/png"),
            ("a.txt", "text/plain"),
            ("a.zip", "application/zip"),
            ("a.mp4", "video/mp4"),
            ("a.html", "application/octet-stream"),
            ("a.xhtml", "application/octet-stream"),
            ("a.svg", "application/octet-stream"),
            ("a.svgz", "application/octet-stream"),
            ("a.xml", "application/octet-stream"),
            ("a.js", "application/octet-stream"),
            ("a.mjs", "application/octet-stream"),
            ("a.wasm", "application/octet-stream"),
            ("a.swf", "application/octet-stream"),
            ("a.hta", "application/octet-stream"),
            ("a.mhtml", "application/octet-stream"),
            ("a.rss", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            // The second time, it is remembered.
            assert_eq!([content_type(name), content_type(name)], [expected, expected], "{name}");
        }
    }

    #[test]
    fn content_types_of_any_number_of_endings_are_right() {
        for n in 0..2 * ENDINGS_MAX {
            assert_eq!(content_type(&format!("a.unknown{n}")), "application/octet-stream");
            assert_eq!(content_type("a.png"), "image/png");
        }
    }
}
