//! Refuses requests whose `Host` is missing, duplicated or invalid (RFC 9112 section 3.2), before anything
//! else.

use actix_web::HttpResponse;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Version;
use actix_web::http::header::{CACHE_CONTROL, HOST, HeaderMap, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;

const PROBLEM: &str = r#"{"type":"invalid-host","title":"Invalid request","status":400,"detail":"The Host header is missing or is not a host name with an optional port."}"#;

/// The middleware in front of both services.
///
/// # Errors
/// Only those of the inner service.
pub(super) async fn refuse_invalid<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if is_valid(request.version(), request.headers()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refused = HttpResponse::BadRequest()
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type("application/problem+json")
        .body(PROBLEM);
    Ok(request.into_response(refused).map_into_right_body())
}

fn is_valid(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_host),
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// Checks for `uri-host [ ":" port ]` (RFC 3986 section 3.2.2); the host may be empty.
fn is_host(text: &str) -> bool {
    let (host_ok, rest) = match text.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, rest)) => (is_literal(address), rest),
            None => return false,
        },
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(name), rest)
        }
    };
    let port = rest.strip_prefix(':').unwrap_or(rest);
    host_ok && (rest.is_empty() || rest.starts_with(':')) && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_literal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.vV".contains(&byte))
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let allowed = match byte {
            b'%' => bytes
                .next()
                .zip(bytes.next())
                .is_some_and(|(high, low)| high.is_ascii_hexdigit() && low.is_ascii_hexdigit()),
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !allowed {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "",
            "a",
            "files.example",
            "files.example:8443",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
            "a:",
            "a%41b",
            "a_b",
        ] {
            assert!(is_host(host), "{host:?}");
        }
        for other in [
            "a b", "a/b", "a@b", "http://a", "a:b", "a:1:2", "[::1", "[::1]x", "[g]", "[]", "a%4", "a?b",
            "a#b", "a\\b", "a<b>", "\"a\"",
        ] {
            assert!(!is_host(other), "{other:?}");
        }
    }
}
