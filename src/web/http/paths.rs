//! How paths of files stand in addresses and in the fields of forms.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::id::FilePath;

/// Everything but RFC 3986's unreserved characters and the slash between components.
pub(crate) const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The address of a folder's page: `/files/{share}/{path}`.
pub(crate) fn folder_address(folder: &FilePath) -> String {
    format!("/files{}", utf8_percent_encode(folder.as_str(), PATH))
}

/// A path as addresses and the fields of forms carry it.
pub(crate) fn encoded_path(path: &FilePath) -> String {
    utf8_percent_encode(path.as_str(), PATH).to_string()
}

/// What a form says, percent-decoded, if it can be a path.
pub(crate) fn decoded_path(text: &str) -> Option<FilePath> {
    percent_decode_str(text).decode_utf8().ok()?.parse().ok()
}
