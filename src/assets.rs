//! The style sheets, images and scripts of the pages, embedded in the binary.
//!
//! The web app serves them at addresses that contain a hash of their content, so that browsers can
//! cache them indefinitely. The download service has another origin; it inlines its style and allows
//! it by its hash. Styles that both share are in `base.css`.

use std::io::Write;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The `Cache-Control` value of an [`Asset`]: its address changes with its content.
pub const CACHE_FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A static file of the pages.
#[derive(Debug)]
pub struct Asset {
    /// Its file name, the last part of its address.
    pub name: &'static str,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// Its content with gzip, if that is shorter.
    pub gzip: Option<Bytes>,
    /// The path at which the web app serves it, `/static/{hash}/{name}`. It changes with the content.
    pub url: String,
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
        Asset { name, content_type, bytes, gzip: gzip(bytes), url: address(&content_hash(bytes), name) }
    }

    fn style(name: &'static str, source: &str) -> Asset {
        Asset::new(name, "text/css; charset=utf-8", tightened(&compacted(source)).leak().as_bytes())
    }

    fn script(name: &'static str, source: &str) -> Asset {
        // Lives as long as the process, like the files that are embedded as they are.
        Asset::new(name, "text/javascript; charset=utf-8", compacted(source).leak().as_bytes())
    }
}

/// Returns the content with gzip, if that is shorter. It is done once, so it may take its time.
fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().filter(|gzip| gzip.len() < bytes.len()).map(Bytes::from)
}

/// Returns a script or style sheet without indentation, empty lines and lines that only have a comment: a quarter of its size.
fn compacted(source: &str) -> String {
    let mut all = String::with_capacity(source.len());
    for line in source.lines().map(str::trim) {
        let is_comment = line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
        if !line.is_empty() && !is_comment {
            all.push_str(line);
            all.push('\n');
        }
    }
    all
}

/// Returns a style sheet without the spaces and line breaks that mean nothing, except within quotation marks.
fn tightened(css: &str) -> String {
    let mut all = String::with_capacity(css.len());
    let (mut quoted, mut space) = (false, false);
    for c in css.chars() {
        if !quoted && c.is_ascii_whitespace() {
            space = true;
            continue;
        }
        let is_apart =
            !all.ends_with(['{', '}', ';', ',', ':']) && !all.is_empty() && !matches!(c, '{' | '}');
        if std::mem::take(&mut space) && is_apart {
            all.push(' ');
        }
        quoted ^= c == '"';
        all.push(c);
    }
    all
}

const ICONS_SVG: &str = include_str!("../templates/static/icons.svg");
const BASE_CSS: &str = include_str!("../templates/static/base.css");

/// The style sheet of the web app's pages.
pub static WEB_STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let css =
        concat!(include_str!("../templates/static/base.css"), include_str!("../templates/static/web.css"));
    Asset::style("oncelink.css", css)
});

/// The style sheet of lists of files, which only the pages with one need.
pub static LISTING_STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::style("listing.css", include_str!("../templates/static/listing.css")));

/// The style sheet of the start page, of the pages for sharing, sending and receiving files, and of the page for
/// strangers.
pub static SHARING_STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::style("sharing.css", include_str!("../templates/static/sharing.css")));

/// The icons for file types, as symbols in one SVG file.
pub static ICONS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icons.svg", "image/svg+xml", ICONS_SVG.as_bytes()));

/// The icon that browsers show in a tab.
pub static FAVICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("favicon.svg", "image/svg+xml", include_bytes!("../templates/static/favicon.svg"))
});

/// The script that all pages which send files build on.
pub static SENDING_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("sending.js", include_str!("../templates/static/sending.js")));

/// The script that uploads files from a folder's page.
pub static UPLOAD_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("upload.js", include_str!("../templates/static/upload.js")));

/// The script that shows times in the viewer's time zone and language, which every page has.
pub static TIMES_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("times.js", "text/javascript; charset=utf-8", TIMES_JS.as_bytes()));

/// The source of [`TIMES_SCRIPT`], which the download service inlines into its pages.
pub const TIMES_JS: &str = include_str!("../templates/static/times.js");

/// The CSP source that allows exactly [`TIMES_JS`] as an inlined script.
pub static TIMES_SCRIPT_SOURCE: LazyLock<String> = LazyLock::new(|| hash_source(TIMES_JS));

/// The script that helps to choose an expiry date and copies links.
pub static LINKS_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("links.js", include_str!("../templates/static/links.js")));

/// The script that updates the pages of a link's owner.
pub static LIVE_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("live.js", include_str!("../templates/static/live.js")));

/// The script that updates the public page of a link.
pub static PUBLIC_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("public.js", include_str!("../templates/static/public.js")));

/// The script that sends files from the public page of a file request.
pub static GUEST_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("guest.js", include_str!("../templates/static/guest.js")));

/// The script that keeps what is selected in a list, and has its keyboard shortcuts.
pub static SELECT_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("select.js", include_str!("../templates/static/select.js")));

/// The script that copies a link to a file of a list with one click.
pub static QUICK_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("quick.js", include_str!("../templates/static/quick.js")));

/// The script that keeps a dropped file from replacing a page that accepts no files.
pub static DROP_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("drop.js", include_str!("../templates/static/drop.js")));

/// The script of a public link whose files are still being uploaded.
pub static WAITING_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("waiting.js", include_str!("../templates/static/waiting.js")));

/// The script of the page that waits for a ZIP file.
pub static ZIP_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("zip.js", include_str!("../templates/static/zip.js")));

/// The script that turns what is dropped on the start page into a link.
pub static SHEET_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("sheet.js", include_str!("../templates/static/sheet.js")));

/// Returns the asset at `/static/{hash}/{name}`, if it exists.
pub fn find(hash: &str, name: &str) -> Option<&'static Asset> {
    let url = address(hash, name);
    let all = [
        &WEB_STYLE,
        &LISTING_STYLE,
        &SHARING_STYLE,
        &ICONS,
        &FAVICON,
        &TIMES_SCRIPT,
        &SENDING_SCRIPT,
        &UPLOAD_SCRIPT,
        &LINKS_SCRIPT,
        &LIVE_SCRIPT,
        &PUBLIC_SCRIPT,
        &GUEST_SCRIPT,
        &DROP_SCRIPT,
        &SELECT_SCRIPT,
        &QUICK_SCRIPT,
        &WAITING_SCRIPT,
        &SHEET_SCRIPT,
        &ZIP_SCRIPT,
    ];
    all.into_iter().map(|asset| &**asset).find(|asset| asset.url == url)
}

/// Returns the hash of a file in its address.
pub fn content_hash(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    // 96 bits are enough to distinguish versions of a file; more would only lengthen every page.
    URL_SAFE_NO_PAD.encode(digest.as_ref()).chars().take(16).collect()
}

/// Returns the path of a file with this hash: `/static/{hash}/{name}`.
pub fn address(hash: &str, name: &str) -> String {
    format!("/static/{hash}/{name}")
}

/// Returns an icon from [`ICONS`] by its id, as an element that needs no other file. Returns the empty
/// string for an unknown id.
pub fn inline_icon(id: &str) -> String {
    let symbol = ICONS_SVG.split_once(&format!("<symbol id=\"{id}\"")).map_or("", |(_, rest)| rest);
    match symbol.split_once("</symbol>") {
        Some((symbol, _)) => format!("<svg class=\"icon\" aria-hidden=\"true\"{symbol}</svg>"),
        None => String::new(),
    }
}

/// [`FAVICON`] as a `data:` URL.
pub static FAVICON_DATA: LazyLock<String> =
    LazyLock::new(|| format!("data:image/svg+xml;base64,{}", STANDARD.encode(FAVICON.bytes)));

/// The style that the download service inlines into its pages.
pub fn inline_style() -> &'static str {
    BASE_CSS
}

/// Returns the CSP source that allows exactly this inlined text: `'sha256-…'`.
pub fn hash_source(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    format!("'sha256-{}'", STANDARD.encode(digest.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_found_under_its_own_address_only() {
        let hash = WEB_STYLE.url.split('/').nth(2).unwrap();
        assert_eq!(find(hash, "oncelink.css").map(|asset| asset.name), Some("oncelink.css"));
        assert!(find(hash, "icons.svg").is_none());
        assert!(find("", "oncelink.css").is_none());
    }

    #[test]
    fn a_style_sheet_loses_what_means_nothing_only() {
        let source = "a :hover { content: \"x;  { y\"; margin: 0 1px }\n@media (a) {\n  b, c { d: e; }\n}\n";
        let tight = "a :hover{content:\"x;  { y\";margin:0 1px}@media (a){b,c{d:e;}}";
        assert_eq!(tightened(&compacted(source)), tight);
        for style in [&WEB_STYLE, &LISTING_STYLE, &SHARING_STYLE] {
            let text = std::str::from_utf8(style.bytes).unwrap();
            assert_eq!(text.matches('"').count() % 2, 0);
            assert_eq!(text.matches('{').count(), text.matches('}').count());
        }
    }

    #[test]
    fn a_script_loses_its_comments_and_indentation_only() {
        let source = "// Why.\n(() => {\n\n  /** What. */\n  const url = \"https://x\"; // kept\n})();\n";
        assert_eq!(compacted(source), "(() => {\nconst url = \"https://x\"; // kept\n})();\n");
    }

    #[test]
    fn a_style_put_into_a_page_cannot_end_its_element() {
        assert!(!inline_style().contains('<'));
        assert!(!inline_style().contains('\r'), "HTML would turn it into a line feed and break the hash");
    }
}
