//! Detects stuck mail, so that administrators see a notice on every page. The most recent result is kept in
//! memory, so that pages don't query the database.

use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};

/// A mail that has waited longer than this needs attention …
const LONG: Duration = Duration::from_secs(60 * 60);
/// … unless it is only the recipient's server that defers or refuses it: mailboxes can be full for days.
const LONG_FOR_ONE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long mails that were given up are pointed out, unless the recipient's mailbox was the cause.
const SHOWN_AS_FAILED: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Mails that need attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StuckMail {
    /// Whether the mail server doesn't work, as far as this process knows.
    pub is_server_down: bool,
    /// How many were given up in the last days, unless the recipient's mailbox was the cause.
    pub given_up: u64,
    /// How many wait for something that the operator must fix, or have waited too long.
    pub waiting: u64,
}

impl StuckMail {
    /// Whether anything needs attention.
    pub const fn is_any(self) -> bool {
        self.is_server_down || self.given_up > 0 || self.waiting > 0
    }
}

/// Counts mails that need an administrator: those that were given up recently, unless the recipient's mailbox
/// was the cause; those that wait for something that the operator must fix; and those that have waited too
/// long. A mail that was never tried has waited since it was due.
///
/// # Errors
/// When the database fails.
pub(super) async fn look(
    db: &Database,
    is_server_down: bool,
    now: Timestamp,
) -> Result<StuckMail, QueryError> {
    let row = sqlx::query(
        "SELECT COUNT(CASE WHEN state = 'failed' AND ended_at > $1 \
         AND fault NOT IN ('mailbox', 'bounced', 'later') THEN 1 END), \
         COUNT(CASE WHEN state = 'waiting' AND (fault = 'operator' \
         OR (CASE WHEN attempts > 0 THEN queued_at ELSE next_at END) \
         <= (CASE WHEN fault IN ('later', 'refused') THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END)) \
         THEN 1 END) FROM mails WHERE state IN ('waiting', 'failed')",
    )
    .bind(to_column(now.minus(SHOWN_AS_FAILED)))
    .bind(to_column(now.minus(LONG_FOR_ONE)))
    .bind(to_column(now.minus(LONG)))
    .fetch_one(db.reader())
    .await?;
    let count = |index| row.try_get::<i64, _>(index).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(StuckMail { is_server_down, given_up: count(0)?, waiting: count(1)? })
}
