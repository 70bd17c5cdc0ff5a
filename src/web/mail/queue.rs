//! The queue of mails in the database: what waits, what was sent, what was given up and why.

use std::sync::Arc;

use sqlx::{Any, Transaction};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::secret::{RandomError, Secret};
use crate::web::accounts::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::mail::NewMail;

/// A mail could not be queued.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No random bytes for its id.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// What the mail says can't be written down.
    #[error("cannot write down a mail")]
    Details(#[from] serde_json::Error),
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> QueueError {
        QueryError::from(error).into()
    }
}

/// The queue. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    db: Database,
    waiting: Arc<Notify>,
}

impl Queue {
    /// The queue in `db`.
    pub fn new(db: Database) -> Queue {
        Queue { db, waiting: Arc::default() }
    }

    /// Adds a mail in the transaction of what it tells of: both are there, or neither. Call
    /// [`Queue::wake`] after the commit.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn add(
        &self,
        transaction: &mut Transaction<'static, Any>,
        mail: &NewMail,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        sqlx::query(
            "INSERT INTO mails (id, kind, recipient, jti, details, state, attempts, queued_at, next_at) \
             VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, $6)",
        )
        .bind(Secret::random::<16>()?.reveal())
        .bind(mail.kind.word())
        .bind(mail.recipient.as_str())
        .bind(mail.jti.to_string())
        .bind(serde_json::to_string(&mail.details)?)
        .bind(to_column(now))
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    /// Has what waits looked at now.
    pub fn wake(&self) {
        self.waiting.notify_one();
    }
}
