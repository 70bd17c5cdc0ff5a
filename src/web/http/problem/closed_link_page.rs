//! The page of a link with which nothing can be downloaded: why, and what to do.

use askama::Template;

use crate::web::http::layout::Chrome;

/// Why nothing can be downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its owner has paused it.
    Paused,
    /// It has expired.
    Ended,
    /// Its owner has stopped sharing it.
    Revoked,
    /// All uses are taken, and some of them may become free again.
    UsedUpForNow,
    /// All uses are taken.
    UsedUp,
    /// All uses are taken, and this visitor has got what they came for.
    Downloaded,
    /// Its owner can't give it any more.
    Gone,
    /// Its files are not there now.
    Missing,
    /// The download service that began the download is not ready to continue it.
    Away,
}

impl Closed {
    /// All reasons.
    pub const ALL: [Closed; 9] = [
        Closed::Paused,
        Closed::Ended,
        Closed::Revoked,
        Closed::UsedUpForNow,
        Closed::UsedUp,
        Closed::Downloaded,
        Closed::Gone,
        Closed::Missing,
        Closed::Away,
    ];

    /// The `type` of the problem document.
    pub const fn slug(self) -> &'static str {
        match self {
            Closed::Paused => "link-paused",
            Closed::Ended => "link-ended",
            Closed::Revoked => "link-revoked",
            Closed::UsedUpForNow | Closed::UsedUp | Closed::Downloaded => "link-used-up",
            Closed::Gone => "link-gone",
            Closed::Missing => "file-not-found",
            Closed::Away => "unavailable",
        }
    }

    /// The status: a pause ends, files may come back, and so does a download service; all else is for good.
    pub const fn status(self) -> u16 {
        match self {
            Closed::Paused => 403,
            Closed::Missing => 404,
            Closed::Away => 503,
            _ => 410,
        }
    }

    /// Seconds after which it is worth trying again.
    pub const fn wait(self) -> Option<u64> {
        match self {
            Closed::Away => Some(5),
            _ => None,
        }
    }

    /// In a few words.
    pub const fn headline(self) -> &'static str {
        match self {
            Closed::Paused => "This link is paused",
            Closed::Ended => "This link has expired",
            Closed::Revoked | Closed::Gone => "This link is no longer available",
            Closed::UsedUpForNow | Closed::UsedUp => "The download limit has been reached",
            Closed::Downloaded => "You have downloaded this file",
            Closed::Missing => "The file is not available right now",
            Closed::Away => "The download can’t be continued right now",
        }
    }

    /// In a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Closed::Paused => "The sender has paused it. It may work again later.",
            Closed::Ended => "It can no longer be used to download the files.",
            Closed::Revoked => "The sender has stopped sharing these files.",
            Closed::UsedUpForNow => {
                "All downloads of this link are taken, but not all of them have started. One that never starts \
                 becomes available again within minutes: try again then."
            }
            Closed::UsedUp => "All downloads of this link have been used. It is no longer available.",
            Closed::Downloaded => {
                "This browser got all of it, and no more downloads are left. Look in your downloads folder."
            }
            Closed::Gone => "The sender can’t share these files any more.",
            Closed::Missing => "No download was counted. Try again later.",
            Closed::Away => "Nothing is lost and no download was counted. Try again in a moment.",
        }
    }

    const fn is_for_the_sender(self) -> bool {
        !matches!(self, Closed::Away)
    }
}

/// A link with which nothing can be downloaded.
#[derive(Clone, Debug, Template)]
#[template(path = "web/links/closed.html")]
pub struct LinkClosed {
    /// What surrounds the page.
    pub chrome: Chrome,
    /// Why.
    pub why: Closed,
}

impl LinkClosed {
    /// The page for that reason.
    pub fn new(why: Closed) -> LinkClosed {
        LinkClosed { chrome: Chrome::public(why.headline()), why }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let page = |why: Closed| {
        let name = match why {
            Closed::Paused => "closed-link-paused",
            Closed::Ended => "closed-link-ended",
            Closed::Revoked => "closed-link-revoked",
            Closed::UsedUpForNow => "closed-link-used-up-for-now",
            Closed::UsedUp => "closed-link-used-up",
            Closed::Downloaded => "closed-link-downloaded",
            Closed::Gone => "closed-link-gone",
            Closed::Missing => "closed-link-missing",
            Closed::Away => "closed-link-away",
        };
        Ok((name, LinkClosed::new(why).render()?))
    };
    Closed::ALL.into_iter().map(page).collect()
}
