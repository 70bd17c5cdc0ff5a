//! Whether mail is stuck, so that administrators see it on every page. What the last look saw is kept in
//! memory: no page asks the database.

use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};

/// A mail that waits for longer needs somebody's attention …
const LONG: Duration = Duration::from_secs(60 * 60);
/// … unless only its recipient's server puts it off: mailboxes are full for days.
const LONG_FOR_ONE: Duration = Duration::from_secs(24 * 60 * 60);
/// Mails that were given up are pointed out for this time, unless they only lack a mailbox.
const SHOWN_AS_FAILED: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Mails that need somebody's help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StuckMail {
    /// Whether the mail server does not work, as far as this process knows.
    pub is_server_down: bool,
    /// Given up in the last days, not for want of a mailbox.
    pub given_up: u64,
    /// Waiting for what the operator must mend, or for longer than an hour.
    pub waiting: u64,
}

impl StuckMail {
    /// Whether there are any.
    pub const fn is_any(self) -> bool {
        self.is_server_down || self.given_up > 0 || self.waiting > 0
    }
}

/// Mails that need an administrator: some was given up, not for want of a mailbox; or waits for what the
/// operator must mend; or has waited for long. A mail that was never tried waits from when it was due.
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
