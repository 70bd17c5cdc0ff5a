//! Batches the notices to owners of links: at most one every ten minutes for each link, which says how many
//! downloads it covers. This keeps frequent downloads from flooding a mailbox.

use std::time::Duration;

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{Jti, LinkId};
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::deliveries::receipts::DeliveryStore;
use crate::web::mail::MailKind;

/// Minimum time between two notices about one link.
const PAUSE: Duration = Duration::from_secs(10 * 60);

/// How the owner is notified of another download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticeBatching {
    /// A notice that is still queued covers this download too.
    IntoWaiting,
    /// It needs a new notice.
    New {
        /// When the notice may be sent at the earliest.
        next_at: Timestamp,
    },
}

/// Counts a download that the owner is to be notified of. A new notice has the jti `jti`.
pub(crate) async fn batch(
    transaction: &mut Transaction<'static, Any>,
    link: &LinkId,
    jti: Jti,
    now: Timestamp,
) -> Result<NoticeBatching, QueryError> {
    let waiting = sqlx::query(
        "UPDATE owner_notices SET downloads = downloads + 1 WHERE link = $1 AND EXISTS (SELECT 1 FROM mails \
         WHERE mails.jti = owner_notices.mail AND mails.kind = $2 AND mails.state = 'waiting' \
         AND mails.attempts = 0)",
    )
    .bind(link.as_str())
    .bind(MailKind::Taken.as_str())
    .execute(&mut **transaction)
    .await?;
    if waiting.rows_affected() > 0 {
        return Ok(NoticeBatching::IntoWaiting);
    }
    let row = sqlx::query("SELECT next_at FROM owner_notices WHERE link = $1")
        .bind(link.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    let last = row.map(|row| row.try_get("next_at")).transpose()?.map(from_column);
    let next_at = last.map_or(now, |last| last.plus(PAUSE).max(now));
    sqlx::query(
        "INSERT INTO owner_notices (link, mail, downloads, next_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (link) DO UPDATE SET mail = excluded.mail, downloads = 1, next_at = excluded.next_at",
    )
    .bind(link.as_str())
    .bind(jti.to_string())
    .bind(to_column(next_at))
    .execute(&mut **transaction)
    .await?;
    Ok(NoticeBatching::New { next_at })
}

/// Delays the notice with this jti until `next_at`.
pub(crate) async fn not_before(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    next_at: Timestamp,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE mails SET next_at = $1 WHERE jti = $2 AND kind = $3 AND state = 'waiting'")
        .bind(to_column(next_at))
        .bind(jti.to_string())
        .bind(MailKind::Taken.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

impl DeliveryStore {
    /// Returns how many downloads the notice with this jti covers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn batched_downloads(&self, mail: Jti) -> Result<u64, QueryError> {
        let downloads: Option<i64> =
            sqlx::query_scalar("SELECT downloads FROM owner_notices WHERE mail = $1")
                .bind(mail.to_string())
                .fetch_optional(self.db.reader())
                .await?;
        Ok(downloads.and_then(|downloads| u64::try_from(downloads).ok()).unwrap_or(1).max(1))
    }
}
