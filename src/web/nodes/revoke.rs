//! How a download service is told what is revoked.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::http_client::HttpError;
use crate::id::Jti;
use crate::web::db::QueryError;
use crate::web::tokens::issuer::IssueError;

/// A download service did not take a revocation.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The command could not be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// It can't be reached.
    #[error("cannot reach the download service")]
    Unreachable(#[from] HttpError),
    /// It answered something else than that it is done.
    #[error("the download service answered {0}")]
    Answer(u16),
    /// Its used-token store failed.
    #[error("the download service could not put it on record")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It failed a moment ago, and is tried again later.
    #[error("the download service did not take the ones before")]
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

/// Puts jtis on record as revoked at one download service.
#[async_trait]
pub trait RevocationSink: Send + Sync {
    /// All of them, durably; doing it twice changes nothing.
    ///
    /// # Errors
    /// When it is not certain that all are on record; then it must be tried again.
    async fn revoke(&self, jtis: &[Jti], now: Timestamp) -> Result<(), RevokeError>;
}
