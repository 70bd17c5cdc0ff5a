//! Where to go after a login: always a path of this app, so that a prepared link can't lead people who trust
//! us to a foreign page.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The characters that are not allowed in a `Location` header.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

/// The maximum length; no path of our own pages is longer.
const MAX_BYTES: usize = 4096;

/// A path of this app with its query, safe for a `Location` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPath(String);

impl LocalPath {
    /// Returns the path, if `text` is one. An address with a scheme or an authority is not, even if only a
    /// browser would see it there.
    pub fn parse(text: &str) -> Option<LocalPath> {
        let rest = text.strip_prefix('/')?;
        // Browsers read a backslash as a slash and skip tabs and line breaks, so `/\host` and
        // `/<tab>/host` would be `//host` to them.
        let misread = |c: char| c == '\\' || c.is_control();
        if text.len() > MAX_BYTES || rest.starts_with('/') || text.contains(misread) {
            return None;
        }
        Some(LocalPath(utf8_percent_encode(text, UNSAFE).to_string()))
    }

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LocalPath {
    /// Returns the path to the files.
    fn default() -> LocalPath {
        LocalPath("/files/".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_app_is_accepted() {
        for (text, expected) in [
            ("/", "/"),
            ("/files/books?sort=size&q=a b", "/files/books?sort=size&q=a%20b"),
            ("/files/我", "/files/%E6%88%91"),
            ("/x?next=//evil.example", "/x?next=//evil.example"),
        ] {
            assert_eq!(LocalPath::parse(text).unwrap().as_str(), expected);
        }
        for wrong in [
            "",
            "files",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/ok\r\nSet-Cookie: a=b",
            "https://evil.example",
            "javascript:alert(1)",
            " /files",
            "http:evil.example",
            &format!("/{}", "a".repeat(5_000)),
        ] {
            assert_eq!(LocalPath::parse(wrong), None, "{wrong:?}");
        }
    }
}
