//! What browsers say about a request (`Sec-Fetch-…`, `Sec-Purpose` and its predecessors): whether a person
//! may have clicked, and whether the response will be saved.

use actix_web::http::header::{HeaderMap, USER_AGENT};

/// Returns whether a person may have asked for this. A prefetch is not a click, and neither is a part of a
/// page: an image, a script, a frame, or a fetch by a script. Programs don't send these headers.
pub(crate) fn may_be_a_click(headers: &HeaderMap) -> bool {
    !is_prefetch(headers) && !is_subresource(headers)
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

fn is_subresource(headers: &HeaderMap) -> bool {
    match token(headers, "sec-fetch-dest").as_deref() {
        None | Some("document") => false,
        // A download manager, or our own page, whose scripts don't fetch downloads.
        Some("empty") => token(headers, "sec-fetch-site").is_some_and(|site| site == "cross-site"),
        // An image, a script, a frame, and future kinds.
        Some(_) => true,
    }
}

/// Returns whether this is a request of a browser's download manager that saves the body of any response as
/// the file, even of a refusal (Firefox). Only a closed connection counts as a failure there.
pub(crate) fn saves_any_response(headers: &HeaderMap) -> bool {
    [("sec-fetch-dest", "empty"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "none")]
        .iter()
        .all(|(name, expected)| token(headers, name).is_some_and(|value| value == *expected))
}

/// A client that needs special treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// aria2, which can't read UTF-8 in `filename`.
    Aria2,
    /// Any other.
    Other,
}

impl Agent {
    /// Parses the `User-Agent`.
    pub(crate) fn of(headers: &HeaderMap) -> Agent {
        let agent = headers.get(USER_AGENT).map(|agent| agent.as_bytes());
        if agent.is_some_and(|agent| agent.starts_with(b"aria2/")) { Agent::Aria2 } else { Agent::Other }
    }
}

fn token(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_ascii_lowercase();
    Some(value).filter(|value| !value.is_empty())
}
