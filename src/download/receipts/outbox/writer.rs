//! The single writer of the outbox: executes all commands that arrived during the last commit in one commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Timestamp;
use crate::download::receipts::outbox::kept::{OutboxEntry, OutboxError};
use crate::download::receipts::outbox::rows::{CHANGE, KEEP, ROWS, mark_told, to_column, upsert};
use crate::id::Jti;

/// Maximum number of commands in one commit.
const GROUP: usize = 512;

/// A command for the writer, and where to send the result.
pub(super) enum WriterCommand {
    Intend(Box<OutboxEntry>, oneshot::Sender<Result<bool, OutboxError>>),
    Keep {
        kept: Vec<OutboxEntry>,
        cancelled: Vec<Jti>,
        done: oneshot::Sender<Result<(), OutboxError>>,
    },
    Told(Vec<(Jti, u64)>, oneshot::Sender<Result<(), OutboxError>>),
    Forget(Timestamp, oneshot::Sender<Result<(), OutboxError>>),
    Close(oneshot::Sender<Result<(), OutboxError>>),
    /// A no-op.
    #[cfg(test)]
    Panic,
}

/// The writer's state. It survives a panic, after which the next run continues from the file.
pub(super) struct OutboxWriter {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    queue: mpsc::Receiver<WriterCommand>,
    failing: Arc<AtomicBool>,
    /// The content of the disk is unknown.
    unreliable: bool,
}

impl OutboxWriter {
    /// Creates a writer on an open connection; `failing` tells others whether the last commit failed.
    pub(super) const fn new(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        queue: mpsc::Receiver<WriterCommand>,
        failing: Arc<AtomicBool>,
    ) -> OutboxWriter {
        OutboxWriter { connection: Some(connection), options, queue, failing, unreliable: false }
    }

    /// Executes commands until all senders are gone.
    pub(super) async fn run(&mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.queue.recv_many(&mut group, GROUP).await > 0 {
            let outcome = self.carry_out(&group).await;
            let inserted = outcome.as_ref().map_or(Vec::new(), Clone::clone);
            let mut inserted = inserted.into_iter();
            for command in group.drain(..) {
                // The caller may have given up.
                let _gone = match command {
                    WriterCommand::Intend(_, done) => {
                        let new = inserted.next().unwrap_or(false);
                        done.send(outcome.clone().map(|_| new)).map_err(|_| ())
                    }
                    WriterCommand::Keep { done, .. }
                    | WriterCommand::Told(_, done)
                    | WriterCommand::Forget(_, done)
                    | WriterCommand::Close(done) => done.send(outcome.clone().map(|_| ())).map_err(|_| ()),
                    #[cfg(test)]
                    WriterCommand::Panic => Ok(()),
                };
            }
        }
    }

    async fn carry_out(&mut self, group: &[WriterCommand]) -> Result<Vec<bool>, OutboxError> {
        // After a panic, callers get an error, and the next commit counts as doubtful.
        let doubt = FailOnPanic(&self.failing);
        let outcome = match self.unreliable {
            true => Err(OutboxError::Unreliable),
            false => commit_by(&mut self.connection, &self.options, group).await.map_err(|error| {
                // After an I/O error (SQLITE_IOERR), such as a failed fsync, the content of the disk is
                // unknown.
                self.unreliable = primary_code(&error) == Some(10);
                OutboxError::from(error)
            }),
        };
        drop(doubt);
        let failed_before = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        // Logged once, not at every attempt.
        if let Err(error) = &outcome
            && !failed_before
        {
            tracing::error!(cause = crate::telemetry::chain(error), "the receipts' outbox can't be written");
        }
        outcome
    }
}

/// Marks the outbox as failing if a panic drops it.
struct FailOnPanic<'a>(&'a AtomicBool);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Executes a group, on a new connection after a failure: after a failed commit, a connection may be in any
/// state, and is rolled back when it is dropped.
async fn commit_by(
    kept: &mut Option<SqliteConnection>,
    options: &SqliteConnectOptions,
    group: &[WriterCommand],
) -> Result<Vec<bool>, sqlx::Error> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => SqliteConnection::connect_with(options).await?,
    };
    let inserted = commit(&mut connection, group).await?;
    *kept = Some(connection);
    Ok(inserted)
}

/// Executes a group in one transaction. Returns for each intention whether it was new.
async fn commit(
    connection: &mut SqliteConnection,
    group: &[WriterCommand],
) -> Result<Vec<bool>, sqlx::Error> {
    let mut inserted = Vec::new();
    // What usually arrives while downloads begin: one statement, which is a transaction by itself.
    if group.len() <= ROWS && group.iter().all(|command| matches!(command, WriterCommand::Intend(..))) {
        intend(connection, group, &mut inserted).await?;
        return Ok(inserted);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // In their order, but intentions that follow each other together.
    let both_intend = |a: &_, b: &_| matches!((a, b), (WriterCommand::Intend(..), WriterCommand::Intend(..)));
    for commands in group.chunk_by(both_intend) {
        for part in commands.chunks(ROWS) {
            execute(&mut transaction, part, &mut inserted).await?;
        }
    }
    transaction.commit().await?;
    Ok(inserted)
}

/// Executes several intentions, or one other command.
async fn execute(
    transaction: &mut SqliteConnection,
    commands: &[WriterCommand],
    inserted: &mut Vec<bool>,
) -> Result<(), sqlx::Error> {
    match commands {
        [WriterCommand::Keep { kept, cancelled, .. }] => {
            for part in kept.iter().collect::<Vec<_>>().chunks(ROWS) {
                upsert(part, CHANGE).execute(&mut *transaction).await?;
            }
            for jti in cancelled {
                let delete = sqlx::query("DELETE FROM receipts WHERE jti = $1 AND settled = 0");
                delete.bind(jti.to_string()).execute(&mut *transaction).await?;
            }
        }
        [WriterCommand::Told(told, _)] => {
            for part in told.chunks(ROWS) {
                mark_told(part).execute(&mut *transaction).await?;
            }
        }
        [WriterCommand::Close(_)] => {
            let closed = "INSERT INTO outbox (name, value) VALUES ('closed', '') ON CONFLICT DO NOTHING";
            sqlx::query(closed).execute(&mut *transaction).await?;
        }
        #[cfg(test)]
        [WriterCommand::Panic] => std::panic::panic_any("as a test asked"),
        [WriterCommand::Forget(now, _)] => {
            sqlx::query(
                "DELETE FROM receipts WHERE told = sequence AND settled = 1 \
                 AND (state = 'over' OR (state = 'complete' AND until <= $1))",
            )
            .bind(to_column(*now))
            .execute(&mut *transaction)
            .await?;
        }
        intentions => intend(transaction, intentions, inserted).await?,
    }
    Ok(())
}

/// Records at most [`ROWS`] intentions, and adds to `inserted` for each whether it was new.
async fn intend(
    connection: &mut SqliteConnection,
    intentions: &[WriterCommand],
    inserted: &mut Vec<bool>,
) -> Result<(), sqlx::Error> {
    let entries: Vec<&OutboxEntry> = intentions
        .iter()
        .filter_map(|command| match command {
            WriterCommand::Intend(kept, _) => Some(&**kept),
            _ => None,
        })
        .collect();
    // Without a transaction, the commit has returned when everything is read.
    let rows = upsert(&entries, KEEP).fetch_all(connection).await?;
    let mut new = HashSet::with_capacity(rows.len());
    for row in rows {
        new.insert(row.try_get::<String, _>("jti")?);
    }
    // Of several intentions with the same jti, the first one is new.
    inserted.extend(entries.iter().map(|kept| new.remove(&kept.jti.to_string())));
    Ok(())
}

/// Returns SQLite's primary result code, which is the low byte of extended codes.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}
