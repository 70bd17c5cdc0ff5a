//! Where a log that was cut begins. The last line that was cut stays as a checkpoint with a message authentication
//! code, so that the log can still be verified from there, and nobody without the key can cut it elsewhere.

use sqlx::Row;

use crate::secret::Secret;
use crate::web::db::{Database, QueryError};
use crate::web::tokens::link_key::LinkKey;

/// The last line that was cut off a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) number: i64,
    pub(super) digest: String,
    /// Whether the key confirms it.
    pub(super) is_genuine: bool,
}

/// Returns the checkpoint of the log in this table, if it was cut. Without the key none is genuine.
pub(super) async fn of(
    db: &Database,
    log: &str,
    key: Option<&LinkKey>,
) -> Result<Option<Checkpoint>, QueryError> {
    let row = sqlx::query("SELECT number, digest, mark FROM log_checkpoints WHERE log = $1")
        .bind(log)
        .fetch_optional(db.reader())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (number, digest): (i64, String) = (row.try_get("number")?, row.try_get("digest")?);
    let stored = Secret::presented(&row.try_get::<String, _>("mark")?).digest();
    let is_genuine = key.is_some_and(|key| mark(key, log, number, &digest).digest() == stored);
    Ok(Some(Checkpoint { number, digest, is_genuine }))
}

/// Returns the message authentication code of a checkpoint.
pub(super) fn mark(key: &LinkKey, log: &str, number: i64, digest: &str) -> Secret {
    key.mark(&format!("checkpoint\n{log}\n{number}\n{digest}"))
}
