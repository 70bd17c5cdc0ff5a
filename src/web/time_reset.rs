//! Resets the times in the web app's database after the clock was ahead for a while. Times of past events
//! that are later than now are set to now, expiries are limited to what they could be if they had begun now,
//! and all sessions and action links end. The logs stay as they are, because their lines can't be altered.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use crate::clock::{Clock, Timestamp, WrongClock};
use crate::used_tokens::UsedTokens;
use crate::used_tokens::sql::SqlUsedTokens;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, DatabaseSettings, QueryError};
use crate::web::device_logins;
use crate::web::restored::{RestoreDetectionError, end_sessions};
use crate::web::second_factor;
use crate::web::services::WebOpenError;
use crate::web::webhooks::FORMER_KEPT;

/// Columns with times at which something happened, or from which on something is due.
pub const PAST: [(&str, &str); 69] = [
    ("accounts", "created_at"),
    ("accounts", "last_login_at"),
    ("accounts", "activated_at"),
    ("accounts", "last_download_at"),
    ("second_factors", "confirmed_at"),
    ("address_changes", "requested_at"),
    ("mails", "queued_at"),
    ("mails", "next_at"),
    ("mails", "ended_at"),
    ("mails", "reserved_until"),
    ("action_codes", "issued_at"),
    ("intents", "at"),
    ("sent_forms", "at"),
    ("owner_notices", "next_at"),
    ("links", "created_at"),
    ("links", "withdrawn_at"),
    ("links", "files_deleted_at"),
    ("recipients", "added_at"),
    ("recipients", "removed_at"),
    ("recipients", "looked_at"),
    ("recipients", "file_viewed_at"),
    ("recipients", "mailed_until"),
    ("recipients", "mail_ended_at"),
    ("notices_off", "since"),
    ("link_uses", "made_at"),
    ("link_uses", "changed_at"),
    ("link_tokens", "issued_at"),
    ("link_tokens", "handed_at"),
    ("receipts", "redeemed_at"),
    ("receipts", "started_at"),
    ("receipts", "last_at"),
    ("nodes", "told_since"),
    ("nodes", "told_until"),
    ("nodes", "seen_at"),
    ("nodes", "removed_at"),
    ("node_keys", "made_at"),
    ("node_keys", "removed_at"),
    ("revocations", "marked_at"),
    ("uploads", "created_at"),
    ("file_checksums", "made_at"),
    ("checksum_queue", "wanted_at"),
    ("manifests", "used_at"),
    ("file_requests", "created_at"),
    ("file_requests", "stopped_at"),
    ("request_guests", "made_at"),
    ("request_files", "arrived_at"),
    ("trash", "trashed_at"),
    ("database_standing", "restored_at"),
    ("database_standing", "restored_to"),
    ("store_standings", "seen_at"),
    ("api_keys", "created_at"),
    ("api_keys", "last_used_at"),
    ("api_keys", "revoked_at"),
    ("api_requests", "at"),
    ("device_logins", "created_at"),
    ("device_logins", "asked_at"),
    ("webhooks", "created_at"),
    ("webhooks", "failing_since"),
    ("webhooks", "next_at"),
    ("webhooks", "reserved_until"),
    ("webhook_messages", "queued_at"),
    ("webhook_messages", "next_at"),
    ("webhook_messages", "begun_at"),
    ("webhook_messages", "ended_at"),
    ("webhook_attempts", "tried_at"),
    ("webhook_views", "told_at"),
    ("webhook_ends", "told_until"),
    ("sessions", "created_at"),
    ("sessions", "last_seen_at"),
];

/// How far in the future each kind of expiry can be.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeLimits {
    /// The clock skew that is tolerated in tokens.
    pub leeway: Duration,
    /// The maximum lifetime of a token.
    pub token: Duration,
    /// The maximum time for which a redeemed token is kept.
    pub lease: Duration,
    /// How long an account that was never activated is kept.
    pub unactivated: Duration,
    /// How long an upload that receives no new bytes is kept.
    pub upload: Duration,
    /// How long files are kept in the trash.
    pub trash: Duration,
    /// How long an invitation is valid.
    pub invitation: Duration,
}

/// Columns with times at which something ends, and how far in the future these can be.
fn ends(limits: &TimeLimits) -> [(&'static str, &'static str, Duration); 10] {
    let kept = limits.token.saturating_add(limits.lease);
    [
        ("accounts", "forget_at", limits.unactivated),
        ("link_tokens", "expires_at", limits.token),
        ("issued_tokens", "forget_at", kept),
        ("revocations", "forget_at", kept),
        ("uploads", "expires_at", limits.upload),
        ("links", "arrival_until", limits.upload),
        ("trash", "forget_at", limits.trash),
        ("action_codes", "expires_at", limits.invitation),
        ("device_logins", "ends_at", device_logins::WAITS),
        ("webhooks", "former_until", FORMER_KEPT),
    ]
}

/// Returns the latest time that the database has recorded, if it is too far ahead of `now`; `None` if it
/// isn't or if there is no database yet.
///
/// # Errors
/// When the database can't be opened.
pub async fn wrong(
    database: impl Into<DatabaseSettings>,
    limits: impl Into<TimeLimits>,
    now: Timestamp,
) -> Result<Option<WrongClock>, WebOpenError> {
    let (database, leeway) = (database.into(), limits.into().leeway);
    let Some((db, used)) = open(database, now).await? else { return Ok(None) };
    db.close().await;
    Ok(WrongClock::judge(now, used.opened_mark(), leeway))
}

/// Resets the time of the database to `now`. Returns how many sessions ended.
///
/// # Errors
/// When the database fails. Then either nothing has changed, or everything except used action links.
pub async fn reset(
    database: impl Into<DatabaseSettings>,
    limits: impl Into<TimeLimits>,
    now: Timestamp,
) -> Result<u64, WebOpenError> {
    let (database, limits) = (database.into(), limits.into());
    let Some((db, used)) = open(database, now).await? else { return Ok(0) };
    let sessions = reset_rows(&db, &limits, now).await.map_err(RestoreDetectionError::from)?;
    // Done last: as long as this mark is ahead, the next attempt repeats everything.
    used.reset_time(now).await?;
    db.close().await;
    Ok(sessions)
}

async fn open(
    database: DatabaseSettings,
    now: Timestamp,
) -> Result<Option<(Database, SqlUsedTokens)>, WebOpenError> {
    if !database.is_there() {
        return Ok(None);
    }
    let db = Database::open(database).await?;
    // A separate clock, because the mark in the database must not become the time of anything else.
    let clock = Clock::manual(now);
    let used = SqlUsedTokens::open(db.reader().clone(), db.writer().clone(), &clock, None).await?;
    Ok(Some((db, used)))
}

async fn reset_rows(db: &Database, limits: &TimeLimits, now: Timestamp) -> Result<u64, QueryError> {
    let mut transaction = db.begin().await?;
    let sessions = end_sessions(&mut transaction).await?;
    let past = PAST.map(|(table, column)| (table, column, Duration::ZERO));
    for (table, column, longest) in past.into_iter().chain(ends(limits)) {
        let update = format!("UPDATE {table} SET {column} = $1 WHERE {column} > $1");
        let latest = to_column(now.plus(longest));
        sqlx::query(AssertSqlSafe(update)).bind(latest).execute(&mut *transaction).await?;
    }
    // Codes of steps that are still to come would be refused until then.
    sqlx::query("UPDATE second_factors SET last_step = $1 WHERE last_step > $1")
        .bind(to_column(now) / second_factor::STEP_SECONDS)
        .execute(&mut *transaction)
        .await?;
    let last = sqlx::query("SELECT MAX(at) AS last FROM audit").fetch_one(&mut *transaction).await?;
    let last = from_column(last.try_get::<Option<i64>, _>("last")?.unwrap_or(0));
    let subject = format!("to {now}; the latest line before is of {last}");
    audit::append(&mut transaction, &Actor::operator(), AuditEvent::TimeReset, &subject, now).await?;
    db.commit(transaction).await?;
    Ok(sessions)
}

/// Returns the columns with expiries that [`reset`] handles, so that a test can find those that are missing.
pub fn ends_looked_after() -> impl Iterator<Item = (&'static str, &'static str)> {
    ends(&TimeLimits::default()).into_iter().map(|(table, column, _)| (table, column))
}
