//! Logs that show alterations: lines are only ever added, and each line's digest covers the line
//! before, so that one that was altered or is missing is found.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::secret::Digest;
use crate::web::db::{Database, QueryError};

/// How many lines are read at once.
const PAGE: i64 = 1_000;

/// A line of such a log, which has a table of its own and a counter in `generations`.
pub trait ChainedLine: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Its columns.
    const COLUMNS: &'static str;
    /// How many lines there are stands under this name.
    const COUNTER: &'static str;

    /// Its number; the first one is 1.
    fn number(&self) -> i64;
    /// Its digest as it was written.
    fn digest(&self) -> &str;
    /// All that its digest covers but for the line before.
    fn content(&self) -> Vec<Value>;
    /// The line in a row of its columns.
    ///
    /// # Errors
    /// When it is no line.
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error>;
}

/// The digest of a line that follows the line with the digest `before`.
pub(crate) fn digest_after<L: ChainedLine>(line: &L, before: &str) -> String {
    let mut all = vec![Value::from(before)];
    all.extend(line.content());
    URL_SAFE_NO_PAD.encode(Digest::of(Value::from(all).to_string().as_bytes()).as_bytes())
}

/// Makes others who add a line, or who ask for this, wait until the end of the transaction.
///
/// # Errors
/// When the database fails.
pub(crate) async fn lock<L: ChainedLine>(
    transaction: &mut Transaction<'static, Any>,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE generations SET number = number WHERE name = $1")
        .bind(L::COUNTER)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Counts one more line, and answers its number and the digest of the line before. Everybody else who
/// adds a line waits from here on until the end of the transaction, so lines come one after the other.
///
/// # Errors
/// When the database fails.
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

/// What looking through a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainVerdict {
    /// All lines are there, each as it was written.
    Whole {
        /// How many.
        lines: i64,
        /// The digest of the last one; with the number it proves what the log once ended with.
        digest: String,
    },
    /// This line was altered, or the one before it, or it stands in the wrong place.
    Altered(i64),
    /// The line of this number is missing.
    Missing(i64),
}

/// Looks through a whole log.
///
/// # Errors
/// When the database fails.
pub async fn verify<L: ChainedLine>(db: &Database) -> Result<ChainVerdict, QueryError> {
    let table = L::TABLE;
    // A number below 1 can only have been put there by hand.
    let query = format!("SELECT MIN(number) FROM {table} WHERE number < 1");
    let strange: Option<i64> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(db.reader()).await?;
    if let Some(number) = strange {
        return Ok(ChainVerdict::Altered(number));
    }
    // Lines are added meanwhile. There are at least as many as were counted before the walk, and at
    // most as many as are counted after it.
    let least = count::<L>(db).await?;
    let (mut number, mut before) = (0, String::new());
    let columns = L::COLUMNS;
    let query = format!("SELECT {columns} FROM {table} WHERE number > $1 ORDER BY number LIMIT $2");
    loop {
        let rows =
            sqlx::query(AssertSqlSafe(query.clone())).bind(number).bind(PAGE).fetch_all(db.reader()).await?;
        for row in &rows {
            // SQLite keeps any value in any column; what is no line any more was altered.
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

/// How many lines there should be.
async fn count<L: ChainedLine>(db: &Database) -> Result<i64, QueryError> {
    let count: Option<i64> = sqlx::query_scalar("SELECT number FROM generations WHERE name = $1")
        .bind(L::COUNTER)
        .fetch_optional(db.reader())
        .await?;
    Ok(count.unwrap_or(0).max(0))
}

/// Whether the log once ended with `expected`, a number and a digest as [`ChainVerdict::Whole`] has them,
/// written `NUMBER:DIGEST`.
///
/// # Errors
/// When the database fails.
pub async fn ended_with<L: ChainedLine>(db: &Database, expected: &str) -> Result<bool, QueryError> {
    let Some((number, digest)) = expected.split_once(':') else { return Ok(false) };
    let Ok(number) = number.parse::<i64>() else { return Ok(false) };
    if number == 0 {
        return Ok(digest.is_empty());
    }
    let query = format!("SELECT digest FROM {} WHERE number = $1", L::TABLE);
    let found: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(query)).bind(number).fetch_optional(db.reader()).await?;
    Ok(found.is_some_and(|found| found == digest))
}
