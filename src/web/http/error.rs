//! Why the web app refuses a request, and which status that is. [`crate::web::http::problem`] turns these
//! errors into answers.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::connection::MemoryFull;
use crate::files::FileError;
use crate::secret::RandomError;
use crate::used_tokens::StoreError;
use crate::web::accounts::store::AccountError;
use crate::web::api_keys::ApiKeyError;
use crate::web::archives::{ArchiveMakingError, ArchiveProgress};
use crate::web::db::{GroupedQueryError, QueryError};
use crate::web::deliveries::intake::IntakeError;
use crate::web::forms::idempotency::IdempotencyError;
use crate::web::forms::request_keys::RequestKeyError;
use crate::web::http::api_error::ApiError;
use crate::web::http::press_error::PressError;
use crate::web::http::problem::closed_link_page::ClosedLink;
use crate::web::http::problem::closed_request_page::ClosedRequest;
use crate::web::http::tus_error::TusError;
use crate::web::identity::passwords::HashError;
use crate::web::links::LinkError;
use crate::web::links::press::PressFailure;
use crate::web::links::uses::UseError;
use crate::web::mail::queue::QueueError;
use crate::web::membership::action_links::ActionLinkError;
use crate::web::membership::self_service::SelfServiceError;
use crate::web::requests::RequestError;
use crate::web::second_factor::FactorError;
use crate::web::sessions::SessionError;
use crate::web::shares::error::StorageError;
use crate::web::throttle::Throttled;
use crate::web::tokens::issuer::IssueError;
use crate::web::tokens::signer::SignerError;
use crate::web::webhooks::WebhookError;

/// After how many seconds it is worth asking again for an archive that is being prepared.
pub(crate) const PREPARING: u64 = 3;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Nobody is logged in.
    #[error("nobody is logged in")]
    NotSignedIn,
    /// An administrator must have a second factor first.
    #[error("administrators need a second factor here")]
    FactorNeeded,
    /// There is nothing at this address, or this person may not know that there is.
    #[error("there is nothing here")]
    NotFound,
    /// The form does not come from a page of ours that is still valid.
    #[error("the form is not one of ours")]
    ForeignForm,
    /// The browser does not return our cookies.
    #[error("the browser keeps no cookies")]
    NoCookies,
    /// The form was sent to another address than the app's own, which is in the field.
    #[error("the form was sent to another address than {0}")]
    OtherAddress(String),
    /// The request can't be understood.
    #[error("the request is not valid: {0}")]
    Invalid(&'static str),
    /// The body is larger than any form of ours.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// The body is not a form.
    #[error("the body is not a form")]
    NotAForm,
    /// There were too many attempts.
    #[error("too many attempts; the next in {} s", .0.as_secs())]
    TooEarly(Duration),
    /// The action link has expired, or what it was for has changed.
    #[error("the action link is no longer valid")]
    LinkOver,
    /// Something in a share can't be read or changed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A request of the upload protocol tus is refused.
    #[error(transparent)]
    Tus(#[from] TusError),
    /// Nothing can be downloaded with a public link.
    #[error("the link is closed: {}", .0.why.slug())]
    LinkClosed(ClosedLink),
    /// The file is not of a kind that is shown in a browser.
    #[error("the file is not of a kind that can be viewed")]
    NotViewable,
    /// The link doesn't allow that its files are viewed.
    #[error("the link does not allow views")]
    ViewNotAllowed,
    /// A file request takes no files.
    #[error("the file request is closed: {}", .0.slug())]
    RequestClosed(ClosedRequest),
    /// The API refuses a request.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A program's press of a public link lacks something.
    #[error(transparent)]
    Press(#[from] PressError),
    /// Not everyone may sign up.
    #[error("sign-up is closed")]
    SignUpClosed {
        /// Whether people are invited instead.
        by_invitation: bool,
    },
    /// An archive is still being made.
    #[error("{} of {} files of the archive are ready", .0.ready, .0.files)]
    StillPreparing(ArchiveProgress),
    /// The files are too many, or too large, for one archive.
    #[error("the archive would be too large")]
    ArchiveTooLarge,
    /// A download service's report has no node key.
    #[error("there is no node key")]
    NodeKeyMissing,
    /// The node key of a report is unknown, or belongs to another node.
    #[error("the node key is wrong")]
    NodeKeyUnknown,
    /// No download service can get a token now.
    #[error("no download service can accept new downloads")]
    NoNode,
    /// A backend is unavailable.
    #[error("a backend is unavailable")]
    Unavailable(#[source] Cause),
    /// An internal error.
    #[error("internal error")]
    Internal(#[source] Cause),
}

impl WebError {
    /// Returns the stable name that is the `type` of the problem document.
    pub(crate) fn slug(&self) -> &'static str {
        match self {
            WebError::NotSignedIn => "not-signed-in",
            WebError::FactorNeeded => "second-factor-needed",
            WebError::NotFound => "not-found",
            WebError::ForeignForm => "foreign-form",
            WebError::NoCookies => "cookies-needed",
            WebError::OtherAddress(_) => "other-address",
            WebError::Invalid(_) => "invalid-request",
            WebError::TooLarge(_) => "too-large",
            WebError::Slow => "too-slow",
            WebError::NotAForm => "no-form",
            WebError::TooEarly(_) => "too-many-requests",
            WebError::LinkOver => "link-over",
            WebError::Storage(error) => error.slug(),
            WebError::Tus(error) => error.slug(),
            WebError::LinkClosed(closed) => closed.why.slug(),
            WebError::NotViewable => "not-viewable",
            WebError::ViewNotAllowed => "view-not-allowed",
            WebError::RequestClosed(why) => why.slug(),
            WebError::Api(error) => error.slug(),
            WebError::Press(error) => error.slug(),
            WebError::SignUpClosed { .. } => "sign-up-closed",
            WebError::StillPreparing(_) => "still-preparing",
            WebError::ArchiveTooLarge => "archive-too-large",
            WebError::NodeKeyMissing | WebError::NodeKeyUnknown => "node-key",
            WebError::NoNode => "no-download-service",
            WebError::Unavailable(_) => "unavailable",
            WebError::Internal(_) => "internal-error",
        }
    }

    /// Returns after how many seconds it is worth trying again.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self {
            WebError::TooEarly(wait) => Some(wait.as_secs().max(1)),
            WebError::Api(ApiError::IdempotencyKeyRunning) => Some(1),
            WebError::NoNode | WebError::Unavailable(_) => Some(5),
            WebError::StillPreparing(_) => Some(PREPARING),
            WebError::LinkClosed(closed) => closed.why.wait(),
            WebError::Tus(error) => error.wait(),
            WebError::Storage(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => Some(5),
            _ => None,
        }
    }
}

impl ResponseError for WebError {
    fn status_code(&self) -> StatusCode {
        match self {
            WebError::NotSignedIn => StatusCode::UNAUTHORIZED,
            WebError::NotFound => StatusCode::NOT_FOUND,
            WebError::FactorNeeded
            | WebError::ForeignForm
            | WebError::NoCookies
            | WebError::OtherAddress(_)
            | WebError::ViewNotAllowed => StatusCode::FORBIDDEN,
            WebError::Invalid(_) => StatusCode::BAD_REQUEST,
            WebError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            WebError::Slow => StatusCode::REQUEST_TIMEOUT,
            WebError::NotAForm | WebError::NotViewable => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            WebError::TooEarly(_) => StatusCode::TOO_MANY_REQUESTS,
            WebError::LinkOver => StatusCode::GONE,
            WebError::Storage(error) => error.status(),
            WebError::Tus(error) => error.status(),
            WebError::LinkClosed(closed) => closed.why.status(),
            WebError::RequestClosed(why) => why.status(),
            WebError::Api(error) => error.status(),
            WebError::Press(error) => error.status(),
            WebError::SignUpClosed { .. } | WebError::NodeKeyUnknown => StatusCode::FORBIDDEN,
            WebError::StillPreparing(_) => StatusCode::CONFLICT,
            WebError::ArchiveTooLarge => StatusCode::UNPROCESSABLE_ENTITY,
            WebError::NodeKeyMissing => StatusCode::UNAUTHORIZED,
            WebError::NoNode | WebError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            WebError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns only the status; [`crate::web::http::problem::edge`] adds the rest as the client prefers it.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<ArchiveMakingError> for WebError {
    fn from(error: ArchiveMakingError) -> WebError {
        match error {
            error if error.is_too_large() => WebError::ArchiveTooLarge,
            ArchiveMakingError::File(error) => error.into(),
            ArchiveMakingError::Limit(_) => WebError::Internal(error.into()),
            error => WebError::Unavailable(error.into()),
        }
    }
}

impl From<AccountError> for WebError {
    fn from(error: AccountError) -> WebError {
        WebError::Unavailable(error.into())
    }
}

impl From<IntakeError> for WebError {
    fn from(error: IntakeError) -> WebError {
        match error {
            IntakeError::Foreign => WebError::NodeKeyUnknown,
            error => WebError::Unavailable(error.into()),
        }
    }
}

impl From<ApiKeyError> for WebError {
    fn from(error: ApiKeyError) -> WebError {
        match error {
            ApiKeyError::Query(_) | ApiKeyError::Account(_) => WebError::Unavailable(error.into()),
            ApiKeyError::Random(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<FactorError> for WebError {
    fn from(error: FactorError) -> WebError {
        match error {
            FactorError::Query(_) => WebError::Unavailable(error.into()),
            FactorError::Random(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<SessionError> for WebError {
    fn from(error: SessionError) -> WebError {
        WebError::Unavailable(error.into())
    }
}

impl From<QueryError> for WebError {
    fn from(error: QueryError) -> WebError {
        WebError::Unavailable(error.into())
    }
}

impl From<GroupedQueryError> for WebError {
    fn from(error: GroupedQueryError) -> WebError {
        WebError::Unavailable(error.into())
    }
}

impl From<HashError> for WebError {
    fn from(error: HashError) -> WebError {
        match error {
            HashError::Busy | HashError::Interrupted => WebError::Unavailable(error.into()),
            HashError::Random(_) | HashError::Failed(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<MemoryFull> for WebError {
    fn from(full: MemoryFull) -> WebError {
        WebError::Unavailable(full.into())
    }
}

impl From<RandomError> for WebError {
    fn from(error: RandomError) -> WebError {
        WebError::Internal(error.into())
    }
}

impl From<askama::Error> for WebError {
    fn from(error: askama::Error) -> WebError {
        WebError::Internal(error.into())
    }
}

impl From<FileError> for WebError {
    fn from(error: FileError) -> WebError {
        match error {
            FileError::Missing => WebError::NotFound,
            FileError::ShareGone => StorageError::ShareGone.into(),
            FileError::Unreadable(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
                StorageError::Unreadable(cause).into()
            }
            FileError::Unreadable(cause) => StorageError::Failed(cause).into(),
        }
    }
}

impl From<IdempotencyError> for WebError {
    fn from(error: IdempotencyError) -> WebError {
        WebError::Storage(error.into())
    }
}

impl From<RequestKeyError> for WebError {
    fn from(error: RequestKeyError) -> WebError {
        match error {
            RequestKeyError::Running => ApiError::IdempotencyKeyRunning.into(),
            RequestKeyError::OtherBody => ApiError::IdempotencyKeyReused.into(),
            RequestKeyError::Query(error) => error.into(),
        }
    }
}

impl From<SelfServiceError> for WebError {
    fn from(error: SelfServiceError) -> WebError {
        match error {
            SelfServiceError::Query(_) | SelfServiceError::Account(_) => WebError::Unavailable(error.into()),
            SelfServiceError::Queue(QueueError::Query(_)) => WebError::Unavailable(error.into()),
            SelfServiceError::Queue(_) | SelfServiceError::Random(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<WebhookError> for WebError {
    fn from(error: WebhookError) -> WebError {
        match error {
            WebhookError::Query(_) | WebhookError::Queue(QueueError::Query(_)) => {
                WebError::Unavailable(error.into())
            }
            WebhookError::Random(_) | WebhookError::Queue(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<LinkError> for WebError {
    fn from(error: LinkError) -> WebError {
        match error {
            LinkError::Query(_) | LinkError::Queue(QueueError::Query(_)) => {
                WebError::Unavailable(error.into())
            }
            LinkError::Random(_) | LinkError::Queue(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<RequestError> for WebError {
    fn from(error: RequestError) -> WebError {
        match error {
            RequestError::Query(_) | RequestError::Queue(QueueError::Query(_)) => {
                WebError::Unavailable(error.into())
            }
            RequestError::Random(_) | RequestError::Queue(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<PressFailure> for WebError {
    fn from(failure: PressFailure) -> WebError {
        let is_random =
            matches!(&failure, PressFailure::Use(error) if matches!(**error, UseError::Random(_)));
        match is_random {
            false => WebError::Unavailable(failure.into()),
            true => WebError::Internal(failure.into()),
        }
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> WebError {
        WebError::Unavailable(error.into())
    }
}

impl From<ActionLinkError> for WebError {
    fn from(error: ActionLinkError) -> WebError {
        match error {
            ActionLinkError::Refused(_) | ActionLinkError::Purpose => WebError::NotFound,
            ActionLinkError::Query(_) | ActionLinkError::Store(_) => WebError::Unavailable(error.into()),
            ActionLinkError::Keys(_) | ActionLinkError::Issue(_) => WebError::Internal(error.into()),
        }
    }
}

impl From<IssueError> for WebError {
    fn from(error: IssueError) -> WebError {
        match error {
            IssueError::Signer(SignerError::TooLong) => StorageError::Unlinkable.into(),
            other => WebError::Internal(other.into()),
        }
    }
}

impl From<Throttled> for WebError {
    fn from(early: Throttled) -> WebError {
        WebError::TooEarly(early.wait)
    }
}
