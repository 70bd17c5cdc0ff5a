//! The queue itself: adding mails, and waking the sender.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{Any, Transaction};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::id::MailId;
use crate::secret::RandomError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::mail::new_mail::NewMail;
use crate::web::mail::queue::row::domain_of;
use crate::web::mail::stuck::{self, StuckMail};

/// A mail could not be queued.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system gave no random bytes for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The mail's details can't be serialized.
    #[error("cannot serialize the email")]
    Details(#[from] serde_json::Error),
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> QueueError {
        QueryError::from(error).into()
    }
}

/// The queue. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct MailQueue {
    pub(super) db: Database,
    waiting: Arc<Notify>,
    /// Set when an administrator requests an attempt.
    pub(super) try_now: Arc<AtomicBool>,
    /// The mails that needed attention at the last check.
    stuck: Arc<Mutex<StuckMail>>,
}

impl MailQueue {
    /// Creates the queue in `db`.
    pub fn new(db: Database) -> MailQueue {
        MailQueue { db, waiting: Arc::default(), try_now: Arc::default(), stuck: Arc::default() }
    }

    /// Adds a mail in the same transaction as the change that it reports, so that both happen or neither.
    /// Returns the mail's id. Call [`MailQueue::wake`] after the commit.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn add(
        &self,
        transaction: &mut Transaction<'static, Any>,
        mail: &NewMail,
        now: Timestamp,
    ) -> Result<MailId, QueueError> {
        let id = MailId::random()?;
        let mut queued_at = now;
        if mail.kind.replaces_older() {
            // Only the newest mail matters; it replaces those that were not sent yet, and keeps their time in
            // the queue.
            let older: Option<i64> = sqlx::query_scalar(
                "SELECT MIN(queued_at) FROM mails WHERE state = 'waiting' AND kind = $1 AND recipient = $3 \
                 AND (reserved_until IS NULL OR reserved_until <= $2)",
            )
            .bind(mail.kind.as_str())
            .bind(to_column(now))
            .bind(mail.recipient.as_str())
            .fetch_one(&mut **transaction)
            .await?;
            queued_at = older.map_or(now, from_column);
            sqlx::query(
                "DELETE FROM mails WHERE state = 'waiting' AND kind = $1 AND recipient = $3 \
                 AND (reserved_until IS NULL OR reserved_until <= $2)",
            )
            .bind(mail.kind.as_str())
            .bind(to_column(now))
            .bind(mail.recipient.as_str())
            .execute(&mut **transaction)
            .await?;
        }
        sqlx::query(
            "INSERT INTO mails \
             (id, kind, recipient, jti, details, state, attempts, queued_at, next_at, urgent, domain) \
             VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, $6, $7, $8)",
        )
        .bind(id.as_str())
        .bind(mail.kind.as_str())
        .bind(mail.recipient.as_str())
        .bind(mail.jti.to_string())
        .bind(serde_json::to_string(&mail.details)?)
        .bind(to_column(queued_at))
        .bind(i64::from(mail.kind.is_urgent()))
        .bind(domain_of(&mail.recipient))
        .execute(&mut **transaction)
        .await?;
        Ok(id)
    }

    /// Wakes the sender.
    pub fn wake(&self) {
        self.waiting.notify_one();
    }

    /// Whether an attempt was requested since the last call, even if the pause after a server failure isn't
    /// over.
    pub(crate) fn was_asked_to_try_now(&self) -> bool {
        self.try_now.swap(false, Ordering::Relaxed)
    }

    /// Completes when [`MailQueue::wake`] is called.
    pub(crate) async fn woken(&self) {
        self.waiting.notified().await;
    }

    /// Counts the mails that need an administrator now; see [`StuckMail`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stuck(&self, now: Timestamp) -> Result<StuckMail, QueryError> {
        stuck::look(&self.db, self.known_stuck().is_server_down, now).await
    }

    /// Checks whether mail is stuck, and keeps the result for [`MailQueue::known_stuck`]. `is_server_down` is
    /// what the sender knows about the server; `None` keeps the previous value.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh_stuck(
        &self,
        is_server_down: Option<bool>,
        now: Timestamp,
    ) -> Result<(), QueryError> {
        let seen = self.stuck(now).await?;
        let mut known = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let is_server_down = is_server_down.unwrap_or(known.is_server_down);
        *known = StuckMail { is_server_down, ..seen };
        Ok(())
    }

    /// Returns the result of the last check without a query, so that every page can show it.
    pub fn known_stuck(&self) -> StuckMail {
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
