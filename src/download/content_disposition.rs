//! `Content-Disposition` (RFC 6266), `attachment` for downloads and `inline` for views, with the name in two
//! forms: `filename*` (RFC 8187), which browsers and wget read, and `filename` for programs that support only
//! that. The latter contains raw UTF-8: curl saves those bytes unchanged, and every client that would misread
//! them supports `filename*`.

use std::fmt::Write;

use actix_web::http::header::HeaderValue;

/// Returns the header value for a file to be saved as `name`. Any text is allowed: characters that could be a
/// problem in a header or a file system are replaced in `filename` and percent-encoded in `filename*`.
///
/// `ascii_only` is for clients that ignore the whole header if `filename` contains unexpected bytes (aria2
/// with its defaults, which then names the file after the token and fails).
pub(crate) fn attachment(name: &str, ascii_only: bool) -> HeaderValue {
    disposition("attachment", name, ascii_only).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Returns the header value for a file that is shown in place, and saved as `name` if someone saves it.
pub(crate) fn inline(name: &str) -> HeaderValue {
    disposition("inline", name, false).unwrap_or(HeaderValue::from_static("inline"))
}

fn disposition(kind: &str, name: &str, ascii_only: bool) -> Option<HeaderValue> {
    let name = safe(name);
    let mut field = String::with_capacity(40 + name.len() * 2);
    field.push_str(kind);
    field.push_str("; filename=\"");
    // Percent signs are replaced, too, because some clients decode them inside the quotes.
    let unfit = |c: char| matches!(c, '"' | '\\' | '%') || (ascii_only && !c.is_ascii());
    field.extend(name.chars().map(|c| if unfit(c) { '_' } else { c }));
    field.push('"');
    let plain = name.bytes().all(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\\' | b'%'));
    if !plain {
        field.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if is_attr_char(byte) {
                field.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _written = write!(field, "%{byte:02X}");
            }
        }
    }
    // No control characters are left, and those are all that a header value can't contain.
    HeaderValue::from_bytes(field.as_bytes()).ok()
}

/// Returns the name without characters that are dangerous on a file system or a screen: path separators,
/// control characters, characters that reverse the text, a leading dot or space. Never empty.
fn safe(name: &str) -> String {
    let cleaned: String = name
        .chars()
        .map(|c| match c {
            '/' | '\\' => '_',
            c if c.is_control() => '_',
            // Bidirectional embeddings and overrides make `fdp.exe` read as `exe.pdf`; the plain
            // left-to-right and right-to-left marks occur in ordinary names and stay.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
            '\u{2028}' | '\u{2029}' | '\u{feff}' => '_',
            c => c,
        })
        .collect();
    match cleaned.trim() {
        "" => "download".to_owned(),
        trimmed if trimmed.starts_with('.') => format!("_{trimmed}"),
        trimmed => trimmed.to_owned(),
    }
}

/// Encodes a value (RFC 8187 section 3.2.1).
fn is_attr_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(name: &str) -> String {
        String::from_utf8(attachment(name, false).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn names_read_as_the_rfcs_have_them() {
        assert_eq!(field("report.pdf"), r#"attachment; filename="report.pdf""#);
        assert_eq!(field("我.pdf"), r#"attachment; filename="我.pdf"; filename*=UTF-8''%E6%88%91.pdf"#);
        assert_eq!(
            field("a\"b\\c%.txt"),
            r#"attachment; filename="a_b_c_.txt"; filename*=UTF-8''a%22b_c%25.txt"#
        );
        assert_eq!(field("a\r\nSet-Cookie: x"), r#"attachment; filename="a__Set-Cookie: x""#);
        assert_eq!(field("../../etc/passwd"), r#"attachment; filename="_.._.._etc_passwd""#);
        assert_eq!(field("\u{202e}fdp.exe"), r#"attachment; filename="_fdp.exe""#);
        assert_eq!(field("   "), r#"attachment; filename="download""#);
        assert_eq!(inline("a;b.txt"), r#"inline; filename="a;b.txt""#);
    }

    proptest! {
        #[test]
        fn no_quote_control_or_separator_leaves_and_the_name_comes_back(name in any::<String>()) {
            let field = field(&name);
            let rest = field.strip_prefix("attachment; filename=\"").unwrap();
            let (quoted, star) = rest.split_once('"').unwrap();
            prop_assert!(quoted.chars().all(|c| !c.is_control() && c != '\\' && c != '/'));
            prop_assert!(!quoted.is_empty());
            match star.strip_prefix("; filename*=UTF-8''") {
                None => prop_assert_eq!(star, ""),
                Some(encoded) => {
                    prop_assert!(encoded.bytes().all(|b| is_attr_char(b) || b == b'%'));
                    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap();
                    prop_assert_eq!(decoded.as_ref(), safe(&name));
                }
            }
        }
    }
}
