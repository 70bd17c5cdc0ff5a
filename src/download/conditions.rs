//! Preconditions and ranges of a request (RFC 9110 sections 13 and 14).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{self, HeaderMap, HeaderName, HttpDate};

use crate::clock::Timestamp;
use crate::secret::{Digest, Secret};

/// The parsed preconditions and range of a request.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
    if_range: Option<IfRange>,
    range: Option<String>,
}

/// A list of entity tags, or `*`.
#[derive(Debug)]
enum Tags {
    Any,
    List(Vec<Tag>),
}

/// An entity tag as it was presented.
#[derive(Debug)]
struct Tag {
    /// The opaque part.
    opaque: Secret,
    /// The original tag, if a compressing proxy added a suffix.
    before_suffix: Option<Secret>,
    strong: bool,
}

/// How a presented tag relates to the file's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    /// It is the same tag.
    Same,
    /// A compressing proxy changed the tag. It identifies the client, but the client's bytes differ from
    /// ours.
    Altered,
    Other,
}

impl Tag {
    fn likeness(&self, current: &Digest) -> Likeness {
        match (&self.opaque, &self.before_suffix) {
            (opaque, _) if opaque.digest() == *current => {
                if self.strong {
                    Likeness::Same
                } else {
                    Likeness::Altered
                }
            }
            (_, Some(before)) if before.digest() == *current => Likeness::Altered,
            _ => Likeness::Other,
        }
    }

    /// Returns how this tag relates to the file's tag, if it does.
    fn original(&self, current: &Digest) -> Option<Secret> {
        [Some(&self.opaque), self.before_suffix.as_ref()]
            .into_iter()
            .flatten()
            .find(|tag| tag.digest() == *current)
            .cloned()
    }
}

#[derive(Debug)]
enum IfRange {
    Tag(Tag),
    Date(Timestamp),
    /// An invalid tag, which never matches.
    Never,
}

/// The result of evaluating the preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    Holds,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// The requested part of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestedPart {
    /// All of it: 200.
    Whole,
    /// One range: 206.
    Range(Range<u64>),
    /// 416
    Unsatisfiable,
}

impl Conditions {
    /// Parses the headers of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Conditions {
        // The first request after a click usually has none of them.
        Conditions {
            if_match: tags(headers, header::IF_MATCH),
            if_none_match: tags(headers, header::IF_NONE_MATCH),
            if_modified_since: text(headers, &header::IF_MODIFIED_SINCE).and_then(date),
            if_unmodified_since: text(headers, &header::IF_UNMODIFIED_SINCE).and_then(date),
            if_range: text(headers, &header::IF_RANGE).map(if_range),
            range: text(headers, &header::RANGE).map(str::to_owned),
        }
    }

    /// The same without the range.
    pub(crate) fn without_range(self) -> Conditions {
        Conditions { range: None, ..self }
    }

    /// Returns the resume key if the request contains the one with this digest, in `If-Range`, `If-Match` or
    /// `If-None-Match`. A compressing proxy may have made it weak or added a suffix.
    pub(crate) fn shown_key(&self, digest: &Digest) -> Option<Secret> {
        self.tags().find_map(|tag| tag.original(digest))
    }

    /// Returns whether the request contains a tag that could be a resume key.
    pub(crate) fn shows_a_tag(&self) -> bool {
        self.tags().next().is_some()
    }

    fn tags(&self) -> impl Iterator<Item = &Tag> {
        let if_range = match &self.if_range {
            Some(IfRange::Tag(tag)) => Some(tag),
            _ => None,
        };
        let lists = [&self.if_match, &self.if_none_match].into_iter().flat_map(|tags| match tags {
            Some(Tags::List(list)) => list.as_slice(),
            _ => &[],
        });
        if_range.into_iter().chain(lists)
    }

    /// Evaluates the preconditions in the order of RFC 9110 section 13.2.2. `current` is the
    /// digest of the file's strong entity tag; before the redemption there is none, so no tag
    /// matches and `*` does.
    pub(crate) fn evaluate(&self, current: Option<&Digest>, modified: Timestamp) -> Precondition {
        // A changed tag also matches in `If-Match`; then the whole file is sent, see `part`.
        let matches = |tags: &Tags| match tags {
            Tags::Any => true,
            Tags::List(list) => {
                current.is_some_and(|current| list.iter().any(|tag| tag.likeness(current) != Likeness::Other))
            }
        };
        let unchanged_as_expected = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => matches(tags),
            (None, Some(moment)) => modified <= moment,
            (None, None) => true,
        };
        if !unchanged_as_expected {
            return Precondition::Failed;
        }
        let client_has_it = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => matches(tags),
            (None, Some(moment)) => modified <= moment,
            (None, None) => false,
        };
        if client_has_it { Precondition::NotModified } else { Precondition::Holds }
    }

    /// Returns the requested part of a file with `len` bytes (RFC 9110 sections 13.1.5 and 14.2).
    pub(crate) fn part(&self, current: Option<&Digest>, modified: Timestamp, len: u64) -> RequestedPart {
        let Some(range) = &self.range else { return RequestedPart::Whole };
        let same = |tag: &Tag| current.is_some_and(|current| tag.likeness(current) == Likeness::Same);
        let as_known = match &self.if_range {
            None => match &self.if_match {
                Some(Tags::List(list)) => list.iter().any(same),
                _ => true,
            },
            Some(IfRange::Tag(tag)) => same(tag),
            Some(IfRange::Date(moment)) => *moment == modified,
            Some(IfRange::Never) => false,
        };
        if as_known { parse_range(range, len) } else { RequestedPart::Whole }
    }
}

/// Parses a `Range` header (RFC 9110 section 14.1) for a file with `len` bytes.
///
/// A unit other than `bytes` is ignored. An invalid header is refused rather than ignored, so that a client's
/// mistake doesn't spend the token. Several ranges are merged if they touch or overlap; otherwise they are
/// ignored and the whole file is sent, as the RFC allows.
pub(crate) fn parse_range(field: &str, len: u64) -> RequestedPart {
    let Some((unit, set)) = field.split_once('=') else { return RequestedPart::Unsatisfiable };
    if !unit.bytes().all(is_token_byte) || unit.is_empty() {
        return RequestedPart::Unsatisfiable;
    }
    if !unit.eq_ignore_ascii_case("bytes") {
        return RequestedPart::Whole;
    }
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut specs = 0;
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()) {
        specs += 1;
        match parse_spec(spec, len) {
            Ok(Some(range)) => ranges.push(range),
            Ok(None) => {}
            Err(Malformed) => return RequestedPart::Unsatisfiable,
        }
        if specs > MAX_SPECS {
            return RequestedPart::Unsatisfiable;
        }
    }
    ranges.sort_by_key(|range| range.start);
    let mut merged: Option<Range<u64>> = None;
    for range in ranges {
        merged = match merged {
            None => Some(range),
            Some(before) if range.start <= before.end => Some(before.start..before.end.max(range.end)),
            Some(_) => return RequestedPart::Whole,
        };
    }
    merged.map_or(RequestedPart::Unsatisfiable, RequestedPart::Range)
}

/// Returns whether a byte may occur in a token (RFC 9110 section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Maximum number of ranges; more are an attack (RFC 9110 section 17.15).
const MAX_SPECS: usize = 64;

struct Malformed;

/// Parses `first-last`, `first-` or `-suffix`; `None` if it lies outside the file.
fn parse_spec(spec: &str, len: u64) -> Result<Option<Range<u64>>, Malformed> {
    let (first, last) = spec.split_once('-').ok_or(Malformed)?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Ok((suffix > 0 && len > 0).then(|| len.saturating_sub(suffix)..len));
    }
    let first = number(first)?;
    let end = match last {
        "" => len,
        last => match number(last)? {
            last if last < first => return Err(Malformed),
            last => last.saturating_add(1).min(len),
        },
    };
    Ok((first < end).then_some(first..end))
}

/// Parses digits only; larger numbers than 64 bits saturate.
fn number(digits: &str) -> Result<u64, Malformed> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn date(text: &str) -> Option<Timestamp> {
    let moment = SystemTime::from(text.parse::<HttpDate>().ok()?);
    Some(Timestamp::from_secs(moment.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

/// Parses an HTTP date (RFC 9110 section 5.6.7).
pub(crate) fn http_date(moment: Timestamp) -> HttpDate {
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(moment.secs()))
}

fn if_range(text: &str) -> IfRange {
    match entity_tag(text.trim()) {
        Some(tag) => IfRange::Tag(tag),
        None => date(text).map_or(IfRange::Never, IfRange::Date),
    }
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Tags> {
    let mut list = Vec::new();
    let mut present = false;
    for value in headers.get_all(name) {
        present = true;
        let value = value.to_str().unwrap_or_default().trim();
        if value == "*" {
            return Some(Tags::Any);
        }
        // Our tags contain no commas, so it is harmless to misread a foreign tag that does.
        list.extend(value.split(',').filter_map(|tag| entity_tag(tag.trim())));
    }
    present.then_some(Tags::List(list))
}

/// Parses an entity tag (RFC 9110 section 8.8.3).
fn entity_tag(text: &str) -> Option<Tag> {
    let (quoted, strong) = match text.strip_prefix("W/") {
        Some(weak) => (weak, false),
        None => (text, true),
    };
    let tag = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if tag.contains('"') {
        return None;
    }
    Some(Tag {
        opaque: Secret::presented(tag),
        before_suffix: before_suffix(tag).map(Secret::presented),
        strong,
    })
}

/// Length of our tags: 16 bytes in base64url.
const TAG_LEN: usize = 22;
/// Maximum length of a suffix that a proxy adds, including the separator.
const LONGEST_SUFFIX: usize = 12;

/// Returns the tag without a suffix for compression that a proxy added: `-gzip` (Apache, Caddy), `--gzip`
/// (Jetty), `;gzip` and the like.
fn before_suffix(tag: &str) -> Option<&str> {
    let (before, suffix) = tag.split_at_checked(TAG_LEN)?;
    let name = suffix.trim_start_matches(['-', ';', ':', '+', '.', '/', '_']);
    let is_suffix = name.len() < suffix.len()
        && suffix.len() <= LONGEST_SUFFIX
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_suffix.then_some(before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_read_as_the_rfc_has_them() {
        let table: &[(&str, RequestedPart)] = &[
            ("bytes=0-0", RequestedPart::Range(0..1)),
            ("bytes=0-", RequestedPart::Range(0..10)),
            ("bytes=2-4", RequestedPart::Range(2..5)),
            ("bytes=9-99999999999999999999999", RequestedPart::Range(9..10)),
            ("bytes=-3", RequestedPart::Range(7..10)),
            ("bytes=-30", RequestedPart::Range(0..10)),
            ("BYTES= 1-2 ", RequestedPart::Range(1..3)),
            ("bytes=0-3,4-5", RequestedPart::Range(0..6)),
            ("bytes=5-6,0-5", RequestedPart::Range(0..7)),
            ("bytes=0-1,5-6", RequestedPart::Whole),
            ("items=0-1", RequestedPart::Whole),
            ("bytes=10-", RequestedPart::Unsatisfiable),
            ("bytes=-0", RequestedPart::Unsatisfiable),
            ("bytes=", RequestedPart::Unsatisfiable),
            ("bytes=4-2", RequestedPart::Unsatisfiable),
            ("bytes=a-b", RequestedPart::Unsatisfiable),
            ("bytes=0x1-2", RequestedPart::Unsatisfiable),
            ("bytes=--1", RequestedPart::Unsatisfiable),
            ("bytes=+1-2", RequestedPart::Unsatisfiable),
            ("bytes", RequestedPart::Unsatisfiable),
            ("bytes = 0-9", RequestedPart::Unsatisfiable),
            ("bytes =0-9", RequestedPart::Unsatisfiable),
            ("by tes=0-9", RequestedPart::Unsatisfiable),
            ("=0-9", RequestedPart::Unsatisfiable),
            ("bytes=20-30,1-1", RequestedPart::Range(1..2)),
        ];
        for (field, part) in table {
            assert_eq!(parse_range(field, 10), *part, "{field}");
        }
        assert_eq!(parse_range("bytes=0-", 0), RequestedPart::Unsatisfiable);
    }

    #[test]
    fn a_tag_that_a_compressing_proxy_altered_proves_the_client_and_never_a_range() {
        const KEY: &str = "AbC-_fghijklmnopqrstuv";
        let digest = Secret::presented(KEY).digest();
        let read = |name: HeaderName, tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, tag.parse().unwrap());
            headers.insert(header::RANGE, "bytes=2-".parse().unwrap());
            Conditions::of(&headers)
        };
        let modified = Timestamp::from_secs(1_795_000_000);
        let altered = [
            format!("W/\"{KEY}\""),
            format!("\"{KEY}-gzip\""),
            format!("\"{KEY};gzip\""),
            format!("\"{KEY}--gzip\""),
            format!("W/\"{KEY}-br\""),
            format!("\"{KEY}-zstd\""),
        ];
        for tag in &altered {
            for name in [header::IF_RANGE, header::IF_MATCH, header::IF_NONE_MATCH] {
                let conditions = read(name.clone(), tag);
                assert_eq!(conditions.shown_key(&digest).unwrap().reveal(), KEY, "{name} {tag}");
                if name != header::IF_NONE_MATCH {
                    assert_eq!(
                        conditions.evaluate(Some(&digest), modified),
                        Precondition::Holds,
                        "{name} {tag}"
                    );
                    assert_eq!(
                        conditions.part(Some(&digest), modified, 10),
                        RequestedPart::Whole,
                        "{name} {tag}"
                    );
                }
            }
            let conditions = read(header::IF_NONE_MATCH, tag);
            assert_eq!(conditions.evaluate(Some(&digest), modified), Precondition::NotModified);
        }
        for other in [
            format!("\"{KEY}gzip\""),
            format!("\"{KEY}-\""),
            format!("\"x{KEY}\""),
            format!("\"{KEY}-gzip-and-much-more\""),
            KEY.to_owned(),
        ] {
            assert!(read(header::IF_RANGE, &other).shown_key(&digest).is_none(), "{other}");
        }
        let same = read(header::IF_MATCH, &format!("\"{KEY}\""));
        assert_eq!(same.part(Some(&digest), modified, 10), RequestedPart::Range(2..10));
    }

    proptest! {
        #[test]
        fn a_single_range_agrees_with_a_wide_reference(first in prop::option::of("[0-9]{1,30}"), last in prop::option::of("[0-9]{1,30}"), len in 0u64..1 << 40) {
            let field = format!("bytes={}-{}", first.as_deref().unwrap_or(""), last.as_deref().unwrap_or(""));
            let (first, last) = (first.map(|f| f.parse::<u128>().unwrap()), last.map(|l| l.parse::<u128>().unwrap()));
            let wide = u128::from(len);
            let expected = match (first, last) {
                (None, None) => None,
                (None, Some(suffix)) => Some((wide.saturating_sub(suffix), wide)).filter(|_| suffix > 0),
                (Some(f), None) => Some((f, wide)),
                (Some(f), Some(l)) if l < f => None,
                (Some(f), Some(l)) => Some((f, wide.min(l + 1))),
            };
            let expected = expected.filter(|(start, end)| start < end).map_or(RequestedPart::Unsatisfiable, |(start, end)| RequestedPart::Range(start as u64..end as u64));
            prop_assert_eq!(parse_range(&field, len), expected);
        }

        #[test]
        fn a_range_never_leaves_the_file(field in "(bytes=)?[-0-9, a=]{0,24}", len in 0u64..100) {
            if let RequestedPart::Range(range) = parse_range(&field, len) {
                prop_assert!(range.start < range.end && range.end <= len);
            }
        }
    }
}
