//! Mails from the outbox, read the way a mail client reads them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A mail.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// The header unchanged, with folded lines joined.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Mail {
    pub(crate) fn parse(raw: &str) -> Mail {
        let (headers, body) = part(raw);
        let kind = find(&headers, "content-type");
        let boundary = kind.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
        let boundary = boundary.unwrap_or_else(|| panic!("no alternatives: {kind}"));
        let (mut text, mut html) = (String::new(), String::new());
        for piece in body.split(&format!("--{boundary}")).skip(1) {
            let (inner, body) = part(piece.trim_start_matches("\r\n"));
            let decoded = decode(&find(&inner, "content-transfer-encoding"), &body);
            match find(&inner, "content-type") {
                kind if kind.starts_with("text/plain") => text = decoded,
                kind if kind.starts_with("text/html") => html = decoded,
                _ => {}
            }
        }
        Mail { headers, text, html }
    }

    pub(crate) fn header(&self, name: &str) -> String {
        find(&self.headers, name)
    }

    /// The text without its line breaks.
    pub(crate) fn prose(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The only link in the text, which is alone on its line.
    pub(crate) fn link(&self) -> String {
        let links: Vec<&str> = self.text.lines().map(str::trim).filter(|line| line.contains("://")).collect();
        assert!(!links.is_empty(), "no link in {}", self.text);
        links[0].to_owned()
    }

    /// The link without scheme and host.
    pub(crate) fn path(&self) -> String {
        let link = self.link();
        let at = link.find("://").unwrap() + 3;
        link[at + link[at..].find('/').unwrap()..].to_owned()
    }
}

/// The mails in an outbox, oldest first.
pub(crate) fn outbox(folder: &Path) -> Vec<Mail> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    // A file that is being written has another name, and may disappear at any time.
    let whole = files.map(|file| file.unwrap().path());
    let mut whole: Vec<_> = whole.filter(|path| path.extension().is_some_and(|kind| kind == "eml")).collect();
    whole.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
    whole.iter().map(|path| Mail::parse(&std::fs::read_to_string(path).unwrap())).collect()
}

fn part(raw: &str) -> (Vec<(String, String)>, String) {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((raw, ""));
    let joined = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = joined.lines().filter_map(|line| line.split_once(": "));
    (headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(), body.to_owned())
}

fn find(headers: &[(String, String)], name: &str) -> String {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn decode(encoding: &str, body: &str) -> String {
    match encoding {
        "base64" => {
            let packed: String = body.split_whitespace().collect();
            String::from_utf8(STANDARD.decode(packed).unwrap()).unwrap()
        }
        "quoted-printable" => {
            let body = body.replace("=\r\n", "");
            let mut bytes = Vec::new();
            let mut rest = body.as_bytes();
            while let Some((&byte, after)) = rest.split_first() {
                if byte == b'=' && after.len() >= 2 {
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                    rest = &after[2..];
                } else {
                    bytes.push(byte);
                    rest = after;
                }
            }
            String::from_utf8(bytes).unwrap()
        }
        _ => body.to_owned(),
    }
}
