//! Batches the notices to owners of links: one mail for all downloads within a minute, and at most one every ten
//! minutes for each link, which lists the downloads that it covers. So someone who downloads a folder file by
//! file doesn't flood a mailbox. What a notice covers is recorded with the receipts, in their transaction.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{Jti, LinkId};
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::deliveries::receipts::DeliveryStore;
use crate::web::mail::MailKind;
use crate::web::mail::letters::NoticedDownload;

/// How long a notice waits for further downloads.
const WINDOW: Duration = Duration::from_secs(60);

/// Minimum time between two notices about one link.
const PAUSE: Duration = Duration::from_secs(10 * 60);

/// How many downloads a notice lists.
const LISTED: i64 = 10;

/// Up to how many downloads are counted if the count that is kept belongs to a newer notice.
const COUNTED: i64 = 1_000;

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

/// Counts the download `jti`, which the owner is to be notified of. A new notice has the same jti. `is_only` says
/// that no others will follow, so that nothing has to be waited for.
pub(crate) async fn batch(
    transaction: &mut Transaction<'static, Any>,
    link: &LinkId,
    jti: Jti,
    is_only: bool,
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
        cover(transaction, link, jti).await?;
        return Ok(NoticeBatching::IntoWaiting);
    }
    let row = sqlx::query("SELECT next_at FROM owner_notices WHERE link = $1")
        .bind(link.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    let last = row.map(|row| row.try_get("next_at")).transpose()?.map(from_column);
    let soon = if is_only { now } else { now.plus(WINDOW) };
    let next_at = last.map_or(soon, |last| last.plus(PAUSE).max(soon));
    sqlx::query(
        "INSERT INTO owner_notices (link, mail, downloads, next_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (link) DO UPDATE SET mail = excluded.mail, downloads = 1, next_at = excluded.next_at",
    )
    .bind(link.as_str())
    .bind(jti.to_string())
    .bind(to_column(next_at))
    .execute(&mut **transaction)
    .await?;
    cover(transaction, link, jti).await?;
    Ok(NoticeBatching::New { next_at })
}

/// Records that the newest notice about the link covers this download.
async fn cover(
    transaction: &mut Transaction<'static, Any>,
    link: &LinkId,
    jti: Jti,
) -> Result<(), QueryError> {
    sqlx::query(
        "UPDATE receipts SET notice = COALESCE((SELECT mail FROM owner_notices WHERE link = $1), '') WHERE jti = $2",
    )
    .bind(link.as_str())
    .bind(jti.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
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
        // A newer notice takes the place of one that could not be sent yet.
        let recorded: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT 1 AS one FROM receipts WHERE notice = $1 AND notice <> '' LIMIT $2) AS covered",
        )
        .bind(mail.to_string())
        .bind(COUNTED)
        .fetch_one(self.db.reader())
        .await?;
        Ok(u64::try_from(downloads.unwrap_or(1).max(recorded)).unwrap_or(1).max(1))
    }

    /// Returns the downloads that the notice with this jti covers, in order; at most as many as a mail lists.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn noticed_downloads(&self, mail: Jti) -> Result<Vec<NoticedDownload>, QueryError> {
        let rows = sqlx::query(
            "SELECT recipients.email, link_tokens.path, receipts.last_at, receipts.address FROM receipts \
             LEFT JOIN link_tokens ON link_tokens.jti = receipts.jti \
             LEFT JOIN link_uses ON link_uses.id = link_tokens.use_id \
             LEFT JOIN recipients ON recipients.id = link_uses.recipient \
             WHERE receipts.notice = $1 AND receipts.notice <> '' \
             ORDER BY receipts.last_at, receipts.jti LIMIT $2",
        )
        .bind(mail.to_string())
        .bind(LISTED)
        .fetch_all(self.db.reader())
        .await?;
        let read = |row: &AnyRow| -> Result<NoticedDownload, sqlx::Error> {
            let path: Option<String> = row.try_get("path")?;
            Ok(NoticedDownload {
                file: path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned(),
                recipient: row.try_get::<Option<String>, _>("email")?.unwrap_or_default(),
                at: from_column(row.try_get("last_at")?),
                address: row.try_get("address")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}
