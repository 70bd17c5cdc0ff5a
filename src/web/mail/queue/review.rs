//! What administrators see of the queue and do with it, and when ended mails are forgotten.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::id::MailId;
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::mail::queue::row::{BOUNCED, COLUMNS, MailState, QueuedMail, from_row};
use crate::web::mail::queue::store::MailQueue;

/// Sent mails are shown for so long …
const KEEP_SENT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// … and those that were given up.
const KEEP_FAILED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl MailQueue {
    /// An administrator has a mail tried again, now. Answers whether there is such a one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry(
        &self,
        transaction: &mut Transaction<'static, Any>,
        id: &MailId,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let changed = sqlx::query(
            "UPDATE mails SET state = 'waiting', next_at = $1, queued_at = $1, ended_at = NULL, attempts = 0, \
             refusals = 0, fault = NULL \
             WHERE id = $2 AND state <> 'sent' AND (reserved_until IS NULL OR reserved_until <= $1)",
        )
        .bind(to_column(now))
        .bind(id.as_str())
        .execute(&mut **transaction)
        .await?;
        self.try_now.store(true, Ordering::Relaxed);
        Ok(changed.rows_affected() > 0)
    }

    /// An administrator has all mails of a state tried again, now, but for those that have no mailbox.
    /// Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry_all(
        &self,
        transaction: &mut Transaction<'static, Any>,
        state: MailState,
        now: Timestamp,
    ) -> Result<u64, QueryError> {
        let changed = sqlx::query(
            "UPDATE mails SET state = 'waiting', next_at = $1, queued_at = $1, ended_at = NULL, attempts = 0, \
             refusals = 0, fault = NULL \
             WHERE state = $2 AND state <> 'sent' AND (reserved_until IS NULL OR reserved_until <= $1) \
             AND (state = 'waiting' OR fault IS NULL OR fault NOT IN ('mailbox', 'bounced'))",
        )
        .bind(to_column(now))
        .bind(state.as_str())
        .execute(&mut **transaction)
        .await?;
        self.try_now.store(true, Ordering::Relaxed);
        Ok(changed.rows_affected())
    }

    /// A bounce came back for one of these mails. Returns how many of them are known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bounced(&self, ids: &[MailId], reason: &str, now: Timestamp) -> Result<u64, QueryError> {
        let mut known = 0;
        for id in ids {
            let changed = sqlx::query(
                "UPDATE mails SET state = 'failed', fault = $4, problem = $1, ended_at = $2 \
                 WHERE id = $3 AND state = 'sent'",
            )
            .bind(format!("bounced: {reason}"))
            .bind(to_column(now))
            .bind(id.as_str())
            .bind(BOUNCED)
            .execute(self.db.writer())
            .await?;
            known += changed.rows_affected();
        }
        Ok(known)
    }

    /// An administrator takes a mail out of the queue. Answers whether there was such a one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn discard(
        &self,
        transaction: &mut Transaction<'static, Any>,
        id: &MailId,
    ) -> Result<bool, QueryError> {
        let gone = sqlx::query("DELETE FROM mails WHERE id = $1")
            .bind(id.as_str())
            .execute(&mut **transaction)
            .await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Mails of a state, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        state: MailState,
        offset: u32,
        most: u32,
    ) -> Result<Vec<QueuedMail>, QueryError> {
        let query = format!(
            "SELECT {COLUMNS} FROM mails WHERE state = $1 ORDER BY queued_at DESC, id LIMIT $2 OFFSET $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(state.as_str())
            .bind(i64::from(most))
            .bind(i64::from(offset))
            .fetch_all(self.db.reader())
            .await?;
        Ok(rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// How many mails of a state there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(&self, state: MailState) -> Result<u64, QueryError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mails WHERE state = $1")
            .bind(state.as_str())
            .fetch_one(self.db.reader())
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Forgets mails that ended long ago.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        const OVER: &str = "((state = 'sent' AND ended_at <= $1) OR (state = 'failed' AND ended_at <= $2))";
        // The owner of a link goes on seeing what became of its mails.
        let remember = format!(
            "UPDATE recipients SET mail_state = (SELECT state FROM mails WHERE mails.id = recipients.mail), \
             mail_fault = (SELECT fault FROM mails WHERE mails.id = recipients.mail), \
             mail_ended_at = (SELECT ended_at FROM mails WHERE mails.id = recipients.mail) \
             WHERE mail IN (SELECT id FROM mails WHERE kind = 'link' AND {OVER})"
        );
        let mut transaction = self.db.begin().await?;
        for query in [remember, format!("DELETE FROM mails WHERE {OVER}")] {
            sqlx::query(sqlx::AssertSqlSafe(query))
                .bind(to_column(now.minus(KEEP_SENT)))
                .bind(to_column(now.minus(KEEP_FAILED)))
                .execute(&mut *transaction)
                .await?;
        }
        self.db.commit(transaction).await
    }
}
