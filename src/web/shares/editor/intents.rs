//! Intents: operations on files that have begun. An intent is committed before the operation changes the
//! disk, and deleted in the transaction that records the result. So an operation that a crash interrupted is
//! found and settled later.

use std::sync::Arc;

use dashmap::DashMap;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::{RandomError, Secret};
use crate::web::audit::{Actor, AuditEvent};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};

/// Maximum number of intents that are settled in one round.
const AT_ONCE: i64 = 500;

/// An operation on files that is about to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) event: AuditEvent,
    /// The path of the file or folder; its original path if it is in the trash.
    pub(crate) source: String,
    /// The resulting path; empty if there is none.
    pub(crate) target: String,
    /// The inode of the source, if it's needed to recognize the file later.
    pub(crate) inode: Option<u64>,
    /// The id in the trash; empty if the operation doesn't involve the trash.
    pub(crate) trash: String,
    pub(crate) actor: Actor,
    pub(crate) at: Timestamp,
}

impl Intent {
    /// Creates an intent of `actor` at time `at`, with all paths empty.
    pub(crate) fn new(event: AuditEvent, actor: &Actor, at: Timestamp) -> Result<Intent, RandomError> {
        Ok(Intent {
            id: Secret::random::<16>()?.reveal().to_owned(),
            event,
            source: String::new(),
            target: String::new(),
            inode: None,
            trash: String::new(),
            actor: actor.clone(),
            at,
        })
    }
}

/// The recorded intents, and which of them this process is carrying out. Clones share their state.
#[derive(Clone)]
pub(crate) struct Intents {
    db: Database,
    running: Arc<DashMap<String, ()>>,
}

/// Keeps other tasks in this process from treating the intent as interrupted, until this is dropped.
pub(crate) struct RunningIntent {
    running: Arc<DashMap<String, ()>>,
    id: String,
}

impl Drop for RunningIntent {
    fn drop(&mut self) {
        self.running.remove(&self.id);
    }
}

impl Intents {
    pub(crate) fn new(db: Database) -> Intents {
        Intents { db, running: Arc::default() }
    }

    /// Marks an intent as being carried out by this process.
    pub(crate) fn mark_running(&self, intent: &Intent) -> RunningIntent {
        self.running.insert(intent.id.clone(), ());
        RunningIntent { running: Arc::clone(&self.running), id: intent.id.clone() }
    }

    /// Returns the intents that this process isn't carrying out, oldest first.
    pub(crate) async fn unattended(&self) -> Result<Vec<Intent>, QueryError> {
        let rows = sqlx::query("SELECT * FROM intents WHERE undone = 0 ORDER BY at, id LIMIT $1")
            .bind(AT_ONCE)
            .fetch_all(self.db.reader())
            .await?;
        let intents = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let is_left = |intent: &Intent| !self.running.contains_key(&intent.id);
        Ok(intents.into_iter().flatten().filter(is_left).collect())
    }

    /// Deletes intents created before `before` that were found not carried out. If their process were still
    /// alive, it would have finished by now.
    pub(crate) async fn prune(&self, before: Timestamp) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM intents WHERE undone = 1 AND at < $1")
            .bind(to_column(before))
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}

/// Records an intent.
pub(crate) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    intent: &Intent,
) -> Result<(), QueryError> {
    sqlx::query(
        "INSERT INTO intents (id, deed, source, target, inode, trash, actor, who, address, at, undone) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)",
    )
    .bind(&intent.id)
    .bind(intent.event.as_str())
    .bind(&intent.source)
    .bind(&intent.target)
    .bind(intent.inode.map(|inode| inode.to_string()).unwrap_or_default())
    .bind(&intent.trash)
    .bind(&intent.actor.id)
    .bind(&intent.actor.who)
    .bind(intent.actor.address.map(|address| address.to_string()).unwrap_or_default())
    .bind(to_column(intent.at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Deletes an intent, and returns whether it existed. If two processes record the same result, only one gets
/// `true`.
pub(crate) async fn close(transaction: &mut Transaction<'static, Any>, id: &str) -> Result<bool, QueryError> {
    let gone = sqlx::query("DELETE FROM intents WHERE id = $1").bind(id).execute(&mut **transaction).await?;
    Ok(gone.rows_affected() > 0)
}

/// Marks an intent as not carried out. It is kept for a while, because its process may still be alive and
/// carry it out.
pub(crate) async fn mark_undone(
    transaction: &mut Transaction<'static, Any>,
    id: &str,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE intents SET undone = 1 WHERE id = $1").bind(id).execute(&mut **transaction).await?;
    Ok(())
}

/// Returns `None` for an operation that this release doesn't know; a newer release will settle it.
fn read(row: &AnyRow) -> Result<Option<Intent>, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let Ok(event) = text("deed")?.parse() else { return Ok(None) };
    Ok(Some(Intent {
        id: text("id")?,
        event,
        source: text("source")?,
        target: text("target")?,
        inode: text("inode")?.parse().ok(),
        trash: text("trash")?,
        actor: Actor { id: text("actor")?, who: text("who")?, address: text("address")?.parse().ok() },
        at: from_column(row.try_get("at")?),
    }))
}
