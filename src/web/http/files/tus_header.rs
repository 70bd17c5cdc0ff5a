//! Reading the headers of the upload protocol tus.

use actix_web::http::header::HeaderMap;

/// Returns the text of a header.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the number of bytes in a header; `None` where the header is missing.
///
/// # Errors
/// When it is not a number of bytes.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, &'static str> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    // 2^60 bytes are more than any disk holds, and leave room for sums of them.
    let number = digits.and_then(|digits| digits.parse::<u64>().ok()).filter(|number| *number <= 1 << 60);
    number.map(Some).ok_or("a header is not a valid number of bytes")
}
