//! Append-only logs in which alterations can be detected: each line's digest covers the previous one, so an
//! altered or missing line is found.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::secret::Digest;
use crate::web::audit::checkpoint::{self, Checkpoint};
use crate::web::db::{Database, QueryError};
use crate::web::tokens::link_key::LinkKey;

/// How many lines are read at once.
const PAGE: i64 = 1_000;

/// A line of such a log. Each log has its own table, and a counter in `generations`.
pub trait ChainedLine: Sized {
    /// The name of the table.
    const TABLE: &'static str;
    /// Its columns.
    const COLUMNS: &'static str;
    /// The name of the counter with the number of lines.
    const COUNTER: &'static str;

    /// Returns its number; the first line is 1.
    fn number(&self) -> i64;
    /// Returns the stored digest.
    fn digest(&self) -> &str;
    /// Returns everything that the digest covers, except for the previous line.
    fn content(&self) -> Vec<Value>;
    /// Reads a line from a row with these columns.
    ///
    /// # Errors
    /// If the row is not a valid line.
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error>;
}

/// Returns the digest of a line that follows a line with the digest `before`.
pub(crate) fn digest_after<L: ChainedLine>(line: &L, before: &str) -> String {
    let mut all = vec![Value::from(before)];
    all.extend(line.content());
    URL_SAFE_NO_PAD.encode(Digest::of(Value::from(all).to_string().as_bytes()).as_bytes())
}

/// Locks the log: others who add a line or call this wait until the end of the transaction.
///
/// # Errors
/// If the database fails.
pub(crate) async fn lock<L: ChainedLine>(
    transaction: &mut Transaction<'static, Any>,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE generations SET number = number WHERE name = $1")
        .bind(L::COUNTER)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Increments the number of lines, and returns the new number and the digest of the previous line. Anyone
/// else who adds a line waits until the end of the transaction, so lines are added one after another.
///
/// # Errors
/// If the database fails.
pub(crate) async fn next<L: ChainedLine>(
    transaction: &mut Transaction<'static, Any>,
) -> Result<(i64, String), QueryError> {
    sqlx::query("UPDATE generations SET number = number + 1 WHERE name = $1")
        .bind(L::COUNTER)
        .execute(&mut **transaction)
        .await?;
    let number: i64 = sqlx::query_scalar("SELECT number FROM generations WHERE name = $1")
        .bind(L::COUNTER)
        .fetch_one(&mut **transaction)
        .await?;
    let query = format!("SELECT digest FROM {} WHERE number = $1", L::TABLE);
    let before: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(query)).bind(number - 1).fetch_optional(&mut **transaction).await?;
    Ok((number, before.unwrap_or_default()))
}

/// The result of verifying a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainVerdict {
    /// No line is missing or altered.
    Whole {
        /// The number of lines.
        lines: i64,
        /// The digest of the last line. Together with the number, it proves how the log once ended.
        digest: String,
    },
    /// This line or the previous one was altered, or it is in the wrong place.
    Altered(i64),
    /// The line with this number is missing.
    Missing(i64),
}

/// Verifies a whole log: from its first line or, if it was cut, from the checkpoint. `key` confirms that; without it
/// a log that was cut counts as altered.
///
/// # Errors
/// If the database fails.
pub async fn verify<L: ChainedLine>(
    db: &Database,
    key: Option<&LinkKey>,
) -> Result<ChainVerdict, QueryError> {
    let table = L::TABLE;
    let (start, first) = match checkpoint::of(db, L::TABLE, key).await? {
        None => (0, String::new()),
        Some(Checkpoint { number, digest, is_genuine: true }) => (number, digest),
        Some(Checkpoint { number, .. }) => return Ok(ChainVerdict::Altered(number)),
    };
    // Only manual changes can add a number before the first one.
    let query = format!("SELECT MIN(number) FROM {table} WHERE number <= $1");
    let strange: Option<i64> =
        sqlx::query_scalar(AssertSqlSafe(query)).bind(start).fetch_one(db.reader()).await?;
    if let Some(number) = strange {
        return Ok(ChainVerdict::Altered(number));
    }
    // Lines may be added during verification. There are at least as many as were counted before, and at most
    // as many as are counted after.
    let least = count::<L>(db).await?;
    let (mut number, mut before) = (start, first);
    let columns = L::COLUMNS;
    let query = format!("SELECT {columns} FROM {table} WHERE number > $1 ORDER BY number LIMIT $2");
    loop {
        let rows =
            sqlx::query(AssertSqlSafe(query.clone())).bind(number).bind(PAGE).fetch_all(db.reader()).await?;
        for row in &rows {
            // SQLite stores any value in any column; a row that is not a valid line was altered.
            let Ok(line) = L::from_row(row) else { return Ok(ChainVerdict::Altered(number + 1)) };
            if line.number() > number + 1 {
                return Ok(ChainVerdict::Missing(number + 1));
            }
            if line.digest() != digest_after(&line, &before) {
                return Ok(ChainVerdict::Altered(line.number()));
            }
            (number, before) = (line.number(), line.digest().to_owned());
        }
        if rows.is_empty() {
            break;
        }
    }
    let most = count::<L>(db).await?;
    Ok(if number < least {
        ChainVerdict::Missing(number + 1)
    } else if number > most {
        ChainVerdict::Altered(most + 1)
    } else {
        ChainVerdict::Whole { lines: number, digest: before }
    })
}

/// Returns how many lines there should be.
async fn count<L: ChainedLine>(db: &Database) -> Result<i64, QueryError> {
    let count: Option<i64> = sqlx::query_scalar("SELECT number FROM generations WHERE name = $1")
        .bind(L::COUNTER)
        .fetch_optional(db.reader())
        .await?;
    Ok(count.unwrap_or(0).max(0))
}

/// Returns whether the log once ended with `expected`, written as `NUMBER:DIGEST` with the values from
/// [`ChainVerdict::Whole`].
///
/// # Errors
/// If the database fails.
pub async fn ended_with<L: ChainedLine>(
    db: &Database,
    key: Option<&LinkKey>,
    expected: &str,
) -> Result<bool, QueryError> {
    let Some((number, digest)) = expected.split_once(':') else { return Ok(false) };
    let Ok(number) = number.parse::<i64>() else { return Ok(false) };
    if number == 0 {
        return Ok(digest.is_empty());
    }
    let query = format!("SELECT digest FROM {} WHERE number = $1", L::TABLE);
    let found: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(query)).bind(number).fetch_optional(db.reader()).await?;
    if found.is_some() {
        return Ok(found.is_some_and(|found| found == digest));
    }
    // The line that was cut last.
    let cut = checkpoint::of(db, L::TABLE, key).await?;
    Ok(cut.is_some_and(|cut| cut.is_genuine && cut.number == number && cut.digest == digest))
}
