//! The sender's side of the queue: takes mails that are due, and records the result of each attempt.

use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::id::MailId;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::mail::queue::row::{COLUMNS, QueuedMail, from_row};
use crate::web::mail::queue::store::MailQueue;
use crate::web::mail::verdict::MailFault;

/// How long a mail of an unknown kind is postponed.
const PASSED_OVER: Duration = Duration::from_secs(60 * 60);

/// SQL condition: not reserved at the time in `$2`.
const FREE: &str = "(reserved_until IS NULL OR reserved_until <= $2)";

/// Which mails to take from the queue.
#[derive(Clone, Debug, Default)]
pub struct DueSelection {
    /// Whether to take urgent mails or the others.
    pub is_urgent: bool,
    /// Recipients to skip because a mail to them is being sent.
    pub busy_recipients: Vec<String>,
    /// Domains to skip because they already use their share of connections.
    pub busy_domains: Vec<String>,
    /// The maximum number of mails.
    pub limit: u32,
}

impl MailQueue {
    /// Takes mails that are due, oldest first, and reserves each for one attempt until `reserved_until`. If
    /// this process ends before it records the result, the mail is due again then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(
        &self,
        wanted: &DueSelection,
        reserved_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<QueuedMail>, QueryError> {
        let mut query = format!(
            "SELECT {COLUMNS} FROM mails WHERE state = 'waiting' AND urgent = $1 AND next_at <= $2 AND {FREE}"
        );
        let mut next = 3;
        for (column, busy) in [("recipient", &wanted.busy_recipients), ("domain", &wanted.busy_domains)] {
            if !busy.is_empty() {
                let places: Vec<String> =
                    (next..next + busy.len()).map(|place| format!("${place}")).collect();
                query += &format!(" AND {column} NOT IN ({})", places.join(", "));
                next += busy.len();
            }
        }
        query += &format!(" ORDER BY next_at, queued_at LIMIT {}", wanted.limit);
        let mut asked =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(i64::from(wanted.is_urgent)).bind(to_column(now));
        for busy in wanted.busy_recipients.iter().chain(&wanted.busy_domains) {
            asked = asked.bind(busy);
        }
        let mut taken = Vec::new();
        for row in asked.fetch_all(self.db.reader()).await? {
            let Some(mail) = from_row(&row)? else {
                self.postpone(&row.try_get::<String, _>("id")?, now).await?;
                continue;
            };
            // If two processes read the same row, only one of them finds it unchanged.
            let update = format!(
                "UPDATE mails SET reserved_until = $1, attempts = attempts + 1 \
                 WHERE id = $3 AND state = 'waiting' AND attempts = $4 AND {FREE}"
            );
            let moved = sqlx::query(sqlx::AssertSqlSafe(update))
                .bind(to_column(reserved_until))
                .bind(to_column(now))
                .bind(mail.id.as_str())
                .bind(i64::from(mail.attempts))
                .execute(self.db.writer())
                .await?;
            if moved.rows_affected() == 1 {
                taken.push(QueuedMail { attempts: mail.attempts.saturating_add(1), ..mail });
            }
        }
        Ok(taken)
    }

    /// Postpones a mail of a kind that only a newer release knows.
    async fn postpone(&self, id: &str, now: Timestamp) -> Result<(), QueryError> {
        tracing::warn!(mail = id, "a mail of an unknown kind waits for a newer release");
        sqlx::query("UPDATE mails SET next_at = $1 WHERE id = $2")
            .bind(to_column(now.plus(PASSED_OVER)))
            .bind(id)
            .execute(self.db.writer())
            .await?;
        Ok(())
    }

    /// Extends the reservation of a mail while an attempt is running. Returns false if the attempt has lost
    /// it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew(&self, mail: &QueuedMail, reserved_until: Timestamp) -> Result<bool, QueryError> {
        let renewed = sqlx::query(
            "UPDATE mails SET reserved_until = $1 WHERE id = $2 AND state = 'waiting' AND attempts = $3",
        )
        .bind(to_column(reserved_until))
        .bind(mail.id.as_str())
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Returns a mail to the queue that was taken but not sent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_back(&self, mail: &QueuedMail) -> Result<(), QueryError> {
        sqlx::query(
            "UPDATE mails SET reserved_until = NULL, attempts = attempts - 1 \
             WHERE id = $1 AND state = 'waiting' AND attempts = $2",
        )
        .bind(mail.id.as_str())
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// Marks a mail as accepted by the mail server, which replied `answer`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sent(&self, mail: &QueuedMail, answer: &str, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query(
            "UPDATE mails SET state = 'sent', answer = $1, problem = NULL, fault = NULL, \
             reserved_until = NULL, ended_at = $2 WHERE id = $3",
        )
        .bind(answer)
        .bind(to_column(now))
        .bind(mail.id.as_str())
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// Marks a mail as given up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn failed(
        &self,
        mail: &QueuedMail,
        fault: MailFault,
        problem: &str,
        now: Timestamp,
    ) -> Result<(), QueryError> {
        sqlx::query(
            "UPDATE mails SET state = 'failed', fault = $1, problem = $2, reserved_until = NULL, \
             ended_at = $3 WHERE id = $4 AND attempts = $5",
        )
        .bind(fault.as_str())
        .bind(problem)
        .bind(to_column(now))
        .bind(mail.id.as_str())
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// Schedules the next attempt for `next_at`, unless a newer mail replaced this one during the attempt.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn again(
        &self,
        mail: &QueuedMail,
        fault: MailFault,
        problem: &str,
        next_at: Timestamp,
    ) -> Result<(), QueryError> {
        // Older mails were deleted when this one was added, so any other mail that waits is newer.
        if mail.kind.replaces_older() {
            let replaced = sqlx::query(
                "DELETE FROM mails WHERE id = $1 AND attempts = $2 AND EXISTS (SELECT 1 FROM mails newer \
                 WHERE newer.state = 'waiting' AND newer.kind = $3 AND newer.recipient = $4 \
                 AND newer.id <> $1 AND newer.reserved_until IS NULL)",
            )
            .bind(mail.id.as_str())
            .bind(i64::from(mail.attempts))
            .bind(mail.kind.as_str())
            .bind(mail.recipient.as_str())
            .execute(self.db.writer())
            .await?;
            if replaced.rows_affected() > 0 {
                return Ok(());
            }
        }
        sqlx::query(
            "UPDATE mails SET fault = $1, problem = $2, next_at = $3, reserved_until = NULL, refusals = $4 \
             WHERE id = $5 AND attempts = $6",
        )
        .bind(fault.as_str())
        .bind(problem)
        .bind(to_column(next_at))
        .bind(i64::from(mail.refusals))
        .bind(mail.id.as_str())
        .bind(i64::from(mail.attempts))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    /// Makes mails due now that failed because of the server, which works again. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, now: Timestamp) -> Result<u64, QueryError> {
        let due = sqlx::query(
            "UPDATE mails SET next_at = $1 \
             WHERE state = 'waiting' AND fault IN ('server', 'operator') AND next_at > $1",
        )
        .bind(to_column(now))
        .execute(self.db.writer())
        .await?;
        Ok(due.rows_affected())
    }

    /// Returns when the next mail is due, if any is waiting.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, QueryError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(next_at) FROM mails WHERE state = 'waiting' AND reserved_until IS NULL",
        )
        .fetch_one(self.db.reader())
        .await?;
        Ok(next.map(from_column))
    }

    /// Deletes a mail that has nothing to say any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget(&self, id: &MailId) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM mails WHERE id = $1").bind(id.as_str()).execute(self.db.writer()).await?;
        Ok(())
    }
}
