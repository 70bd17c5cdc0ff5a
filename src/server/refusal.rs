//! What is said to a client whose request is not looked at: too large a head, too slow a head, no
//! place. Written straight to the socket or in place of the service's answer.

use crate::connection::Refusal;

/// The text for a person, whose browser shows it as it is.
const HEAD_TOO_LARGE: &str = "The headers of this request are larger than 32 KiB. Most often that is \
    because of cookies: delete the cookies of this site and try again.\n";
const HEAD_TOO_SLOW: &str = "The request did not arrive in time. Try again.\n";
/// What somebody reads who finds no place.
pub(super) const CROWDED: &str = "The service is very busy. Try again in a few seconds.\n";
/// When it is worth trying again, in seconds.
pub(super) const RETRY_AFTER: &str = "5";

/// The whole response.
pub(super) fn response(refusal: Refusal) -> String {
    let (status, extra, text) = match refusal {
        Refusal::HeadTooLarge => ("431 Request Header Fields Too Large", String::new(), HEAD_TOO_LARGE),
        Refusal::HeadTooSlow => ("408 Request Timeout", String::new(), HEAD_TOO_SLOW),
        Refusal::Crowded => ("503 Service Unavailable", format!("retry-after: {RETRY_AFTER}\r\n"), CROWDED),
    };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: private, no-store\r\nx-content-type-options: nosniff\r\n{extra}connection: close\r\n\r\n{text}",
        text.len(),
    )
}
