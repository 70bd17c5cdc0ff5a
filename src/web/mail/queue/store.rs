//! The queue itself: what goes in, and who is woken by it.

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
pub struct MailQueue {
    pub(super) db: Database,
    waiting: Arc<Notify>,
    /// Set when an administrator asks for an attempt.
    pub(super) try_now: Arc<AtomicBool>,
    /// What needs help, as of the last look.
    stuck: Arc<Mutex<StuckMail>>,
}

impl MailQueue {
    /// The queue in `db`.
    pub fn new(db: Database) -> MailQueue {
        MailQueue { db, waiting: Arc::default(), try_now: Arc::default(), stuck: Arc::default() }
    }

    /// Adds a mail in the transaction of what it tells of: both are there, or neither. Returns its id. Call
    /// [`MailQueue::wake`] after the commit.
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
            // Only the newest link counts; it takes the place of one that has not left yet.
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

    /// Has what waits looked at now.
    pub fn wake(&self) {
        self.waiting.notify_one();
    }

    /// Whether somebody asked for an attempt since the last call, however long the server's pause is.
    pub(crate) fn was_asked_to_try_now(&self) -> bool {
        self.try_now.swap(false, Ordering::Relaxed)
    }

    /// Ends when somebody calls [`MailQueue::wake`].
    pub(crate) async fn woken(&self) {
        self.waiting.notified().await;
    }

    /// Mails that need an administrator now; see [`StuckMail`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stuck(&self, now: Timestamp) -> Result<StuckMail, QueryError> {
        stuck::look(&self.db, self.known_stuck().is_server_down, now).await
    }

    /// Looks whether mail is stuck, and keeps what it saw for [`MailQueue::known_stuck`]. `is_server_down` is what
    /// the sender knows of the server; `None` keeps what it said last.
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

    /// What needed help at the last look. Costs no query, so that every page can say it.
    pub fn known_stuck(&self) -> StuckMail {
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
