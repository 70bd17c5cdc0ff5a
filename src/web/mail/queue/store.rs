//! The queue of mails in the database: what waits, what was sent, what was given up and why.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::secret::{RandomError, Secret};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::Email;
use crate::web::identity::address::ascii_domain;
use crate::web::mail::new_mail::{Details, Kind, NewMail};
use crate::web::mail::stuck::Stuck;
use crate::web::mail::verdict::Fault;

/// A mail of an unknown kind is looked at again after this time.
const PASSED_OVER: Duration = Duration::from_secs(60 * 60);
/// Sent mails are shown for so long …
const KEEP_SENT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// … and those that were given up.
const KEEP_FAILED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const COLUMNS: &str = "id, kind, recipient, jti, details, state, attempts, queued_at, next_at, ended_at, problem, refusals, answer";

/// The word for why a mail failed that was sent and came back.
pub const BOUNCED: &str = "bounced";

/// Not taken by anybody at the moment in `$2`.
const FREE: &str = "(reserved_until IS NULL OR reserved_until <= $2)";

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
    /// How often the mail server refused this very mail.
    pub refusals: u32,
    /// What the mail server said when it took the mail.
    pub answer: Option<String>,
}

impl Queued {
    /// The domain of its recipient, in ASCII; the share of a domain is counted by it.
    pub fn domain(&self) -> String {
        domain_of(&self.recipient)
    }
}

/// What is wanted of the queue.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Urgent mails, or the others.
    pub is_urgent: bool,
    /// Recipients that have a mail under way.
    pub busy_recipients: Vec<String>,
    /// Domains that have their share of connections.
    pub busy_domains: Vec<String>,
    /// The maximum number of mails.
    pub limit: u32,
}

fn domain_of(recipient: &Email) -> String {
    let domain = recipient.as_str().rsplit_once('@').map_or("", |(_, domain)| domain);
    ascii_domain(domain).unwrap_or_else(|| domain.to_lowercase())
}

/// The queue. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) db: Database,
    waiting: Arc<Notify>,
    /// Set when an administrator asks for an attempt.
    try_now: Arc<AtomicBool>,
    /// What needs help, as of the last look.
    pub(crate) stuck: Arc<Mutex<Stuck>>,
}

impl Queue {
    /// The queue in `db`.
    pub fn new(db: Database) -> Queue {
        Queue { db, waiting: Arc::default(), try_now: Arc::default(), stuck: Arc::default() }
    }

    /// Adds a mail in the transaction of what it tells of: both are there, or neither. Returns its id. Call
    /// [`Queue::wake`] after the commit.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn add(
        &self,
        transaction: &mut Transaction<'static, Any>,
        mail: &NewMail,
        now: Timestamp,
    ) -> Result<String, QueueError> {
        let id = Secret::random::<16>()?.reveal().to_owned();
        let mut queued_at = now;
        if mail.kind.replaces_older() {
            // Only the newest link counts; it takes the place of one that has not left yet.
            let older: Option<i64> = sqlx::query_scalar(
                "SELECT MIN(queued_at) FROM mails WHERE state = 'waiting' AND kind = $1 AND recipient = $3 \
                 AND (reserved_until IS NULL OR reserved_until <= $2)",
            )
            .bind(mail.kind.word())
            .bind(to_column(now))
            .bind(mail.recipient.as_str())
            .fetch_one(&mut **transaction)
            .await?;
            queued_at = older.map_or(now, from_column);
            sqlx::query(
                "DELETE FROM mails WHERE state = 'waiting' AND kind = $1 AND recipient = $3 \
                 AND (reserved_until IS NULL OR reserved_until <= $2)",
            )
            .bind(mail.kind.word())
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
        .bind(&id)
        .bind(mail.kind.word())
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

    /// Ends when somebody calls [`Queue::wake`].
    pub(crate) async fn woken(&self) {
        self.waiting.notified().await;
    }

    /// Takes mails that are due, the oldest first, and reserves each for one attempt until
    /// `reserved_until`: if this process ends before it says what came of one, it is due again then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(
        &self,
        wanted: &Selection,
        reserved_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Queued>, QueryError> {
        let mut query = format!(
            "SELECT {COLUMNS} FROM mails WHERE state = 'waiting' AND urgent = $1 AND next_at <= $2 AND {FREE}"
        );
        let mut next = 3;
        for (column, busy) in [("recipient", &wanted.busy_recipients), ("domain", &wanted.busy_domains)] {
            if !busy.is_empty() {
                let places: Vec<String> =
                    (next..next + busy.len()).map(|place| format!("${place}")).collect();
                query += &format!(" AND {column} NOT IN ({})", places.join(", "));
                next += busy.len();
            }
        }
        query += &format!(" ORDER BY next_at, queued_at LIMIT {}", wanted.limit);
        let mut asked =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(i64::from(wanted.is_urgent)).bind(to_column(now));
        for busy in wanted.busy_recipients.iter().chain(&wanted.busy_domains) {
            asked = asked.bind(busy);
        }
        let mut taken = Vec::new();
        for row in asked.fetch_all(self.db.reader()).await? {
            let Some(mail) = from_row(&row)? else {
                self.postpone(&row.try_get::<String, _>("id")?, now).await?;
                continue;
            };
            // Of two processes that saw the same row, one finds it as it saw it.
            let update = format!(
                "UPDATE mails SET reserved_until = $1, attempts = attempts + 1 \
                 WHERE id = $3 AND state = 'waiting' AND attempts = $4 AND {FREE}"
            );
            let moved = sqlx::query(sqlx::AssertSqlSafe(update))
                .bind(to_column(reserved_until))
                .bind(to_column(now))
                .bind(&mail.id)
                .bind(i64::from(mail.attempts))
                .execute(self.db.writer())
                .await?;
            if moved.rows_affected() == 1 {
                taken.push(Queued { attempts: mail.attempts.saturating_add(1), ..mail });
            }
        }
        Ok(taken)
    }

    /// A mail of a kind that only a newer release knows is passed over.
    async fn postpone(&self, id: &str, now: Timestamp) -> Result<(), QueryError> {
        tracing::warn!(mail = id, "a mail of an unknown kind waits for a newer release");
        sqlx::query("UPDATE mails SET next_at = $1 WHERE id = $2")
            .bind(to_column(now.plus(PASSED_OVER)))
            .bind(id)
            .execute(self.db.writer())
            .await?;
        Ok(())
    }

    /// Keeps a mail reserved while an attempt goes on. Returns false when the attempt has lost it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew(&self, mail: &Queued, reserved_until: Timestamp) -> Result<bool, QueryError> {
        let renewed = sqlx::query(
            "UPDATE mails SET reserved_until = $1 WHERE id = $2 AND state = 'waiting' AND attempts = $3",
        )
        .bind(to_column(reserved_until))
        .bind(&mail.id)
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Gives a mail back that was taken and not tried.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_back(&self, mail: &Queued) -> Result<(), QueryError> {
        sqlx::query(
            "UPDATE mails SET reserved_until = NULL, attempts = attempts - 1 \
             WHERE id = $1 AND state = 'waiting' AND attempts = $2",
        )
        .bind(&mail.id)
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// The mail is with the mail server, which said `answer`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sent(&self, mail: &Queued, answer: &str, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query(
            "UPDATE mails SET state = 'sent', answer = $1, problem = NULL, fault = NULL, \
             reserved_until = NULL, ended_at = $2 WHERE id = $3",
        )
        .bind(answer)
        .bind(to_column(now))
        .bind(&mail.id)
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// The mail is given up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failed(
        &self,
        mail: &Queued,
        fault: Fault,
        problem: &str,
        now: Timestamp,
    ) -> Result<(), QueryError> {
        sqlx::query(
            "UPDATE mails SET state = 'failed', fault = $1, problem = $2, reserved_until = NULL, \
             ended_at = $3 WHERE id = $4 AND attempts = $5",
        )
        .bind(fault.as_str())
        .bind(problem)
        .bind(to_column(now))
        .bind(&mail.id)
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// The mail is tried again at `next_at`, unless a newer one took its place while it was under way.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn again(
        &self,
        mail: &Queued,
        fault: Fault,
        problem: &str,
        next_at: Timestamp,
    ) -> Result<(), QueryError> {
        // What was waiting when this one was added made room for it; what waits beside it came later.
        if mail.kind.replaces_older() {
            let replaced = sqlx::query(
                "DELETE FROM mails WHERE id = $1 AND attempts = $2 AND EXISTS (SELECT 1 FROM mails newer \
                 WHERE newer.state = 'waiting' AND newer.kind = $3 AND newer.recipient = $4 \
                 AND newer.id <> $1 AND newer.reserved_until IS NULL)",
            )
            .bind(&mail.id)
            .bind(i64::from(mail.attempts))
            .bind(mail.kind.word())
            .bind(mail.recipient.as_str())
            .execute(self.db.writer())
            .await?;
            if replaced.rows_affected() > 0 {
                return Ok(());
            }
        }
        sqlx::query(
            "UPDATE mails SET fault = $1, problem = $2, next_at = $3, reserved_until = NULL, refusals = $4 \
             WHERE id = $5 AND attempts = $6",
        )
        .bind(fault.as_str())
        .bind(problem)
        .bind(to_column(next_at))
        .bind(i64::from(mail.refusals))
        .bind(&mail.id)
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// The server is back: what failed for want of it is due now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, now: Timestamp) -> Result<u64, QueryError> {
        let due = sqlx::query(
            "UPDATE mails SET next_at = $1 \
             WHERE state = 'waiting' AND fault IN ('server', 'operator') AND next_at > $1",
        )
        .bind(to_column(now))
        .execute(self.db.writer())
        .await?;
        Ok(due.rows_affected())
    }

    /// The next moment at which a mail is due, if any waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, QueryError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(next_at) FROM mails WHERE state = 'waiting' AND reserved_until IS NULL",
        )
        .fetch_one(self.db.reader())
        .await?;
        Ok(next.map(from_column))
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
            "UPDATE mails SET state = 'waiting', next_at = $1, queued_at = $1, ended_at = NULL, attempts = 0, \
             refusals = 0, fault = NULL \
             WHERE id = $2 AND state <> 'sent' AND (reserved_until IS NULL OR reserved_until <= $1)",
        )
        .bind(to_column(now))
        .bind(id)
        .execute(&mut **transaction)
        .await?;
        self.try_now.store(true, Ordering::Relaxed);
        Ok(changed.rows_affected() > 0)
    }

    /// An administrator has all mails of a state tried again, now, but for those that have no mailbox.
    /// Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry_all(
        &self,
        transaction: &mut Transaction<'static, Any>,
        state: State,
        now: Timestamp,
    ) -> Result<u64, QueryError> {
        let changed = sqlx::query(
            "UPDATE mails SET state = 'waiting', next_at = $1, queued_at = $1, ended_at = NULL, attempts = 0, \
             refusals = 0, fault = NULL \
             WHERE state = $2 AND state <> 'sent' AND (reserved_until IS NULL OR reserved_until <= $1) \
             AND (state = 'waiting' OR fault IS NULL OR fault NOT IN ('mailbox', 'bounced'))",
        )
        .bind(to_column(now))
        .bind(state.word())
        .execute(&mut **transaction)
        .await?;
        self.try_now.store(true, Ordering::Relaxed);
        Ok(changed.rows_affected())
    }

    /// A bounce came back for one of these mails. Returns how many of them are known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bounced(&self, ids: &[String], reason: &str, now: Timestamp) -> Result<u64, QueryError> {
        let mut known = 0;
        for id in ids {
            let changed = sqlx::query(
                "UPDATE mails SET state = 'failed', fault = $4, problem = $1, ended_at = $2 \
                 WHERE id = $3 AND state = 'sent'",
            )
            .bind(format!("bounced: {reason}"))
            .bind(to_column(now))
            .bind(id)
            .bind(BOUNCED)
            .execute(self.db.writer())
            .await?;
            known += changed.rows_affected();
        }
        Ok(known)
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
        const OVER: &str = "((state = 'sent' AND ended_at <= $1) OR (state = 'failed' AND ended_at <= $2))";
        // The owner of a link goes on seeing what became of its mails.
        let remember = format!(
            "UPDATE recipients SET mail_state = (SELECT state FROM mails WHERE mails.id = recipients.mail), \
             mail_fault = (SELECT fault FROM mails WHERE mails.id = recipients.mail), \
             mail_ended_at = (SELECT ended_at FROM mails WHERE mails.id = recipients.mail) \
             WHERE mail IN (SELECT id FROM mails WHERE kind = 'link' AND {OVER})"
        );
        let mut transaction = self.db.begin().await?;
        for query in [remember, format!("DELETE FROM mails WHERE {OVER}")] {
            sqlx::query(sqlx::AssertSqlSafe(query))
                .bind(to_column(now.minus(KEEP_SENT)))
                .bind(to_column(now.minus(KEEP_FAILED)))
                .execute(&mut *transaction)
                .await?;
        }
        self.db.commit(transaction).await
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
        refusals: u32::try_from(row.try_get::<i64, _>("refusals")?).unwrap_or(u32::MAX),
        answer: row.try_get("answer")?,
    }))
}
