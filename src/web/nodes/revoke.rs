//! The interface through which a download service receives revocations.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::http_client::HttpError;
use crate::id::Jti;
use crate::web::db::QueryError;
use crate::web::tokens::issuer::IssueError;

/// A download service did not record a revocation.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The command could not be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The download service can't be reached.
    #[error("cannot reach the download service")]
    Unreachable(#[from] HttpError),
    /// The download service responded with another status than success.
    #[error("the download service responded with status {0}")]
    Answer(u16),
    /// The download service's used-token store failed.
    #[error("the download service could not record the revocation")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The previous delivery failed; this one is tried later.
    #[error("the download service failed the previous revocations")]
    Waiting,
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<sqlx::Error> for RevokeError {
    fn from(error: sqlx::Error) -> RevokeError {
        QueryError::from(error).into()
    }
}

/// Records jtis as revoked at one download service.
#[async_trait]
pub trait RevocationSink: Send + Sync {
    /// Records all of these jtis durably; repeating it changes nothing.
    ///
    /// # Errors
    /// When it is not certain that all were recorded; it must be tried again then.
    async fn revoke(&self, jtis: &[Jti], now: Timestamp) -> Result<(), RevokeError>;
}
