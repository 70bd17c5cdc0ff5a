//! Pages are compressed for clients that accept gzip.
//!
//! Whoever can make a person's browser request pages, with text of their choice in the address, and sees how long the
//! answers are, could guess what is in a compressed page (BREACH). So a request that another site caused is answered
//! without compression: browsers say so in `Sec-Fetch-Site` (W3C, Fetch Metadata, section 2.3), and those that are too
//! old for it keep our cookies from such requests (`SameSite`).

use actix_http::ContentEncoding;
use actix_http::encoding::Encoder;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY,
};
use actix_web::middleware::Next;

/// Shorter answers fit into the first packet anyway.
const SHORTEST: u64 = 1024;

/// What becomes much shorter. Anything else is sent as it is.
const KINDS: [&str; 7] = [
    "text/html",
    "text/css",
    "text/javascript",
    "text/plain",
    "image/svg+xml",
    "application/json",
    "application/problem+json",
];

/// Compresses the response if the client accepts that.
///
/// # Errors
/// Those of the middlewares and services within it.
pub async fn compressed(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let wanted = accepts_gzip(request.headers()) && !is_of_another_site(request.headers());
    let mut answer = next.call(request).await?.map_into_boxed_body();
    if !becomes_shorter(&answer) {
        return Ok(answer);
    }
    if !wanted {
        answer.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
        return Ok(answer);
    }
    weaken_tag(answer.headers_mut());
    let encoded = answer.map_body(|head, body| Encoder::response(ContentEncoding::Gzip, head, body));
    Ok(encoded.map_into_boxed_body())
}

/// Returns whether the client accepts gzip (RFC 9110 section 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = |entry: &str| {
        let (coding, weight) = entry.split_once(';').unwrap_or((entry, ""));
        let is_zero = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        coding.trim().eq_ignore_ascii_case("gzip") && !is_zero
    };
    headers
        .get_all(ACCEPT_ENCODING)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(accepted)
}

/// `none`: the person typed the address or opened a bookmark.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

fn becomes_shorter(answer: &ServiceResponse<BoxBody>) -> bool {
    let headers = answer.headers();
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_long = match answer.response().body().size() {
        BodySize::None => false,
        BodySize::Sized(length) => length >= SHORTEST,
        BodySize::Stream => true,
    };
    is_long
        && KINDS.contains(&kind)
        && answer.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
}

/// The same page has other bytes now, so its tag identifies them only weakly (RFC 9110 section 8.8.1).
fn weaken_tag(headers: &mut HeaderMap) {
    let weak = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(weak) = weak.and_then(|tag| HeaderValue::from_str(&format!("W/{tag}")).ok()) {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_accepted_only_where_the_client_says_so() {
        let accepts = |value: &str| {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, value)).to_http_request();
            accepts_gzip(request.headers())
        };
        for yes in ["gzip", "deflate, GZIP", "br;q=1, gzip;q=0.5", "gzip ;q=1.0"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "identity", "br", "gzip;q=0", "gzip;q=0.000", "x-gzip-like"] {
            assert!(!accepts(no), "{no}");
        }
    }
}
