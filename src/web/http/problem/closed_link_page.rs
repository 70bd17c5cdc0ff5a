//! The page of a public link with which nothing can be downloaded: why, and what to do.

use actix_web::http::StatusCode;
use askama::Template;

use crate::web::http::layout::Chrome;

/// Why nothing can be downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedReason {
    /// Its owner has paused it.
    Paused,
    /// It has expired.
    Ended,
    /// Its owner has stopped sharing it.
    Revoked,
    /// All uses are taken, and some of them may become available again.
    UsedUpForNow,
    /// All uses are taken.
    UsedUp,
    /// All uses are taken, and this visitor has downloaded the file.
    Downloaded,
    /// All uses are taken, and the named recipient has begun this one in another browser.
    Elsewhere,
    /// Its owner may not read its files any more.
    Gone,
    /// Its files are not available now.
    Missing,
    /// The download service that began the download is not ready to continue it.
    Away,
    /// Its files are still being uploaded.
    Uploading,
    /// Its files were not uploaded completely.
    Abandoned,
}

impl ClosedReason {
    /// All reasons.
    pub const ALL: [ClosedReason; 12] = [
        ClosedReason::Paused,
        ClosedReason::Ended,
        ClosedReason::Revoked,
        ClosedReason::UsedUpForNow,
        ClosedReason::UsedUp,
        ClosedReason::Downloaded,
        ClosedReason::Elsewhere,
        ClosedReason::Gone,
        ClosedReason::Missing,
        ClosedReason::Away,
        ClosedReason::Uploading,
        ClosedReason::Abandoned,
    ];

    /// Returns the stable name that is the `type` of the problem document.
    pub const fn slug(self) -> &'static str {
        match self {
            ClosedReason::Paused => "link-paused",
            ClosedReason::Ended | ClosedReason::Abandoned => "link-ended",
            ClosedReason::Revoked => "link-revoked",
            ClosedReason::UsedUpForNow
            | ClosedReason::UsedUp
            | ClosedReason::Downloaded
            | ClosedReason::Elsewhere => "link-used-up",
            ClosedReason::Gone => "link-gone",
            ClosedReason::Missing => "file-not-found",
            ClosedReason::Away => "unavailable",
            ClosedReason::Uploading => "still-uploading",
        }
    }

    /// Returns the status of the answer: a pause ends, files and download services may come back; any other
    /// reason is final.
    pub const fn status(self) -> StatusCode {
        match self {
            ClosedReason::Paused => StatusCode::FORBIDDEN,
            ClosedReason::Missing => StatusCode::NOT_FOUND,
            ClosedReason::Away => StatusCode::SERVICE_UNAVAILABLE,
            ClosedReason::Uploading => StatusCode::CONFLICT,
            _ => StatusCode::GONE,
        }
    }

    /// Returns after how many seconds it is worth trying again.
    pub const fn wait(self) -> Option<u64> {
        match self {
            ClosedReason::Away => Some(5),
            ClosedReason::Uploading => Some(10),
            _ => None,
        }
    }

    /// Returns the reason in a few words.
    pub const fn headline(self) -> &'static str {
        match self {
            ClosedReason::Paused => "This link is paused",
            ClosedReason::Ended => "This link has expired",
            ClosedReason::Revoked | ClosedReason::Gone | ClosedReason::Abandoned => {
                "This link is no longer available"
            }
            ClosedReason::UsedUpForNow | ClosedReason::UsedUp => "The download limit has been reached",
            ClosedReason::Downloaded => "You have downloaded this file",
            ClosedReason::Elsewhere => "This file was downloaded in another browser",
            ClosedReason::Missing => "The file is not available right now",
            ClosedReason::Away => "The download can’t be continued right now",
            ClosedReason::Uploading => "The files are still being uploaded",
        }
    }

    /// Returns the reason in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            ClosedReason::Paused => "The sender has paused it. It may work again later.",
            ClosedReason::Ended => "It can no longer be used to download the files.",
            ClosedReason::Revoked => "The sender has stopped sharing these files.",
            ClosedReason::UsedUpForNow => {
                "All downloads of this link are taken, but not all of them have started. One that never starts \
                 becomes available again within minutes: try again then."
            }
            ClosedReason::UsedUp => "All downloads of this link have been used. It is no longer available.",
            ClosedReason::Downloaded => {
                "This browser got all of it, and no more downloads are left. Look in your downloads folder."
            }
            ClosedReason::Elsewhere => {
                "Its download was started or completed with your link in another browser or on another device. If \
                 it was interrupted, you can continue it there."
            }
            ClosedReason::Gone => "The sender can’t share these files any more.",
            ClosedReason::Missing => "No download was counted. Try again later.",
            ClosedReason::Away => "Nothing is lost and no download was counted. Try again in a moment.",
            ClosedReason::Uploading => {
                "No download was counted. Open the link again in a moment: it works as soon as everything has \
                 been uploaded."
            }
            ClosedReason::Abandoned => "The sender didn’t finish uploading the files.",
        }
    }

    /// Returns what to do next, in the words before and after whom to ask.
    const fn advice(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            ClosedReason::Paused => ("If you need the file now, ask ", " to resume the link."),
            ClosedReason::Ended
            | ClosedReason::Revoked
            | ClosedReason::UsedUp
            | ClosedReason::Gone
            | ClosedReason::Abandoned => ("If you still need the file, ask ", " for a new link."),
            ClosedReason::UsedUpForNow => ("If that doesn’t help, ask ", " for a new link."),
            ClosedReason::Downloaded => ("If you can’t find it there, ask ", " for a new link."),
            ClosedReason::Elsewhere => ("If it wasn’t you, tell ", "."),
            ClosedReason::Missing => ("If it stays unavailable, ask ", " to check the link."),
            ClosedReason::Away | ClosedReason::Uploading => return None,
        })
    }
}

/// A link with which nothing can be downloaded, as far as its visitors may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedLink {
    /// The reason.
    pub why: ClosedReason,
    /// The sender's name, which the page of the link shows while it is open; `None` if they have no account any
    /// more.
    pub from: Option<String>,
}

/// The page of a closed link.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/closed.html")]
pub struct ClosedLinkPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The link.
    pub link: ClosedLink,
}

impl ClosedLinkPage {
    /// Returns the page of that link.
    pub fn new(link: ClosedLink) -> ClosedLinkPage {
        ClosedLinkPage { chrome: Chrome::public(link.why.headline()), link }
    }

    /// Returns what the sender has done, if that is the reason.
    fn deed(&self) -> Option<&'static str> {
        self.link.why.sentence().strip_prefix("The sender")
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let page = |why: ClosedReason| {
        let name = match why {
            ClosedReason::Paused => "closed-link-paused",
            ClosedReason::Ended => "closed-link-ended",
            ClosedReason::Revoked => "closed-link-revoked",
            ClosedReason::UsedUpForNow => "closed-link-used-up-for-now",
            ClosedReason::UsedUp => "closed-link-used-up",
            ClosedReason::Downloaded => "closed-link-downloaded",
            ClosedReason::Elsewhere => "closed-link-elsewhere",
            ClosedReason::Gone => "closed-link-gone",
            ClosedReason::Missing => "closed-link-missing",
            ClosedReason::Away => "closed-link-away",
            ClosedReason::Uploading => "closed-link-uploading",
            ClosedReason::Abandoned => "closed-link-abandoned",
        };
        let from = Some("Lin <b>&co".to_owned());
        Ok((name, ClosedLinkPage::new(ClosedLink { why, from }).render()?))
    };
    ClosedReason::ALL.into_iter().map(page).collect()
}
