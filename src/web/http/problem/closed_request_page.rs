//! The page of a file request that takes no files: why, and what to do.

use actix_web::http::StatusCode;
use askama::Template;

use crate::web::http::layout::Chrome;
use crate::web::shares::error::RequestLimit;

/// Why a file request takes no files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedRequest {
    /// It has ended.
    Ended,
    /// Its owner has stopped it.
    Stopped,
    /// Its owner may not write to the folder any more, or has no account any more.
    Gone,
    /// Its folder is missing.
    Away,
}

impl ClosedRequest {
    /// All reasons.
    pub const ALL: [ClosedRequest; 4] =
        [ClosedRequest::Ended, ClosedRequest::Stopped, ClosedRequest::Gone, ClosedRequest::Away];

    /// Returns the stable name that is the `type` of the problem document.
    pub const fn slug(self) -> &'static str {
        match self {
            ClosedRequest::Ended => "request-ended",
            ClosedRequest::Stopped => "request-stopped",
            ClosedRequest::Gone => "request-gone",
            ClosedRequest::Away => "request-folder",
        }
    }

    /// Returns the status of the answer: a folder may come back; any other reason is final.
    pub const fn status(self) -> StatusCode {
        match self {
            ClosedRequest::Away => StatusCode::NOT_FOUND,
            _ => StatusCode::GONE,
        }
    }

    /// Returns the reason in a few words.
    pub const fn headline(self) -> &'static str {
        match self {
            ClosedRequest::Ended => "This request has ended",
            ClosedRequest::Stopped | ClosedRequest::Gone => "No more files are accepted",
            ClosedRequest::Away => "Files can’t be received right now",
        }
    }

    /// Returns the reason in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            ClosedRequest::Ended => "The time for sending files is over. Files that arrived before are safe.",
            ClosedRequest::Stopped => {
                "The person who asked for files has stopped this request. Files that arrived before are safe."
            }
            ClosedRequest::Gone => {
                "The person who asked for files can’t receive them here any more. Files that arrived before are \
                 safe."
            }
            ClosedRequest::Away => {
                "The folder for these files is missing. It works again as soon as the person who asked for \
                 files has fixed that."
            }
        }
    }

    /// Returns why an upload is refused.
    pub(crate) const fn limit(self) -> RequestLimit {
        match self {
            ClosedRequest::Away => RequestLimit::Away,
            ClosedRequest::Ended | ClosedRequest::Stopped | ClosedRequest::Gone => RequestLimit::Over,
        }
    }
}

/// The answer to a visit of a request that takes no files.
#[derive(Clone, Debug, Template)]
#[template(path = "web/requests/closed.html")]
pub struct ClosedRequestPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// Why it takes no files.
    pub why: ClosedRequest,
}

impl ClosedRequestPage {
    /// Makes the page.
    pub fn new(why: ClosedRequest) -> ClosedRequestPage {
        ClosedRequestPage { chrome: Chrome::public(why.headline()), why }
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let page = |why| ClosedRequestPage::new(why).render();
    Ok(vec![
        ("request-ended", page(ClosedRequest::Ended)?),
        ("request-folder-missing", page(ClosedRequest::Away)?),
    ])
}
