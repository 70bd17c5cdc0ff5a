//! Headers of downloads: ranges and preconditions of requests, and the file name in responses.

use actix_web::http::header::{
    ContentDisposition, DispositionType, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use oncelink::clock::Timestamp;
use oncelink::secret::Secret;
use percent_encoding::percent_decode_str;

use crate::conditions::{Conditions, Precondition, RequestedPart, parse_range};
use crate::content_disposition::attachment;
use crate::lines;

/// The resume key of the requested file.
const KEY: &str = "AbC-_fghijklmnopqrstuv";

/// Maximum length of a file whose ranges are checked byte by byte.
const SMALL: u64 = 200;

/// Evaluates ranges and preconditions. The lines of the input are the length of the file and then the values
/// of `Range`, `If-Range`, `If-Match` and `If-None-Match`; an empty line leaves the header out. The selected
/// part must lie within the file, must be the requested one, and is sent only for the file's own tag.
pub fn range(data: &[u8]) {
    let mut lines = lines(data);
    let len = lines.next().and_then(|line| str::from_utf8(line).ok()?.parse().ok()).unwrap_or(100);
    let mut headers = HeaderMap::new();
    for (name, line) in [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH].into_iter().zip(lines) {
        if let Some(value) = HeaderValue::from_bytes(line).ok().filter(|_| !line.is_empty()) {
            headers.insert(name, value);
        }
    }
    let digest = Secret::presented(KEY).digest();
    let modified = Timestamp::from_secs(1_795_000_000);
    let conditions = Conditions::of(&headers);
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let part = conditions.part(Some(&digest), modified, len);
    match text(&RANGE) {
        None => assert_eq!(part, RequestedPart::Whole),
        Some(field) => {
            let asked = parse_range(field, len);
            assert_within(&asked, len);
            if len <= SMALL {
                assert_eq!(asked, byte_by_byte(field, len), "{field:?} of {len}");
            }
            assert!(part == asked || part == RequestedPart::Whole);
            // With any other tag than the file's, there is no partial response.
            let shown = text(&IF_RANGE).or_else(|| text(&IF_MATCH).filter(|tags| tags.trim() != "*"));
            if shown.is_some_and(|tags| !tags.contains(KEY) && !tags.contains("GMT")) {
                assert_eq!(part, RequestedPart::Whole);
            }
        }
    }
    if text(&IF_MATCH).is_some_and(|tags| tags.trim() != "*" && !tags.contains(KEY)) {
        assert_eq!(conditions.evaluate(Some(&digest), modified), Precondition::Failed);
    }
    if let Some(key) = conditions.shown_key(&digest) {
        assert_eq!(key.reveal(), KEY);
    }
    let without = Conditions::of(&headers).without_range();
    assert_eq!(without.part(Some(&digest), modified, len), RequestedPart::Whole);
}

fn assert_within(part: &RequestedPart, len: u64) {
    if let RequestedPart::Range(range) = part {
        assert!(range.start < range.end && range.end <= len, "{range:?} of {len}");
    }
}

/// Evaluates a `Range` field as in RFC 9110 section 14.2, by marking each requested byte of a small file.
fn byte_by_byte(field: &str, len: u64) -> RequestedPart {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let Some((unit, set)) = field.split_once('=') else { return RequestedPart::Unsatisfiable };
    if unit.is_empty() || !unit.chars().all(is_token) {
        return RequestedPart::Unsatisfiable;
    }
    if !unit.eq_ignore_ascii_case("bytes") {
        return RequestedPart::Whole;
    }
    let specs: Vec<&str> = set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).collect();
    let specs: Vec<&str> = specs.into_iter().filter(|spec| !spec.is_empty()).collect();
    let mut is_asked = vec![false; len as usize];
    for spec in &specs {
        let Some((first, last)) = spec.split_once('-') else { return RequestedPart::Unsatisfiable };
        let numbers = [first, last].map(|digits| match digits {
            "" => Some(None),
            _ if digits.chars().all(|c| c.is_ascii_digit()) => {
                // Numbers beyond 64 bits count as the same, because they lie beyond every file.
                Some(Some(u128::from(digits.parse().unwrap_or(u64::MAX))))
            }
            _ => None,
        });
        for (at, is_asked) in is_asked.iter_mut().enumerate() {
            let at = at as u128;
            *is_asked |= match numbers {
                [Some(None), Some(Some(suffix))] => at + suffix.min(SMALL.into()) >= u128::from(len),
                [Some(Some(first)), Some(None)] => at >= first,
                [Some(Some(first)), Some(Some(last))] => at >= first && at <= last,
                _ => false,
            };
        }
        match numbers {
            [None, _] | [_, None] | [Some(None), Some(None)] => return RequestedPart::Unsatisfiable,
            [Some(Some(first)), Some(Some(last))] if last < first => return RequestedPart::Unsatisfiable,
            _ => {}
        }
    }
    if specs.len() > 64 {
        return RequestedPart::Unsatisfiable;
    }
    let Some(start) = is_asked.iter().position(|asked| *asked) else { return RequestedPart::Unsatisfiable };
    let end = is_asked.iter().rposition(|asked| *asked).unwrap_or(start) + 1;
    match is_asked[start..end].iter().all(|asked| *asked) {
        true => RequestedPart::Range(start as u64..end as u64),
        false => RequestedPart::Whole,
    }
}

/// Writes any file name into `Content-Disposition`. The header must be well-formed for another parser, and no
/// client may take the name in it for a path, a hidden file or an empty name.
pub fn content_disposition(data: &[u8]) {
    let name = String::from_utf8_lossy(data);
    for ascii_only in [false, true] {
        let value = attachment(&name, ascii_only);
        let field = str::from_utf8(value.as_bytes()).unwrap();
        assert!(!field.contains(char::is_control), "{field:?}");
        assert!(field.is_ascii() || !ascii_only, "{field:?}");
        let (quoted, rest) = field.strip_prefix("attachment; filename=\"").unwrap().split_once('"').unwrap();
        assert!(!quoted.contains(['\\', '%']) && is_harmless(quoted), "{field:?}");
        let extended = rest.strip_prefix("; filename*=UTF-8''");
        let decoded = extended.map(|encoded| percent_decode_str(encoded).decode_utf8().unwrap());
        match &decoded {
            None => assert_eq!(rest, ""),
            Some(decoded) => {
                assert!(!extended.unwrap_or_default().contains([';', ',', '"', ' ', '\\']), "{field:?}");
                assert!(is_harmless(decoded), "{field:?}");
                assert_eq!(decoded.chars().count(), quoted.chars().count(), "{field:?}");
            }
        }
        if field.is_ascii() {
            let read = ContentDisposition::from_raw(&value).unwrap();
            assert_eq!(read.disposition, DispositionType::Attachment);
            assert_eq!(read.get_filename(), Some(quoted));
            let extended = read.get_filename_ext().map(|name| name.value.as_slice());
            assert_eq!(extended, decoded.as_ref().map(|name| name.as_bytes()));
        }
    }
}

/// Whether it is safe to save a file under this name.
fn is_harmless(name: &str) -> bool {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !name.is_empty()
        && !name.starts_with('.')
        && name.trim() == name
        && !name.contains(|c: char| c == '/' || c.is_control() || turns(c))
}
