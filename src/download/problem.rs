//! The edge where failures of the download service become HTTP: each has a status, a stable slug and a fixed
//! sentence (RFC 9457). Clients never see a cause; it is logged once.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use serde::Serialize;

use crate::download::archives::ManifestError;
use crate::download::pages::{PageFrame, RefusalReason, RefusedPage};
use crate::files::FileError;
use crate::secret::RandomError;
use crate::telemetry::chain;
use crate::token::TokenError;
use crate::used_tokens::StoreError;

/// A request to the download service is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadRefusal {
    #[error("no such address")]
    NoSuchAddress,
    #[error("the method is not allowed here")]
    Method { allow: &'static str },
    #[error("a prefetch is not a click")]
    Prefetch,
    #[error("the token was refused")]
    Token(#[from] TokenError),
    #[error("the token was used before")]
    Used,
    #[error("the token was revoked")]
    Revoked,
    #[error("the file can't be opened")]
    File(#[from] FileError),
    #[error("the manifest of the archive is not available")]
    Manifest(#[from] ManifestError),
    #[error("the file changed since the link was made")]
    FileChanged,
    #[error("a file of this kind isn't shown in a browser")]
    NotViewable,
    #[error("a precondition of the request failed")]
    Precondition,
    #[error("the requested range is not in the file of {len} bytes")]
    Range { len: u64 },
    #[error("the used-token store did not answer")]
    Store(#[from] StoreError),
    #[error("the used-token store takes too long")]
    StoreSlow,
    #[error("too many requests")]
    TooMany { retry_after: Duration },
    #[error("no random bytes")]
    Random(#[from] RandomError),
}

impl DownloadRefusal {
    /// Returns the status and the reason shown to the client.
    fn shown(&self) -> (StatusCode, RefusalReason) {
        match self {
            DownloadRefusal::NoSuchAddress => (StatusCode::NOT_FOUND, RefusalReason::NoSuchPage),
            DownloadRefusal::Method { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, RefusalReason::MethodNotAllowed)
            }
            DownloadRefusal::Prefetch => (StatusCode::SERVICE_UNAVAILABLE, RefusalReason::Prefetch),
            DownloadRefusal::Token(e) if e.is_expired() => (StatusCode::GONE, RefusalReason::ExpiredToken),
            DownloadRefusal::Token(_) => (StatusCode::FORBIDDEN, RefusalReason::InvalidToken),
            DownloadRefusal::Used => (StatusCode::GONE, RefusalReason::UsedToken),
            DownloadRefusal::Revoked => (StatusCode::GONE, RefusalReason::RevokedToken),
            DownloadRefusal::File(FileError::Missing) => (StatusCode::NOT_FOUND, RefusalReason::FileNotFound),
            // A file that the service can't read doesn't exist for anyone, however often it is requested.
            DownloadRefusal::File(error) if error.is_forbidden() => {
                (StatusCode::NOT_FOUND, RefusalReason::FileNotFound)
            }
            DownloadRefusal::File(FileError::ShareGone | FileError::Unreadable(_))
            | DownloadRefusal::Manifest(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, RefusalReason::FileUnavailable)
            }
            DownloadRefusal::Random(_) => (StatusCode::INTERNAL_SERVER_ERROR, RefusalReason::Fault),
            DownloadRefusal::FileChanged => (StatusCode::CONFLICT, RefusalReason::FileChanged),
            DownloadRefusal::NotViewable => (StatusCode::UNSUPPORTED_MEDIA_TYPE, RefusalReason::NotViewable),
            DownloadRefusal::Precondition => {
                (StatusCode::PRECONDITION_FAILED, RefusalReason::PreconditionFailed)
            }
            DownloadRefusal::Range { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, RefusalReason::RangeNotSatisfiable)
            }
            DownloadRefusal::Store(_) | DownloadRefusal::StoreSlow => {
                (StatusCode::SERVICE_UNAVAILABLE, RefusalReason::StoreUnavailable)
            }
            DownloadRefusal::TooMany { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, RefusalReason::TooManyRequests)
            }
        }
    }

    /// Returns the seconds after which to retry, if that helps.
    fn retry_after(&self) -> Option<u64> {
        match self {
            DownloadRefusal::Store(_) | DownloadRefusal::StoreSlow => Some(5),
            DownloadRefusal::TooMany { retry_after } => Some(retry_after.as_secs().saturating_add(1)),
            DownloadRefusal::Prefetch => Some(0),
            DownloadRefusal::Manifest(_) => Some(5),
            DownloadRefusal::File(_) if self.shown().0 == StatusCode::SERVICE_UNAVAILABLE => Some(30),
            _ => None,
        }
    }

    /// Returns whether a token that fails like this counts against its sender's limit.
    pub(crate) fn is_invalid_token(&self) -> bool {
        matches!(self, DownloadRefusal::Token(e) if !e.is_expired())
    }

    /// The word for this refusal in the access log and in the metrics; empty if the status says everything.
    pub(crate) fn word(&self) -> &'static str {
        match self.shown().1.slug() {
            "about:blank" => "",
            slug => slug,
        }
    }

    /// Closes the connection without a response, for a client that would save any response as the file.
    pub(crate) fn keep_silent(&self, request_id: &str) -> HttpResponse {
        let (status, reason) = self.shown();
        self.log(status, reason.slug(), request_id);
        crate::download::response::abort()
    }

    /// Returns the response: a small page for a browser, `application/problem+json` for other clients.
    pub(crate) fn respond(&self, html: bool, pages: &PageFrame<'_>, request_id: &str) -> HttpResponse {
        let (status, reason) = self.shown();
        self.log(status, reason.slug(), request_id);
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.retry_after() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        match self {
            DownloadRefusal::Method { allow } => {
                response.insert_header((header::ALLOW, *allow));
            }
            DownloadRefusal::Range { len } => {
                response.insert_header((header::CONTENT_RANGE, format!("bytes */{len}")));
            }
            _ => {}
        }
        if html {
            let page = RefusedPage {
                brand: pages.brand.clone(),
                status: status.as_u16(),
                reason,
                retry_after: self.retry_after(),
                web_url: Some(pages.web_url.to_owned()).filter(|url| !url.is_empty()),
            };
            return crate::download::response::page(&mut response, &page, &pages.brand);
        }
        let problem = Problem {
            r#type: reason.slug(),
            title: reason.headline(),
            status: status.as_u16(),
            detail: reason.what(),
            instance: format!("urn:request:{request_id}"),
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        crate::download::response::harden(&mut response);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json")).body(body)
    }

    fn log(&self, status: StatusCode, slug: &str, request_id: &str) {
        let status = status.as_u16();
        match self {
            DownloadRefusal::Store(cause) => tracing::error!(
                request_id,
                status,
                cause = chain(cause),
                "a download was refused because the used-token store did not answer"
            ),
            DownloadRefusal::File(FileError::Unreadable(cause)) => {
                tracing::error!(
                    request_id,
                    status,
                    cause = chain(cause),
                    "a shared file cannot be read; check its permissions and the disk"
                )
            }
            DownloadRefusal::Manifest(cause) => tracing::warn!(
                request_id,
                status,
                cause = chain(cause),
                "a download was refused because the manifest of its archive is not available"
            ),
            DownloadRefusal::Random(cause) => {
                tracing::error!(
                    request_id,
                    status,
                    cause = chain(cause),
                    "the system provided no random bytes"
                )
            }
            DownloadRefusal::Token(cause) => tracing::info!(request_id, status, slug, %cause, "refused"),
            other => tracing::info!(request_id, status, slug, "refused: {other}"),
        }
    }
}

/// The members of RFC 9457, and no others.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Identifies the request in the log.
    instance: String,
}
