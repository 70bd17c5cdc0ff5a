//! Why a request of the upload protocol tus 1.0 is refused, in words for the programs that read it.

use std::time::Duration;

use actix_web::http::StatusCode;

use crate::web::shares::error::StorageError;

/// The version of the protocol that we support.
pub(crate) const VERSION: &str = "1.0.0";

/// The media type of the bytes of an upload.
pub(crate) const BYTES: &str = "application/offset+octet-stream";

/// Why a request of the protocol is refused.
#[derive(Debug, thiserror::Error)]
pub enum TusError {
    /// The upload itself failed.
    #[error(transparent)]
    Storage(StorageError),
    /// Nobody is logged in.
    #[error("nobody is logged in")]
    NotSignedIn,
    /// The guest's ticket is missing or not valid.
    #[error("the guest has no valid ticket")]
    NoTicket,
    /// The request does not come from a page of ours.
    #[error("the request lacks the session's CSRF token")]
    Foreign,
    /// The client uses another version of the protocol.
    #[error("the client uses another version of tus")]
    Version,
    /// The method is not supported here.
    #[error("the method is not supported here")]
    Method,
    /// The body has another media type than [`BYTES`].
    #[error("the body has the wrong media type for an upload")]
    BodyType,
    /// An upload that was joined from parts takes no bytes.
    #[error("the upload is joined from others")]
    Joined,
    /// The account has begun too many uploads lately.
    #[error("too many uploads; the next in {} s", .0.as_secs())]
    TooEarly(Duration),
    /// A header is missing or not valid.
    #[error("{0}")]
    Header(&'static str),
}

impl<E: Into<StorageError>> From<E> for TusError {
    fn from(error: E) -> TusError {
        TusError::Storage(error.into())
    }
}

impl TusError {
    /// Returns the status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            TusError::Storage(error) => error.status(),
            TusError::NotSignedIn | TusError::NoTicket => StatusCode::UNAUTHORIZED,
            TusError::Foreign | TusError::Joined => StatusCode::FORBIDDEN,
            TusError::Version => StatusCode::PRECONDITION_FAILED,
            TusError::Method => StatusCode::METHOD_NOT_ALLOWED,
            TusError::BodyType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            TusError::TooEarly(_) => StatusCode::TOO_MANY_REQUESTS,
            TusError::Header(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the stable name that is the `type` of the problem document.
    pub(crate) const fn slug(&self) -> &'static str {
        match self {
            TusError::Storage(error) => error.slug(),
            TusError::NotSignedIn => "not-signed-in",
            TusError::NoTicket => "no-ticket",
            TusError::Foreign => "foreign-form",
            TusError::Version => "tus-version",
            TusError::Method => "method-not-allowed",
            TusError::BodyType => "body-type",
            TusError::Joined => "joined",
            TusError::TooEarly(_) => "too-many-requests",
            TusError::Header(_) => "invalid-request",
        }
    }

    /// Returns what happened and what to do.
    pub(crate) fn sentence(&self) -> String {
        match self {
            TusError::Storage(error) => error.sentence(),
            TusError::NotSignedIn => "You are not logged in any more.".to_owned(),
            TusError::NoTicket => {
                "This page has been open for too long, or your browser blocks cookies. Reload the page, then \
                 choose the files again."
                    .to_owned()
            }
            TusError::Foreign => {
                "The request lacks the X-CSRF-Token of the session. Reload the page.".to_owned()
            }
            TusError::Version => format!("Send the header Tus-Resumable: {VERSION}."),
            TusError::Method => "That is not supported here.".to_owned(),
            TusError::BodyType => format!("Send the bytes as {BYTES}."),
            TusError::Joined => "An upload that was joined from parts takes no more bytes.".to_owned(),
            TusError::TooEarly(_) => {
                "You have started too many uploads. Try again a little later.".to_owned()
            }
            TusError::Header(what) => format!("{what}."),
        }
    }

    /// Returns after how many seconds it is worth trying again.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self {
            TusError::TooEarly(wait) => Some(wait.as_secs().max(1)),
            TusError::Storage(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => Some(5),
            _ => None,
        }
    }
}
