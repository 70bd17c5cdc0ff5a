//! Encodes file paths for addresses and for the fields of forms, and decodes them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::id::FilePath;

/// Everything except RFC 3986's unreserved characters and the slash between components.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Returns the address of a folder's page: `/files/{share}/{path}`.
pub(crate) fn folder_address(folder: &FilePath) -> String {
    format!("/files{}", utf8_percent_encode(folder.as_str(), PATH))
}

/// Returns a path as addresses and the fields of forms carry it.
pub(crate) fn encoded_path(path: &FilePath) -> String {
    utf8_percent_encode(path.as_str(), PATH).to_string()
}

/// Decodes the path in a field of a form; `None` if it is not a valid path.
pub(crate) fn decoded_path(text: &str) -> Option<FilePath> {
    percent_decode_str(text).decode_utf8().ok()?.parse().ok()
}
