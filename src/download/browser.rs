//! What a browser says of a request by itself (the Fetch standard's `Sec-Fetch-…`, `Sec-Purpose` and
//! its forerunners): whether a person may have clicked, and whether whatever comes is saved.

use actix_web::http::header::{HeaderMap, USER_AGENT};

/// Whether a person may have asked for this. A browser's guess is no click, nor is a part of some
/// page: an image, a script, a frame, or what a script of that page fetches. Programs say nothing.
pub(crate) fn may_be_a_click(headers: &HeaderMap) -> bool {
    !is_prefetch(headers) && !is_part_of_a_page(headers)
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    const GUESSES: [&str; 4] = ["prefetch", "prerender", "preview", "instant"];
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| {
        headers.get_all(*name).any(|value| {
            let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            GUESSES.iter().any(|guess| value.contains(guess))
        })
    })
}

fn is_part_of_a_page(headers: &HeaderMap) -> bool {
    match token(headers, "sec-fetch-dest").as_deref() {
        None | Some("document") => false,
        // A download manager, or a page of our own, whose scripts fetch no downloads of others.
        Some("empty") => token(headers, "sec-fetch-site").is_some_and(|site| site == "cross-site"),
        // An image, a script, a frame, and whatever comes up later.
        Some(_) => true,
    }
}

/// Whether this is a request of a browser's download manager, which saves the body of any answer,
/// a refusal's too, and calls it the file (Firefox). Only a connection that is closed shows as a failure.
pub(crate) fn saves_whatever_comes(headers: &HeaderMap) -> bool {
    [("sec-fetch-dest", "empty"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "none")]
        .iter()
        .all(|(name, expected)| token(headers, name).is_some_and(|value| value == *expected))
}

/// The program that asks, where it needs something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// aria2, which reads no UTF-8 in `filename`.
    Aria2,
    /// Any other.
    Other,
}

impl Agent {
    /// Reads the `User-Agent`.
    pub(crate) fn of(headers: &HeaderMap) -> Agent {
        let agent = headers.get(USER_AGENT).map(|agent| agent.as_bytes());
        if agent.is_some_and(|agent| agent.starts_with(b"aria2/")) { Agent::Aria2 } else { Agent::Other }
    }
}

fn token(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_ascii_lowercase();
    Some(value).filter(|value| !value.is_empty())
}
