//! Acts on files that were begun. An intent is on the disk before the act touches anything, and goes in
//! the transaction that records what was done; so what a crash cut off can be found and settled.

use std::sync::Arc;

use dashmap::DashMap;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::secret::{RandomError, Secret};
use crate::web::audit::{Actor, AuditEvent};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};

/// Intents that are settled in one round.
const AT_ONCE: i64 = 500;

/// An act on files that somebody is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) event: AuditEvent,
    /// The path that is acted on; where it was, for what lies in the trash.
    pub(crate) source: String,
    /// The path that comes of it; empty where none does.
    pub(crate) target: String,
    /// The source's inode, where what is found later must be told from something else.
    pub(crate) inode: Option<u64>,
    /// Its id in the trash; empty where the act has nothing to do with that.
    pub(crate) trash: String,
    pub(crate) actor: Actor,
    pub(crate) at: Timestamp,
}

impl Intent {
    /// An act of `actor` at `at`, without anything that it is about.
    pub(crate) fn new(deed: AuditEvent, actor: &Actor, at: Timestamp) -> Result<Intent, RandomError> {
        Ok(Intent {
            id: Secret::random::<16>()?.reveal().to_owned(),
            event: deed,
            source: String::new(),
            target: String::new(),
            inode: None,
            trash: String::new(),
            actor: actor.clone(),
            at,
        })
    }
}

/// The intents on record, and which of them this process is carrying out. Clones are the same.
#[derive(Clone)]
pub(crate) struct Intents {
    db: Database,
    running: Arc<DashMap<String, ()>>,
}

/// As long as it lives, nobody in this process takes the intent for one that was cut off.
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

    /// Marks an intent as one that this process is carrying out.
    pub(crate) fn mark_running(&self, intent: &Intent) -> RunningIntent {
        self.running.insert(intent.id.clone(), ());
        RunningIntent { running: Arc::clone(&self.running), id: intent.id.clone() }
    }

    /// The intents that nobody in this process is carrying out, the oldest first.
    pub(crate) async fn unattended(&self) -> Result<Vec<Intent>, QueryError> {
        let rows = sqlx::query("SELECT * FROM intents WHERE undone = 0 ORDER BY at, id LIMIT $1")
            .bind(AT_ONCE)
            .fetch_all(self.db.reader())
            .await?;
        let intents = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let is_left = |intent: &Intent| !self.running.contains_key(&intent.id);
        Ok(intents.into_iter().flatten().filter(is_left).collect())
    }

    /// Forgets intents that were found undone before `before`: the process that carried them out has said so.
    pub(crate) async fn prune(&self, before: Timestamp) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM intents WHERE undone = 1 AND at < $1")
            .bind(to_column(before))
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}

/// Puts an intent on record.
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

/// Ends an intent. Returns whether it was there: of two processes that record what was done, one does.
pub(crate) async fn close(transaction: &mut Transaction<'static, Any>, id: &str) -> Result<bool, QueryError> {
    let gone = sqlx::query("DELETE FROM intents WHERE id = $1").bind(id).execute(&mut **transaction).await?;
    Ok(gone.rows_affected() > 0)
}

/// Nothing was done of an intent. It stays for a while: its process may still live, and do it.
pub(crate) async fn mark_undone(
    transaction: &mut Transaction<'static, Any>,
    id: &str,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE intents SET undone = 1 WHERE id = $1").bind(id).execute(&mut **transaction).await?;
    Ok(())
}

/// `None` for an act that this release does not know: a newer one will settle it.
fn read(row: &AnyRow) -> Result<Option<Intent>, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let Ok(deed) = text("deed")?.parse() else { return Ok(None) };
    Ok(Some(Intent {
        id: text("id")?,
        event: deed,
        source: text("source")?,
        target: text("target")?,
        inode: text("inode")?.parse().ok(),
        trash: text("trash")?,
        actor: Actor { id: text("actor")?, who: text("who")?, address: text("address")?.parse().ok() },
        at: from_column(row.try_get("at")?),
    }))
}
