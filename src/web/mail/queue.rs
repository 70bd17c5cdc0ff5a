//! The queue of mails in the database: what waits, what was sent, what was given up and why.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::secret::{RandomError, Secret};
use crate::web::account::Email;
use crate::web::accounts::{from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::mail::{Details, Kind, NewMail};

/// Sent mails are shown for so long …
const KEEP_SENT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// … and those that were given up.
const KEEP_FAILED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const COLUMNS: &str =
    "id, kind, recipient, jti, details, state, attempts, queued_at, next_at, ended_at, problem";

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

/// How far a mail has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is to be sent.
    Waiting,
    /// The mail server has it, or the outbox.
    Sent,
    /// It was given up.
    Failed,
}

impl State {
    /// All states.
    pub const ALL: [State; 3] = [State::Waiting, State::Sent, State::Failed];

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Sent => "sent",
            State::Failed => "failed",
        }
    }
}

/// A mail in the queue.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its id, which stands in its `Message-ID`.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// To whom it goes.
    pub recipient: Email,
    /// The jti of the link in it, if there will be one.
    pub jti: Jti,
    /// What else it says.
    pub details: Details,
    /// How far it has come.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it is tried next.
    pub next_at: Timestamp,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
    /// What went wrong last.
    pub problem: Option<String>,
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

    /// Ends when somebody calls [`Queue::wake`].
    pub(super) async fn woken(&self) {
        self.waiting.notified().await;
    }

    /// Takes mails that are due, for `patience`: until then nobody else takes them, and if this
    /// process ends before it says what came of one, it is due again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(
        &self,
        most: u32,
        patience: Duration,
        now: Timestamp,
    ) -> Result<Vec<Queued>, QueryError> {
        let query = format!(
            "SELECT {COLUMNS} FROM mails WHERE state = 'waiting' AND next_at <= $1 ORDER BY next_at LIMIT $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(to_column(now))
            .bind(i64::from(most))
            .fetch_all(self.db.reader())
            .await?;
        let mut taken = Vec::new();
        for row in rows {
            let Some(mail) = from_row(&row)? else { continue };
            // Of two processes that saw the same row, one finds it as it saw it.
            let moved = sqlx::query(
                "UPDATE mails SET next_at = $1, attempts = attempts + 1 \
                 WHERE id = $2 AND state = 'waiting' AND next_at = $3 AND attempts = $4",
            )
            .bind(to_column(now.plus(patience)))
            .bind(&mail.id)
            .bind(to_column(mail.next_at))
            .bind(i64::from(mail.attempts))
            .execute(self.db.writer())
            .await?;
            if moved.rows_affected() == 1 {
                taken.push(Queued { attempts: mail.attempts.saturating_add(1), ..mail });
            }
        }
        Ok(taken)
    }

    /// The mail is with the mail server.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sent(&self, id: &str, now: Timestamp) -> Result<(), QueryError> {
        self.ended(id, State::Sent, None, now).await
    }

    /// The mail is given up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failed(&self, id: &str, problem: &str, now: Timestamp) -> Result<(), QueryError> {
        self.ended(id, State::Failed, Some(problem), now).await
    }

    async fn ended(
        &self,
        id: &str,
        state: State,
        problem: Option<&str>,
        now: Timestamp,
    ) -> Result<(), QueryError> {
        sqlx::query("UPDATE mails SET state = $1, problem = $2, ended_at = $3 WHERE id = $4")
            .bind(state.word())
            .bind(problem)
            .bind(to_column(now))
            .bind(id)
            .execute(self.db.writer())
            .await?;
        Ok(())
    }

    /// The mail is tried again at `next_at`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn again(&self, id: &str, problem: &str, next_at: Timestamp) -> Result<(), QueryError> {
        sqlx::query("UPDATE mails SET problem = $1, next_at = $2 WHERE id = $3")
            .bind(problem)
            .bind(to_column(next_at))
            .bind(id)
            .execute(self.db.writer())
            .await?;
        Ok(())
    }

    /// There is nothing to say any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget(&self, id: &str) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM mails WHERE id = $1").bind(id).execute(self.db.writer()).await?;
        Ok(())
    }

    /// An administrator has a mail tried again, now. Answers whether there is such a one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry(
        &self,
        transaction: &mut Transaction<'static, Any>,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let changed = sqlx::query(
            "UPDATE mails SET state = 'waiting', next_at = $1, queued_at = $1, ended_at = NULL \
             WHERE id = $2 AND state <> 'sent'",
        )
        .bind(to_column(now))
        .bind(id)
        .execute(&mut **transaction)
        .await?;
        Ok(changed.rows_affected() > 0)
    }

    /// An administrator takes a mail out of the queue. Answers whether there was such a one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn discard(
        &self,
        transaction: &mut Transaction<'static, Any>,
        id: &str,
    ) -> Result<bool, QueryError> {
        let gone =
            sqlx::query("DELETE FROM mails WHERE id = $1").bind(id).execute(&mut **transaction).await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Mails of a state, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, state: State, offset: u32, most: u32) -> Result<Vec<Queued>, QueryError> {
        let query = format!(
            "SELECT {COLUMNS} FROM mails WHERE state = $1 ORDER BY queued_at DESC, id LIMIT $2 OFFSET $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(state.word())
            .bind(i64::from(most))
            .bind(i64::from(offset))
            .fetch_all(self.db.reader())
            .await?;
        Ok(rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// How many mails of a state there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(&self, state: State) -> Result<u64, QueryError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mails WHERE state = $1")
            .bind(state.word())
            .fetch_one(self.db.reader())
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Forgets mails that ended long ago.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query(
            "DELETE FROM mails WHERE (state = 'sent' AND ended_at <= $1) OR (state = 'failed' AND ended_at <= $2)",
        )
        .bind(to_column(now.minus(KEEP_SENT)))
        .bind(to_column(now.minus(KEEP_FAILED)))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }
}

/// `None` for a mail of which this release does not know the kind: a newer one will send it.
fn from_row(row: &AnyRow) -> Result<Option<Queued>, sqlx::Error> {
    let (kind, jti): (String, String) = (row.try_get("kind")?, row.try_get("jti")?);
    let (details, state): (String, String) = (row.try_get("details")?, row.try_get("state")?);
    let kind = Kind::ALL.into_iter().find(|known| known.word() == kind);
    let state = State::ALL.into_iter().find(|known| known.word() == state);
    let (Some(kind), Some(state), Ok(jti)) = (kind, state, jti.parse()) else { return Ok(None) };
    Ok(Some(Queued {
        id: row.try_get("id")?,
        kind,
        recipient: Email::from_store(row.try_get("recipient")?),
        jti,
        details: serde_json::from_str(&details).unwrap_or_default(),
        state,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        queued_at: from_column(row.try_get("queued_at")?),
        next_at: from_column(row.try_get("next_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(from_column),
        problem: row.try_get("problem")?,
    }))
}
