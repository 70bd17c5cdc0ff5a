//! The administrators' view of the queue and their actions on it, and the deletion of old mails.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::id::MailId;
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::mail::queue::row::{BOUNCED, COLUMNS, MailState, QueuedMail, from_row};
use crate::web::mail::queue::store::MailQueue;

/// How long sent mails are kept …
const KEEP_SENT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// … and how long failed ones.
const KEEP_FAILED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl MailQueue {
    /// Schedules a mail for an immediate attempt, as an administrator requested. Returns whether it was
    /// found, unsent and not being sent.
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

    /// Schedules all mails in a state for an immediate attempt, except those whose mailbox doesn't exist or
    /// that bounced. Returns how many.
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

    /// Records that a bounce came back for one of these mails. Returns how many of them are known as sent.
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

    /// Deletes a mail from the queue, as an administrator requested. Returns whether it existed.
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

    /// Returns mails in a state, newest first.
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

    /// Returns the number of mails in a state.
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

    /// Deletes mails that were sent or given up long ago.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        const OVER: &str = "((state = 'sent' AND ended_at <= $1) OR (state = 'failed' AND ended_at <= $2))";
        // The owner of a link continues to see the status of its mails.
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
