//! Cuts old lines off a chained log, which leaves a checkpoint.

use sqlx::{AssertSqlSafe, Row};

use crate::clock::Timestamp;
use crate::web::audit::chain::{self, ChainVerdict, ChainedLine};
use crate::web::audit::{Actor, AuditEvent, append, checkpoint};
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::tokens::link_key::LinkKey;

/// The result of cutting a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutOutcome {
    /// So many lines were cut; the log begins after line `number`.
    Cut {
        /// How many lines were cut.
        lines: u64,
        /// The number of the last one.
        number: i64,
        /// Its digest.
        digest: String,
    },
    /// No line is that old, apart from the last one, which always stays.
    NothingToCut,
    /// The log isn't whole, so nothing was cut: what is wrong must stay visible.
    NotWhole(ChainVerdict),
}

/// Cuts the lines from before `before` off a log that is whole, and records in the audit log that this was done.
///
/// # Errors
/// If the database fails; nothing is cut then.
pub async fn cut<L: ChainedLine>(
    db: &Database,
    key: &LinkKey,
    before: Timestamp,
    actor: &Actor,
    now: Timestamp,
) -> Result<CutOutcome, QueryError> {
    let verdict = chain::verify::<L>(db, Some(key)).await?;
    if !matches!(verdict, ChainVerdict::Whole { .. }) {
        return Ok(CutOutcome::NotWhole(verdict));
    }
    let table = L::TABLE;
    let mut transaction = db.begin().await?;
    chain::lock::<L>(&mut transaction).await?;
    let last = format!(
        "SELECT number, digest FROM {table} WHERE number = (SELECT MAX(number) FROM {table} WHERE at < $1 \
         AND number < (SELECT MAX(number) FROM {table}))"
    );
    let last =
        sqlx::query(AssertSqlSafe(last)).bind(to_column(before)).fetch_optional(&mut *transaction).await?;
    let Some(last) = last else { return Ok(CutOutcome::NothingToCut) };
    let (number, digest): (i64, String) = (last.try_get("number")?, last.try_get("digest")?);
    sqlx::query(
        "INSERT INTO log_checkpoints (log, number, digest, mark) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (log) DO UPDATE SET number = excluded.number, digest = excluded.digest, mark = excluded.mark",
    )
    .bind(table)
    .bind(number)
    .bind(&digest)
    .bind(checkpoint::mark(key, table, number, &digest).reveal())
    .execute(&mut *transaction)
    .await?;
    let cut = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE number <= $1")))
        .bind(number)
        .execute(&mut *transaction)
        .await?;
    let subject = format!("{table} up to line {number}, {digest}");
    append(&mut transaction, actor, AuditEvent::LogCut, &subject, now).await?;
    db.commit(transaction).await?;
    Ok(CutOutcome::Cut { lines: cut.rows_affected(), number, digest })
}
