//! The durable record of unreported receipts, in its own SQLite file. One writer commits in groups, so any
//! number of parallel redemptions wait for one fsync.

mod kept;
mod rows;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::clock::Timestamp;
use crate::download::receipts::outbox::rows::{STATEMENTS, from_column, from_row, to_column};
use crate::download::receipts::outbox::writer::{OutboxWriter, WriterCommand};
use crate::health::Health;
use crate::id::Jti;
use crate::receipt::Receipt;
use crate::tasks::{RestartDelay, Task};

pub(super) use self::kept::OutboxEntry;
pub use self::kept::OutboxError;

/// Maximum number of receipts in one report: well below the web app's limit for a body.
pub(super) const PER_REPORT: usize = 200;

/// Maximum number of commands waiting for the writer; further callers wait, too.
const WAITING_MAX: usize = 4_096;

/// How soon the writer is restarted; requests wait in the meantime.
const PATIENCE: RestartDelay = RestartDelay {
    first: Duration::from_millis(100),
    most: Duration::from_secs(2),
    steady: Duration::from_secs(10),
};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS receipts (
        jti          TEXT    NOT NULL PRIMARY KEY,
        link         TEXT    NOT NULL,
        -- Rises with each change; the web app has had the one in `told`, 0 being none.
        sequence     INTEGER NOT NULL,
        told         INTEGER NOT NULL,
        -- 0 for a redemption that was begun and of which it is not known yet whether it took place.
        settled      INTEGER NOT NULL,
        redeemed_at  INTEGER NOT NULL,
        started_at   INTEGER,
        last_at      INTEGER NOT NULL,
        size         INTEGER NOT NULL,
        state        TEXT    NOT NULL,
        resumed      INTEGER NOT NULL,
        address      TEXT,
        -- The latest end of the lease.
        until        INTEGER NOT NULL,
        -- Sets of ranges: bytes that were sent and may have arrived without an acknowledgement, bytes that are
        -- with the kernel, and bytes that were sent.
        unacknowledged TEXT  NOT NULL DEFAULT '',
        handed       TEXT    NOT NULL,
        sent         TEXT    NOT NULL
    );
    CREATE INDEX IF NOT EXISTS receipts_to_tell ON receipts (redeemed_at) WHERE sequence > told;
    CREATE TABLE IF NOT EXISTS outbox (
        name   TEXT NOT NULL PRIMARY KEY,
        value  TEXT NOT NULL
    );";

/// The next report.
pub(super) struct ReportBatch {
    pub(super) receipts: Vec<Receipt>,
    /// The oldest redemption that isn't reported yet, not even by this report.
    pub(super) oldest_unreported: Option<Timestamp>,
}

/// The outbox.
pub(super) struct Outbox {
    /// Dropped before the commands.
    _writer: Task,
    commands: mpsc::Sender<WriterCommand>,
    /// Whether the last commit failed.
    failing: Arc<AtomicBool>,
    reader: SqlitePool,
    /// When this outbox was created: it knows nothing about earlier tokens.
    pub(super) made_at: Timestamp,
    /// Identifies this outbox.
    pub(super) id: String,
    /// Whether it was closed properly, so that nothing can have been sent since the last write.
    pub(super) was_closed: bool,
}

/// Resets times after `now` in the file `path`, which nobody else uses, to `now`.
pub(super) async fn reset_time(path: &Path, now: Timestamp) -> Result<(), OutboxError> {
    let mut file = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await?;
    let now = to_column(now);
    for column in ["redeemed_at", "started_at", "last_at", "until"] {
        let update = format!("UPDATE receipts SET {column} = $1 WHERE {column} > $1");
        sqlx::query(AssertSqlSafe(update)).bind(now).execute(&mut file).await?;
    }
    let made_at =
        "UPDATE outbox SET value = CAST($1 AS TEXT) WHERE name = 'made-at' AND CAST(value AS INTEGER) > $1";
    sqlx::query(made_at).bind(now).execute(&mut file).await?;
    Ok(file.close().await?)
}

/// Adds the column that outboxes of earlier releases lack.
async fn add_missing_column(file: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let has_it = "SELECT COUNT(*) FROM pragma_table_info('receipts') WHERE name = 'unacknowledged'";
    if sqlx::query_scalar::<_, i64>(has_it).fetch_one(&mut *file).await? == 0 {
        let add = "ALTER TABLE receipts ADD COLUMN unacknowledged TEXT NOT NULL DEFAULT ''";
        sqlx::query(add).execute(file).await?;
    }
    Ok(())
}

impl Outbox {
    /// Opens or creates the file. `health` is notified when the writer is down.
    pub(super) async fn open(
        path: &Path,
        id: &str,
        now: Timestamp,
        health: &Health,
    ) -> Result<Outbox, OutboxError> {
        // SQLite uses the same mode for its -wal and -shm files.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(5))
            .journal_mode(SqliteJournalMode::Wal)
            // Any weaker mode loses the last commits in a power failure.
            .synchronous(SqliteSynchronous::Full)
            .statement_cache_capacity(STATEMENTS);
        let mut writer = SqliteConnection::connect_with(&options).await?;
        writer.execute(sqlx::raw_sql(TABLES)).await?;
        add_missing_column(&mut writer).await?;
        for (name, value) in [("id", id.to_owned()), ("made-at", now.secs().to_string())] {
            let insert = "INSERT INTO outbox (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
            sqlx::query(insert).bind(name).bind(value).execute(&mut writer).await?;
        }
        let value = "SELECT value FROM outbox WHERE name = $1";
        let id = sqlx::query_scalar(value).bind("id").fetch_one(&mut writer).await?;
        let made_at: String = sqlx::query_scalar(value).bind("made-at").fetch_one(&mut writer).await?;
        let made_at = Timestamp::from_secs(made_at.parse().unwrap_or(now.secs()));
        let opened = sqlx::query("DELETE FROM outbox WHERE name = 'closed'").execute(&mut writer).await?;
        let was_closed = opened.rows_affected() > 0;
        let reader = SqlitePoolOptions::new().max_connections(2).connect_lazy_with(options.clone());
        let (commands, queue) = mpsc::channel(WAITING_MAX);
        let failing = Arc::new(AtomicBool::new(false));
        let writer = Arc::new(Mutex::new(OutboxWriter::new(writer, options, queue, failing.clone())));
        let writer = Task::anywhere(health, PATIENCE, "writing receipts", move || {
            let writer = writer.clone();
            async move { writer.lock().await.run().await }
        });
        Ok(Outbox { _writer: writer, commands, failing, reader, made_at, id, was_closed })
    }

    /// Returns whether a command would probably fail now.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Durably records that a jti is about to be redeemed. Returns whether there was no record yet.
    pub(super) async fn intend(&self, kept: OutboxEntry) -> Result<bool, OutboxError> {
        self.ask(|done| WriterCommand::Intend(Box::new(kept), done)).await
    }

    /// Records the current states of deliveries, and removes failed redemptions.
    pub(super) async fn save(&self, kept: Vec<OutboxEntry>, cancelled: Vec<Jti>) -> Result<(), OutboxError> {
        self.ask(|done| WriterCommand::Keep { kept, cancelled, done }).await
    }

    /// Records that the web app has accepted these.
    pub(super) async fn mark_reported(&self, receipts: &[Receipt]) -> Result<(), OutboxError> {
        let told = receipts.iter().map(|receipt| (receipt.jti, receipt.sequence)).collect();
        self.ask(|done| WriterCommand::Told(told, done)).await
    }

    /// Removes what is reported and can't change any more.
    pub(super) async fn forget(&self, now: Timestamp) -> Result<(), OutboxError> {
        self.ask(|done| WriterCommand::Forget(now, done)).await
    }

    /// Makes the writer panic.
    #[cfg(test)]
    pub(super) async fn panic(&self) {
        self.commands.send(WriterCommand::Panic).await.unwrap();
    }

    /// Records that nothing more is sent and everything is recorded.
    pub(super) async fn close(&self) -> Result<(), OutboxError> {
        self.ask(WriterCommand::Close).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, OutboxError>>) -> WriterCommand,
    ) -> Result<T, OutboxError> {
        let (done, answer) = oneshot::channel();
        match self.commands.try_send(command(done)) {
            Ok(()) => {}
            Err(TrySendError::Full(command)) => {
                Box::pin(self.commands.send(command)).await.map_err(|_| OutboxError::Closed)?;
            }
            Err(TrySendError::Closed(_)) => return Err(OutboxError::Closed),
        }
        answer.await.map_err(|_| OutboxError::Closed)?
    }

    /// Returns the delivery of a jti, if it is here.
    pub(super) async fn find(&self, jti: Jti) -> Result<Option<OutboxEntry>, OutboxError> {
        let query = sqlx::query("SELECT * FROM receipts WHERE jti = $1").bind(jti.to_string());
        Ok(query.fetch_optional(&self.reader).await?.as_ref().map(from_row).transpose()?)
    }

    /// Returns all deliveries that can still change.
    pub(super) async fn unfinished(&self) -> Result<Vec<OutboxEntry>, OutboxError> {
        let query = sqlx::query("SELECT * FROM receipts WHERE settled = 0 OR state IN ('running', 'broken')");
        Ok(query.fetch_all(&self.reader).await?.iter().map(from_row).collect::<Result<_, _>>()?)
    }

    /// Returns how many deliveries have changed since the web app was last told about them.
    pub(super) async fn waiting(&self) -> Result<i64, OutboxError> {
        let count = "SELECT COUNT(*) FROM receipts WHERE sequence > told";
        Ok(sqlx::query_scalar(count).fetch_one(&self.reader).await?)
    }

    /// Returns the next report; deliveries that weren't reported yet come first.
    pub(super) async fn batch(&self) -> Result<ReportBatch, OutboxError> {
        let rows = sqlx::query(
            "SELECT * FROM receipts WHERE sequence > told AND settled = 1 \
             ORDER BY told > 0, redeemed_at LIMIT $1",
        )
        .bind(i64::try_from(PER_REPORT).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await?;
        let receipts: Vec<Receipt> =
            rows.iter().map(|row| from_row(row).map(|kept| kept.receipt())).collect::<Result<_, _>>()?;
        // One more than fits in a report: the first one left out is the oldest.
        let rows = sqlx::query(
            "SELECT jti, redeemed_at FROM receipts WHERE sequence > told AND told = 0 \
             ORDER BY redeemed_at LIMIT $1",
        )
        .bind(i64::try_from(PER_REPORT + 1).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await?;
        let mut oldest_untold = None;
        for row in &rows {
            let (jti, at): (String, i64) = (row.try_get("jti")?, row.try_get("redeemed_at")?);
            if !receipts.iter().any(|receipt| receipt.jti.to_string() == jti) {
                oldest_untold = Some(from_column(at));
                break;
            }
        }
        Ok(ReportBatch { receipts, oldest_unreported: oldest_untold })
    }
}
