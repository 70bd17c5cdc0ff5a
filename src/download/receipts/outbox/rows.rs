//! Deliveries as rows of the outbox.

use std::str::FromStr;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::clock::Timestamp;
use crate::download::ledger::RangeSet;
use crate::download::receipts::outbox::kept::OutboxEntry;
use crate::download::receipts::tally::Tally;
use crate::id::{Jti, LinkId};

/// Maximum number of rows in one statement. SQLite keeps a prepared statement for each number of rows that
/// occurs, some 10 KiB on average.
pub(super) const ROWS: usize = 64;

/// Maximum number of prepared statements, so that none is prepared twice.
pub(super) const STATEMENTS: usize = 4 * ROWS;

/// Keeps an existing row as it is, and returns the new ones.
pub(super) const KEEP: &str = "DO NOTHING RETURNING jti";

/// Updates an existing row.
pub(super) const CHANGE: &str = "DO UPDATE SET sequence = excluded.sequence, settled = excluded.settled, \
    started_at = excluded.started_at, last_at = excluded.last_at, state = excluded.state, \
    resumed = excluded.resumed, handed = excluded.handed, sent = excluded.sent, \
    unacknowledged = excluded.unacknowledged";

/// Writes at most [`ROWS`] rows in one statement; `otherwise` says how to handle existing ones.
pub(super) fn upsert<'q>(
    rows: &[&OutboxEntry],
    otherwise: &str,
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    let values = repeated("(?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows.len());
    let query = format!(
        "INSERT INTO receipts (jti, link, sequence, told, settled, redeemed_at, started_at, last_at, size, \
         state, resumed, address, until, handed, sent, unacknowledged) VALUES {values} \
         ON CONFLICT (jti) {otherwise}"
    );
    rows.iter().fold(sqlx::query(sqlx::AssertSqlSafe(query)), |query, kept| {
        query
            .bind(kept.jti.to_string())
            .bind(kept.link.to_string())
            .bind(kept.sequence.cast_signed())
            .bind(kept.settled)
            .bind(to_column(kept.redeemed_at))
            .bind(kept.tally.started_at.map(to_column))
            .bind(to_column(kept.tally.last_at))
            .bind(kept.size.cast_signed())
            .bind(kept.tally.state.as_str())
            .bind(i64::from(kept.tally.resumed))
            .bind(kept.address.map(|address| address.to_string()))
            .bind(to_column(kept.until))
            .bind(kept.tally.written.to_string())
            .bind(kept.tally.sent.to_string())
            .bind(kept.tally.unacknowledged.to_string())
    })
}

/// Records that the web app has accepted these sequence numbers, at most [`ROWS`].
pub(super) fn mark_told<'q>(
    told: &[(Jti, u64)],
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    let query = format!(
        "WITH accepted (jti, sequence) AS (VALUES {}) UPDATE receipts SET told = accepted.sequence \
         FROM accepted WHERE receipts.jti = accepted.jti AND receipts.told < accepted.sequence",
        repeated("(?, ?)", told.len())
    );
    told.iter().fold(sqlx::query(sqlx::AssertSqlSafe(query)), |query, (jti, sequence)| {
        query.bind(jti.to_string()).bind(sequence.cast_signed())
    })
}

fn repeated(row: &str, times: usize) -> String {
    vec![row; times].join(", ")
}

pub(super) fn from_row(row: &SqliteRow) -> Result<OutboxEntry, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let address: Option<String> = row.try_get("address")?;
    let tally = Tally {
        started_at: row.try_get::<Option<i64>, _>("started_at")?.map(from_column),
        last_at: from_column(row.try_get("last_at")?),
        written: parsed::<RangeSet>(row, "handed")?,
        sent: parsed::<RangeSet>(row, "sent")?,
        unacknowledged: parsed::<RangeSet>(row, "unacknowledged")?,
        resumed: u32::try_from(row.try_get::<i64, _>("resumed")?).unwrap_or(u32::MAX),
        state: state.parse().map_err(|_| sqlx::Error::Decode("unknown state of a delivery".into()))?,
    };
    Ok(OutboxEntry {
        jti: parsed(row, "jti")?,
        link: LinkId::from_store(&row.try_get::<String, _>("link")?),
        sequence: row.try_get::<i64, _>("sequence")?.cast_unsigned(),
        settled: row.try_get("settled")?,
        redeemed_at: from_column(row.try_get("redeemed_at")?),
        size: row.try_get::<i64, _>("size")?.cast_unsigned(),
        address: address.and_then(|address| address.parse().ok()),
        until: from_column(row.try_get("until")?),
        tally,
    })
}

fn parsed<T>(row: &SqliteRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<String, _>(column)?.parse().map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

pub(super) fn to_column(moment: Timestamp) -> i64 {
    i64::try_from(moment.secs()).unwrap_or(i64::MAX)
}

pub(super) fn from_column(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0))
}
