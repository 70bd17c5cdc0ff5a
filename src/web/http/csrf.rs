//! Proof that a form was sent from a page of ours: a token that only our page has, and the headers in which
//! the browser says where the form was sent from.
//!
//! The token is derived from the secret in the cookie, so nothing has to be stored. Nobody can compute it
//! without the cookie, and it ends with the session.

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{Digest, Secret};

/// The length of a one-time id.
const ID_LENGTH: usize = 16;

/// Returns the token in forms for the browser that has `cookie`.
pub fn token_for(cookie: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest_for(cookie).as_bytes())
}

/// Returns a token with a one-time id, for a form that creates something: by the id,
/// [`crate::web::forms::idempotency`] recognizes the form when it is sent again.
pub fn with_id(token: &str) -> String {
    match Secret::random::<12>() {
        Ok(id) => format!("{token}.{}", id.reveal()),
        // A form without an id counts each time it is sent.
        Err(_) => token.to_owned(),
    }
}

/// Returns whether `presented` is the token for `cookie`, with or without a one-time id. Takes constant time.
pub fn matches(cookie: &Secret, presented: &str) -> bool {
    let token = match presented.split_once('.') {
        Some((token, id)) if id.len() == ID_LENGTH => token,
        Some(_) => return false,
        None => presented,
    };
    let mut bytes = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) {
        Ok(32) => Digest::from_bytes(bytes) == digest_for(cookie),
        _ => false,
    }
}

fn digest_for(cookie: &Secret) -> Digest {
    // The prefix makes the token differ from the digest under which the session is stored.
    Digest::of(format!("oncelink form token\n{}", cookie.reveal()).as_bytes())
}

/// Where a request was sent from, as far as its headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentFrom {
    /// The browser says that it comes from a page of ours, or says nothing (programs and old
    /// browsers; the token still has to match), and it was sent to a name of ours.
    OurPage,
    /// It was sent to a host name that isn't ours, and no header names another origin: the person opened the
    /// app at another address, or a proxy did not pass on the `Host`.
    OtherAddress,
    /// It comes from a foreign page.
    ForeignPage,
}

/// Returns whether a request was sent from a page of ours; see [`SentFrom::OurPage`].
pub fn same_origin(headers: &HeaderMap, public_url: &str) -> bool {
    sent_from(headers, public_url) == SentFrom::OurPage
}

/// Returns where a request was sent from. `public_url` is the address at which people reach the app.
pub fn sent_from(headers: &HeaderMap, public_url: &str) -> SentFrom {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(ORIGIN.as_str());
    let public = origin_of(public_url);
    if let Some(site) = text("sec-fetch-site")
        // `none` means that the person typed the address or opened a bookmark.
        && !matches!(site, "same-origin" | "none")
    {
        return SentFrom::ForeignPage;
    }
    // A proxy may rewrite the host, but never the origin.
    if origin.is_some_and(|origin| origin.eq_ignore_ascii_case(public)) {
        return SentFrom::OurPage;
    }
    let host = text(HOST.as_str()).unwrap_or_default();
    let authority = public.split_once("://").map_or("", |(_, authority)| authority);
    // The page and the request must agree on the name.
    let agree = match origin {
        None => true,
        Some("null") => text("sec-fetch-site").is_some(),
        Some(origin) => {
            origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
        }
    };
    // On this machine the app has other names, too (`localhost`). Any further name that leads here could
    // belong to someone else who pointed it at us.
    match (agree, host.eq_ignore_ascii_case(authority) || is_this_machine(host)) {
        (false, _) => SentFrom::ForeignPage,
        (true, false) => SentFrom::OtherAddress,
        (true, true) => SentFrom::OurPage,
    }
}

/// Returns whether a `Host` names this machine itself. Nobody else can own such a name.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns the scheme and the authority of an address.
pub fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(authority..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| authority + at);
    url.get(..end).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_token_belongs_to_one_cookie() {
        let (one, other) = (Secret::presented("one"), Secret::presented("other"));
        assert!(matches(&one, &token_for(&one)));
        assert!(!matches(&other, &token_for(&one)));
        let token = with_id(&token_for(&one));
        assert!(matches(&one, &token) && !matches(&other, &token));
        assert_ne!(token, with_id(&token_for(&one)), "each form has an id of its own");
        for wrong in [format!("{token}A"), format!("{}.", token_for(&one)), format!("{token}.{token}")] {
            assert!(!matches(&one, &wrong), "{wrong}");
        }
        for wrong in ["", "AAAA", &URL_SAFE_NO_PAD.encode(one.digest().as_bytes())] {
            assert!(!matches(&one, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_foreign_page_is_recognized() {
        let same = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            same_origin(&headers, "https://files.example/app")
        };
        assert!(same(&[("host", "files.example")]));
        assert!(same(&[("host", "files.example"), ("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(same(&[("host", "127.0.0.1:8080")]) && same(&[("host", "[::1]:8080")]));
        assert!(same(&[("host", "web:8080"), ("origin", "https://files.example")]), "a proxy in between");
        assert!(same(&[("origin", "https://files.example")]));
        assert!(same(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")]));
        for foreign in [
            &[("sec-fetch-site", "cross-site"), ("host", "files.example")][..],
            &[],
            &[("host", "evil.example")],
            &[("host", "evil.example"), ("origin", "http://evil.example")],
            &[("host", "evil.example"), ("sec-fetch-site", "same-origin")],
            &[("host", "localhost.evil.example")],
            &[("host", "192.0.2.1")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://files.example")],
            &[("host", "files.example"), ("origin", "null")],
            &[("origin", "https://evil.example"), ("host", "files.example")],
            &[("origin", "https://files.example.evil.example")],
            &[("origin", "http://files.example")],
            &[("origin", "")],
        ] {
            assert!(!same(foreign), "{foreign:?}");
        }
    }

    #[test]
    fn another_name_of_the_app_is_distinguished_from_a_foreign_page() {
        let of = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            sent_from(&headers, "https://files.example")
        };
        for other in [
            &[("host", "192.168.1.5:8080"), ("origin", "http://192.168.1.5:8080")][..],
            &[("host", "oncelink")],
            &[("host", "files.example:8443"), ("origin", "https://files.example:8443")],
            &[("host", "192.168.1.5"), ("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[],
        ] {
            assert_eq!(of(other), SentFrom::OtherAddress, "{other:?}");
        }
        for foreign in [
            &[("host", "192.168.1.5"), ("origin", "http://evil.example")][..],
            &[("host", "192.168.1.5"), ("sec-fetch-site", "cross-site")],
            &[("host", "files.example"), ("origin", "null")],
        ] {
            assert_eq!(of(foreign), SentFrom::ForeignPage, "{foreign:?}");
        }
    }

    #[test]
    fn an_origin_is_scheme_and_authority() {
        assert_eq!(origin_of("https://files.example/app/x"), "https://files.example");
        assert_eq!(origin_of("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }
}
