//! Which files a browser may show in place, and as which type. The web app offers views by this list and the
//! download service serves them by it, so they can't disagree.
//!
//! The ending of the name decides, never the content. Nothing that a browser could run is in the list: HTML,
//! SVG and XML are missing, and whatever is text is sent as plain text. SVG would be harmless as a picture in
//! a page, but the same address opened by itself would be a document.

/// Text larger than this isn't offered: a browser would load all of it before showing any.
const TEXT_MAX: u64 = 16 * 1024 * 1024;

/// How a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewKind {
    /// As a picture.
    Picture,
    /// By the browser's own PDF viewer.
    Pdf,
    /// As plain text.
    Text,
    /// By an audio player.
    Audio,
    /// By a video player.
    Video,
}

/// How a file is shown, and its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewable {
    /// How it is shown.
    pub kind: ViewKind,
    /// Its content type.
    pub content_type: &'static str,
}

/// Returns how a file of this name is shown; `None` if it isn't in the list. A PDF is in it only if both
/// services have origins of their own, because browsers show none in a sandbox.
pub fn of(name: &str, two_origins: bool) -> Option<Viewable> {
    use ViewKind::{Audio, Pdf, Picture, Text, Video};
    let (_, ending) = name.rsplit_once('.')?;
    let (kind, content_type) = match ending.to_ascii_lowercase().as_str() {
        "png" => (Picture, "image/png"),
        "jpg" | "jpeg" | "jfif" => (Picture, "image/jpeg"),
        "gif" => (Picture, "image/gif"),
        "webp" => (Picture, "image/webp"),
        "avif" => (Picture, "image/avif"),
        "bmp" => (Picture, "image/bmp"),
        "pdf" if two_origins => (Pdf, "application/pdf"),
        "txt" | "text" | "log" | "md" | "markdown" | "rst" | "adoc" | "nfo" | "csv" | "tsv" | "json"
        | "toml" | "yaml" | "yml" | "ini" | "conf" | "cfg" | "diff" | "patch" | "srt" | "vtt" | "tex"
        | "bib" | "sql" | "rs" | "py" | "c" | "h" | "cpp" | "hpp" | "go" | "java" | "rb" => {
            (Text, "text/plain; charset=utf-8")
        }
        "mp3" => (Audio, "audio/mpeg"),
        "m4a" => (Audio, "audio/mp4"),
        "aac" => (Audio, "audio/aac"),
        "ogg" | "oga" | "opus" => (Audio, "audio/ogg"),
        "wav" => (Audio, "audio/wav"),
        "flac" => (Audio, "audio/flac"),
        "mp4" | "m4v" => (Video, "video/mp4"),
        "webm" => (Video, "video/webm"),
        "ogv" => (Video, "video/ogg"),
        "mov" => (Video, "video/quicktime"),
        _ => return None,
    };
    Some(Viewable { kind, content_type })
}

/// Returns whether a view of a file should be offered.
pub fn is_offered(name: &str, size: u64, two_origins: bool) -> bool {
    of(name, two_origins).is_some_and(|viewable| viewable.kind != ViewKind::Text || size <= TEXT_MAX)
}

/// Returns the origin of an address: scheme, host and port, in lower case and without the scheme's own port
/// (RFC 6454). `None` if it is not a web address.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let own_port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    // Whatever else an address may contain would be a word of its own in a policy.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(is_plain) {
        return None;
    }
    let authority = authority.strip_suffix(own_port).unwrap_or(&authority);
    Some(format!("{scheme}://{authority}"))
}

/// Returns whether these addresses certainly belong to different origins.
pub fn are_two_origins(a: &str, b: &str) -> bool {
    matches!((origin(a), origin(b)), (Some(a), Some(b)) if a != b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_browser_runs_is_in_the_list() {
        for name in [
            "a.html",
            "a.htm",
            "a.xhtml",
            "a.shtml",
            "a.svg",
            "a.svgz",
            "a.xml",
            "a.xsl",
            "a.rss",
            "a.mhtml",
            "a.js",
            "a.mjs",
            "a.css",
            "a.wasm",
            "a.swf",
            "a.hta",
            "a.php",
            "a.exe",
            "a.zip",
            "a.docx",
            "a.eml",
            "a",
            "",
            ".",
            "png",
            "a.png.html",
            "a.txt ",
            "a.txt\u{202e}",
        ] {
            assert_eq!(of(name, true), None, "{name}");
        }
    }

    #[test]
    fn text_is_always_plain_and_pictures_sounds_and_films_are_what_they_are_called() {
        for (name, content_type) in [
            ("page.html.txt", "text/plain; charset=utf-8"),
            ("a.MD", "text/plain; charset=utf-8"),
            ("a.json", "text/plain; charset=utf-8"),
            ("我.PNG", "image/png"),
            ("a.b.jpeg", "image/jpeg"),
            ("a.opus", "audio/ogg"),
            ("a.mp4", "video/mp4"),
            ("a.pdf", "application/pdf"),
        ] {
            assert_eq!(of(name, true).map(|viewable| viewable.content_type), Some(content_type), "{name}");
        }
        assert_eq!(of("a.pdf", false), None, "a sandbox can't show it");
        assert!(is_offered("a.txt", TEXT_MAX, false) && !is_offered("a.txt", TEXT_MAX + 1, false));
        assert!(is_offered("a.mp4", u64::MAX, false) && !is_offered("a.bin", 1, true));
    }

    #[test]
    fn origins_are_compared_as_browsers_do() {
        assert_eq!(origin("HTTPS://Files.Example:443/a/b?c"), Some("https://files.example".to_owned()));
        assert_eq!(origin("http://[::1]:8080"), Some("http://[::1]:8080".to_owned()));
        for wrong in [
            "",
            "files.example",
            "ftp://files.example",
            "https://",
            "https://a b",
            "https://a;b",
            "https://u@a",
        ] {
            assert_eq!(origin(wrong), None, "{wrong}");
        }
        assert!(are_two_origins("http://127.0.0.1:8080", "http://127.0.0.1:8081"));
        assert!(are_two_origins("https://a.example", "http://a.example"));
        assert!(!are_two_origins("https://a.example/", "https://A.example:443/download"));
        assert!(!are_two_origins("https://a.example", "nonsense"), "if in doubt, it is one");
    }
}
