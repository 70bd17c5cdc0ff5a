//! Untrusted text that is parsed into a type: paths, names, recipients, client addresses.

use std::net::IpAddr;
use std::path::{Component, Path};
use std::sync::LazyLock;

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use oncelink::client_address::ClientAddresses;
use oncelink::config::ProxyHeader;
use oncelink::id::FilePath;
use oncelink::web::http::local_path::LocalPath;
use oncelink::web::identity::Email;
use oncelink::web::identity::address::deliverable;
use oncelink::web::links::recipients::{self, RECIPIENTS_MAX};
use oncelink::web::shares::name::FileName;
use url::Url;

/// Parses any text as a file path, a file name and a path to go to after logging in.
pub fn path(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    file_path(text);
    for name in [FileName::typed(text), FileName::uploaded(text)].into_iter().flatten() {
        file_name(&name);
    }
    local_path(text);
}

/// A file path is written as it was read, and leads to something in its share.
fn file_path(text: &str) {
    let Ok(path) = text.parse::<FilePath>() else { return };
    assert_eq!(path.to_string(), text);
    assert_eq!(path.as_str().parse(), Ok(path.clone()));
    let json = serde_json::to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<FilePath>(&json).unwrap(), path);
    // The operating system, too, sees only the root and normal names.
    let mut parts = Path::new(text).components();
    assert_eq!(parts.next(), Some(Component::RootDir));
    let names: Vec<&str> = path.components().collect();
    assert!(parts.eq(names.iter().map(|name| Component::Normal(name.as_ref()))), "{text:?}");
    assert!(!names.is_empty() && !names.contains(&".oncelink"));
    assert_eq!(path.share(), names[0]);
    assert_eq!(path.name(), names[names.len() - 1]);
    assert_eq!(path.within_share(), names[1..].join("/"));
    match path.parent() {
        Some(parent) => assert_eq!(parent.join(path.name()), Ok(path.clone())),
        None => assert_eq!(names.len(), 1),
    }
    assert!(!format!("{path:?}").contains(char::is_control), "a log line stays one line");
}

/// A file name, with and without a number, is one component of a path, and is accepted again as it is.
fn file_name(name: &FileName) {
    let share: FilePath = "/share".parse().unwrap();
    for name in [name.clone(), name.numbered(2), name.numbered(u32::MAX)] {
        let text = name.as_str();
        assert_eq!(share.join(text).unwrap().name(), text);
        assert_eq!(text.trim(), text);
        assert!(!text.contains(|c: char| c == '\\' || c.is_control()), "{text:?}");
        assert_eq!(FileName::typed(text), Ok(name.clone()));
        assert_eq!(FileName::uploaded(text), Ok(name));
    }
}

/// A browser that follows a local path stays on this site.
fn local_path(text: &str) {
    static HERE: LazyLock<Url> = LazyLock::new(|| Url::parse("https://files.example/login?next=x").unwrap());
    let Some(path) = LocalPath::parse(text) else { return };
    let path = path.as_str();
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    assert!(HeaderValue::from_str(path).is_ok());
    let there = HERE.join(path).unwrap();
    assert_eq!(there.origin(), HERE.origin(), "{text:?}");
    assert!(there.username().is_empty());
    if let Some(again) = LocalPath::parse(path) {
        assert_eq!(again.as_str(), path);
    }
}

/// Parses any text as a list of recipients. Each address must be deliverable and unique, an entry that can't
/// be parsed must refuse the whole list, and nothing on one line may hide an address on the next.
pub fn recipients(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    const NEXT: &str = "the.next.one@example.org";
    let and_next = recipients::parse(&format!("{text}\n{NEXT}"));
    match recipients::parse(text) {
        Ok(emails) => {
            assert!(emails.len() <= RECIPIENTS_MAX);
            let mut keys: Vec<&str> = emails.iter().map(Email::key).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), emails.len(), "each once");
            for email in &emails {
                assert_eq!(email.as_str().parse().as_ref(), Ok(email));
                assert!(deliverable(email.as_str()).is_ok(), "{email}");
                assert!(!email.as_str().contains(|c: char| c.is_control() || c.is_whitespace() || c == ','));
            }
            if emails.len() < RECIPIENTS_MAX {
                let more = and_next.unwrap();
                assert_eq!(more[..emails.len()], emails);
                assert!(more.iter().any(|email| email.key() == NEXT));
            }
            // Parsing the resulting list again changes nothing, except that an apostrophe which `mailto:%27`
            // put at the start of an address is then a quote.
            let rewritten: Vec<&str> = emails.iter().map(Email::as_str).collect();
            if !rewritten.iter().any(|email| email.starts_with('\'')) {
                assert_eq!(recipients::parse(&rewritten.join("\n")), Ok(emails));
            }
        }
        Err(sentences) => {
            assert!((1..=21).contains(&sentences.len()));
            for sentence in &sentences {
                assert!(!sentence.contains(char::is_control) && sentence.len() < 1_000, "{sentence:?}");
            }
            assert!(and_next.is_err());
        }
    }
}

/// A trusted proxy, and the client that it reports.
const PROXY: &str = "10.0.0.1";
const CLIENT: &str = "192.0.2.1";

/// Reads any value of the headers that name a client. From an untrusted peer they must be ignored, and what a
/// client sends must not change how the entry that a trusted proxy appends to it is read.
pub fn client_address(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let x_forwarded_for = HeaderName::from_static("x-forwarded-for");
    let (proxy, client): (IpAddr, IpAddr) = (PROXY.parse().unwrap(), CLIENT.parse().unwrap());
    for (header, name, own) in [
        (ProxyHeader::XForwardedFor, x_forwarded_for, CLIENT.to_owned()),
        (ProxyHeader::Forwarded, FORWARDED, format!("for=\"{CLIENT}:4711\";proto=https")),
    ] {
        let addresses = ClientAddresses::new(&["10.0.0.0/8".parse().unwrap()], header, "web");
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), value.clone());
        let stranger = addresses.caller(Some(client), &headers);
        assert_eq!((stranger.counted_as, stranger.proxied), (client, false));
        assert!(stranger.address.is_none_or(|address| address == client));
        let through = addresses.caller(Some(proxy), &headers);
        assert!(through.proxied && through.address.is_none_or(|address| address == through.counted_as));
        assert_eq!(through.counted_as, through.counted_as.to_canonical());

        // The proxy may append to the line or add a line.
        let own = HeaderValue::from_str(&own).unwrap();
        let one_line = [value.as_bytes(), b", ", own.as_bytes()].concat();
        let mut joined = HeaderMap::new();
        joined.insert(name.clone(), HeaderValue::from_bytes(&one_line).unwrap());
        headers.append(name, own);
        for headers in [headers, joined] {
            let caller = addresses.caller(Some(proxy), &headers);
            assert_eq!((caller.address, caller.counted_as), (Some(client), client), "{headers:?}");
        }
    }
}
