//! What is said to a client whose request is not looked at: too large a head, too slow a head, no
//! place. Written straight to the socket or in place of the service's answer.

use crate::connection::Refusal;

/// The text for a person, whose browser shows it as it is.
const HEAD_TOO_LARGE: &str = "The headers of this request are larger than 32 KiB. Most often that is \
    because of cookies: delete the cookies of this site and try again.\n";
const HEAD_TOO_SLOW: &str = "The request did not arrive in time. Try again.\n";
/// What somebody reads who finds no place.
pub(super) const CROWDED: &str = "The service is very busy. Try again in a few seconds.\n";
/// What somebody reads who comes while the service stops.
pub(super) const STOPPING: &str = "The service is restarting. Try again in a few seconds.\n";
/// When it is worth trying again, in seconds.
pub(super) const RETRY_AFTER: &str = "5";

/// The whole response.
pub(super) fn response(refusal: Refusal) -> String {
    match refusal {
        Refusal::HeadTooLarge => plain("431 Request Header Fields Too Large", "", HEAD_TOO_LARGE),
        Refusal::HeadTooSlow => plain("408 Request Timeout", "", HEAD_TOO_SLOW),
        Refusal::Crowded => plain("503 Service Unavailable", RETRY_AFTER, CROWDED),
    }
}

/// A response in plain text, after which the connection is closed; `retry_after` may be empty.
pub(super) fn plain(status: &str, retry_after: &str, text: &str) -> String {
    let retry =
        if retry_after.is_empty() { String::new() } else { format!("retry-after: {retry_after}\r\n") };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: private, no-store\r\nx-content-type-options: nosniff\r\n{retry}connection: close\r\n\r\n{text}",
        text.len(),
    )
}
