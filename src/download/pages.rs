//! The two pages of the download service: one asks for confirmation before a link is used, the other explains
//! a refusal.
//!
//! They need no other files, because the download service may run alone: the style is inlined and allowed by
//! its hash (see [`content_security_policy`]).

use std::borrow::Cow;
use std::sync::Arc;

use askama::Template;

use crate::assets;
use crate::brand::Brand;
use crate::clock::Timestamp;
use crate::human;

/// The policy for these pages: it allows only the inlined style and script, inlined pictures, and a form to
/// this origin.
pub fn content_security_policy(brand: &Brand) -> String {
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'self'",
        *assets::TIMES_SCRIPT_SOURCE,
        brand.page_style_source()
    )
}

/// What refusal pages show besides the refusal.
#[derive(Clone, Debug)]
pub struct PageFrame<'a> {
    /// The operator's name, logo, color and support address.
    pub brand: Arc<Brand>,
    /// The web app's address; empty if unknown.
    pub web_url: &'a str,
}

/// `GET /d/{token}` of a token with `confirm`: shows one button, which posts to `action`. Showing this page
/// spends nothing.
#[derive(Clone, Debug, Template)]
#[template(path = "download/confirm.html")]
pub struct ConfirmPage {
    /// The operator's name, logo, color and support address.
    pub brand: Arc<Brand>,
    /// The name to save as.
    pub file_name: String,
    /// Bytes.
    pub size: u64,
    /// When the token expires.
    pub until: Timestamp,
    /// The current time.
    pub now: Timestamp,
    /// The address of the form: `/d/{token}`.
    pub action: String,
}

impl ConfirmPage {
    fn shown_name(&self) -> Cow<'_, str> {
        human::name(&self.file_name)
    }

    fn icon(&self) -> String {
        assets::inline_icon(human::icon(&self.file_name))
    }

    fn left(&self) -> String {
        human::span(self.until.since(self.now).as_secs())
    }

    /// A page with a hostile file name.
    pub fn sample() -> ConfirmPage {
        ConfirmPage {
            brand: Brand::built_in(),
            file_name: "我这一辈子 <script>alert(1)</script> \u{202e}fdp.exe".to_owned(),
            size: 12_345_678,
            until: Timestamp::from_secs(1_795_340_096 + 7200),
            now: Timestamp::from_secs(1_795_340_096),
            action: "/d/eyJ\"><script>".to_owned(),
        }
    }
}

/// The reasons for a refusal, which are the RFC 9457 problem types of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// `invalid-token`
    InvalidToken,
    /// `expired-token`
    ExpiredToken,
    /// `used-token`
    UsedToken,
    /// `revoked-token`
    RevokedToken,
    /// `file-not-found`
    FileNotFound,
    /// `file-unavailable`: its share is unavailable, or the disk fails.
    FileUnavailable,
    /// `file-changed`
    FileChanged,
    /// `not-viewable`: not a kind of file that is shown in a browser.
    NotViewable,
    /// `range-not-satisfiable`
    RangeNotSatisfiable,
    /// `store-unavailable`
    StoreUnavailable,
    /// `too-many-requests`
    TooManyRequests,
    /// No such address on this service.
    NoSuchPage,
    /// The address doesn't support this method.
    MethodNotAllowed,
    /// `prefetch-refused`: not a click of a person.
    Prefetch,
    /// A precondition of the request failed.
    PreconditionFailed,
    /// Any other error.
    Fault,
}

impl RefusalReason {
    /// All reasons.
    pub const ALL: [RefusalReason; 16] = [
        RefusalReason::InvalidToken,
        RefusalReason::ExpiredToken,
        RefusalReason::UsedToken,
        RefusalReason::RevokedToken,
        RefusalReason::FileNotFound,
        RefusalReason::FileUnavailable,
        RefusalReason::FileChanged,
        RefusalReason::NotViewable,
        RefusalReason::RangeNotSatisfiable,
        RefusalReason::StoreUnavailable,
        RefusalReason::TooManyRequests,
        RefusalReason::NoSuchPage,
        RefusalReason::MethodNotAllowed,
        RefusalReason::Prefetch,
        RefusalReason::PreconditionFailed,
        RefusalReason::Fault,
    ];

    /// Returns the stable name of the reason: a problem's `type` (RFC 9457 section 3.1.1), or `about:blank`
    /// if the status is sufficient.
    pub const fn slug(self) -> &'static str {
        match self {
            RefusalReason::InvalidToken => "invalid-token",
            RefusalReason::ExpiredToken => "expired-token",
            RefusalReason::UsedToken => "used-token",
            RefusalReason::RevokedToken => "revoked-token",
            RefusalReason::FileNotFound => "file-not-found",
            RefusalReason::FileUnavailable => "file-unavailable",
            RefusalReason::FileChanged => "file-changed",
            RefusalReason::NotViewable => "not-viewable",
            RefusalReason::RangeNotSatisfiable => "range-not-satisfiable",
            RefusalReason::StoreUnavailable => "store-unavailable",
            RefusalReason::TooManyRequests => "too-many-requests",
            RefusalReason::Prefetch => "prefetch-refused",
            RefusalReason::NoSuchPage
            | RefusalReason::MethodNotAllowed
            | RefusalReason::PreconditionFailed
            | RefusalReason::Fault => "about:blank",
        }
    }

    /// The headline.
    pub const fn headline(self) -> &'static str {
        self.words().0
    }

    /// Returns what happened, in a sentence or two.
    pub const fn what(self) -> &'static str {
        self.words().1
    }

    /// Returns the headline, what happened, and what to do now.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            RefusalReason::InvalidToken => (
                "This link is not valid",
                "The link is incomplete or was changed, so we can't tell which file it is for.",
                "Copy the whole link again, up to its last character. If that doesn't help, get a new link.",
            ),
            RefusalReason::ExpiredToken => (
                "This link has expired",
                "Links can be used for a limited time only.",
                "To get a new one, click Download again in your files, or ask the person who sent you this link.",
            ),
            RefusalReason::UsedToken => (
                "This link was already used",
                "A link works once, and someone has already downloaded the file with this one. \
                 If it was you, check your browser's downloads.",
                "To get a new one, click Download again in your files, or ask the person who sent you this link. If it wasn't you who used it, let them know.",
            ),
            RefusalReason::RevokedToken => (
                "This link is no longer available",
                "It was revoked before it was used up.",
                "If you still need the file, ask the person who sent you the link.",
            ),
            RefusalReason::FileNotFound => (
                "The file is missing",
                "Your link still works, but the file was moved, renamed or deleted.",
                "Try again later, or ask the person who sent you the link.",
            ),
            RefusalReason::FileUnavailable => (
                "The file is not available right now",
                "Your link still works, but the disk with the file can't be reached right now.",
                "Try again in a few minutes, or ask the person who sent you the link.",
            ),
            RefusalReason::FileChanged => (
                "The file has changed",
                "This link is for an earlier version of the file. It wasn't used up, but it can't download the new version.",
                "Get a new link for the current version.",
            ),
            RefusalReason::NotViewable => (
                "This file can't be viewed here",
                "Only pictures, PDF, plain text, audio and video are shown in the browser.",
                "Download the file instead.",
            ),
            RefusalReason::RangeNotSatisfiable => (
                "That part of the file does not exist",
                "Your program asked for data beyond the end of the file. The link wasn't used up.",
                "Delete the partial file and start the download again.",
            ),
            RefusalReason::StoreUnavailable => (
                "Downloads are paused for a moment",
                "We can't check right now whether this link was already used, so we can't send the file. \
                 The link wasn't used up.",
                "Wait a moment, then open the same link again.",
            ),
            RefusalReason::TooManyRequests => (
                "Too many attempts",
                "Too many requests came from your network in a short time.",
                "Wait a minute, then open the same link again.",
            ),
            RefusalReason::NoSuchPage => (
                "Page not found",
                "This address is not a download link.",
                "Check the address, or get a new link.",
            ),
            RefusalReason::MethodNotAllowed => (
                "This doesn't work here",
                "This address doesn't support this kind of request.",
                "Open the link in a browser.",
            ),
            RefusalReason::Prefetch => (
                "Not fetched in the background",
                "Your browser, or a page in it, tried to open this link without a click. The link wasn't used up.",
                "Open the link in its own tab to start the download.",
            ),
            RefusalReason::PreconditionFailed => (
                "The file is not as expected",
                "Your program asked for another version of the file. The link wasn't used up.",
                "Start the download again.",
            ),
            RefusalReason::Fault => (
                "Something went wrong",
                "The request failed because of an error on our side.",
                "Try the same link again in a moment. If it keeps failing, get a new link.",
            ),
        }
    }
}

/// The page that explains a refusal and how to get a new link.
#[derive(Clone, Debug, Template)]
#[template(path = "download/refused.html")]
pub struct RefusedPage {
    /// The operator's name, logo, color and support address.
    pub brand: Arc<Brand>,
    /// The status code.
    pub status: u16,
    /// Why.
    pub reason: RefusalReason,
    /// Seconds to wait, if the response has `Retry-After`.
    pub retry_after: Option<u64>,
    /// The web app's address, if known.
    pub web_url: Option<String>,
}

impl RefusedPage {
    fn headline(&self) -> &'static str {
        self.reason.headline()
    }

    fn what(&self) -> &'static str {
        self.reason.what()
    }

    fn next(&self) -> Cow<'static, str> {
        match self.retry_after {
            Some(seconds) => format!("Wait {}, then open the same link again.", human::wait(seconds)).into(),
            None => self.reason.words().2.into(),
        }
    }

    /// Only a web address can become a link.
    fn web_address(&self) -> Option<&str> {
        self.web_url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    }

    /// The page of a used link.
    pub fn sample() -> RefusedPage {
        RefusedPage {
            brand: Brand::built_in(),
            status: 410,
            reason: RefusalReason::UsedToken,
            retry_after: None,
            web_url: Some("http://127.0.0.1:8080/\"><script>".to_owned()),
        }
    }
}

/// A rendered sample of every page under a name that is also a file name.
///
/// # Errors
/// If a template fails to render.
pub fn samples() -> Result<Vec<(String, String)>, askama::Error> {
    let mut pages = vec![("confirm".to_owned(), ConfirmPage::sample().render()?)];
    for (reason, status) in RefusalReason::ALL
        .into_iter()
        .zip([403, 410, 410, 410, 404, 503, 409, 415, 416, 503, 429, 404, 405, 503, 412, 500])
    {
        let retry_after = (status == 503).then_some(5);
        let page = RefusedPage { status, reason, retry_after, ..RefusedPage::sample() };
        pages.push((format!("refused-{reason:?}"), page.render()?));
    }
    let alone = RefusedPage { web_url: Some("javascript:alert(1)".to_owned()), ..RefusedPage::sample() };
    pages.push(("refused-alone".to_owned(), alone.render()?));
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn every_page_renders_and_escapes_hostile_values() {
        for (name, html) in samples().unwrap() {
            assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}: doctype or language");
            assert_eq!(html.matches("<h1").count(), 1, "{name}: exactly one h1");
            assert_eq!(html.matches("<main").count(), 1, "{name}: one main landmark");
            assert_eq!(html.matches("<title>").count(), 1, "{name}: one title");
            let lower = html.replace(&times_script(), "").to_lowercase();
            for forbidden in ["<script", "javascript:", "style=\"", "<link rel=\"stylesheet\"", "src=\"http"]
            {
                assert!(!lower.contains(forbidden), "{name}: has {forbidden}");
            }
            assert!(!html.contains('\u{202e}'), "{name}: a name turns the text around");
        }
    }

    /// The only script of these pages.
    fn times_script() -> String {
        format!("<script>{}</script>", assets::TIMES_JS)
    }

    #[test]
    fn there_is_a_picture_for_every_file_type() {
        let names = [
            "a.pdf", "a.epub", "a.txt", "a.odt", "a.csv", "a.odp", "a.png", "a.ogg", "a.mkv", "a.zip",
            "a.rs", "a",
        ];
        for id in names.into_iter().map(human::icon).chain(["folder", "share", "search", "mark"]) {
            let svg = assets::inline_icon(id);
            assert!(svg.starts_with("<svg") && svg.contains("viewBox") && svg.ends_with("</svg>"), "{id}");
            assert_eq!(svg.matches("<svg").count() + svg.matches("<symbol").count(), 1, "{id}");
        }
        assert_eq!(assets::inline_icon("none"), "");
    }

    #[test]
    fn the_policy_allows_exactly_the_style_of_the_page() {
        for (name, html) in samples().unwrap() {
            let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
            let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
            let policy = content_security_policy(&Brand::built_in());
            assert!(policy.contains(&format!("style-src 'sha256-{hash}';")), "{name}");
            for script in html.split("<script>").skip(1).filter_map(|rest| rest.split("</script>").next()) {
                let hash = STANDARD.encode(digest::digest(&digest::SHA256, script.as_bytes()));
                assert!(policy.contains(&format!("script-src 'sha256-{hash}';")), "{name}");
            }
        }
    }
}
