//! What an attempt to send a message leads to.

use std::time::Duration;

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::http_client::outside::{OutsideError, OutsideResponse};
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::identity::Email;
use crate::web::mail::{MailDetails, MailKind, NewMail};
use crate::web::webhooks::address::host_of;
use crate::web::webhooks::queue::TakenMessage;
use crate::web::webhooks::schedule::{GIVE_UP, OPENS_AFTER, wait};
use crate::web::webhooks::store::{WebhookError, Webhooks};

/// How long messages are kept after they were delivered, and after they were given up or could not be sent because
/// their webhook was paused.
const DELIVERED_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
const OTHERS_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver has the message.
    Accepted,
    /// The receiver doesn't want this message. The next one is sent all the same.
    Refused,
    /// The receiver doesn't work. Everything waits.
    Trouble {
        /// How long it wants us to wait, in seconds.
        asked: Option<u64>,
    },
    /// The receiver says that it is gone for good.
    Gone,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextStep {
    /// The next message.
    GoOn,
    /// Nothing for a while.
    Wait,
    /// Nothing, until the owner turns the webhook on again.
    Disabled,
}

/// An attempt that is over.
pub(super) struct Attempt {
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    pub(super) result: Result<OutsideResponse, OutsideError>,
}

impl Attempt {
    /// Judges an attempt. Redirects are refusals, because they aren't followed.
    pub(super) fn verdict(&self) -> Verdict {
        match &self.result {
            Ok(response) => match response.status {
                200..=299 => Verdict::Accepted,
                410 => Verdict::Gone,
                408 | 425 | 429 | 500..=599 => Verdict::Trouble { asked: response.retry_after },
                _ => Verdict::Refused,
            },
            Err(_) => Verdict::Trouble { asked: None },
        }
    }

    fn status(&self) -> Option<i64> {
        self.result.as_ref().ok().map(|response| i64::from(response.status))
    }

    fn problem(&self) -> String {
        self.result.as_ref().err().map(ToString::to_string).unwrap_or_default()
    }
}

impl Webhooks {
    /// Records an attempt and its consequences, and gives the reservation back. Returns whether the next message
    /// can be sent now.
    pub(super) async fn settle(
        &self,
        taken: &TakenMessage,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<bool, WebhookError> {
        let verdict = attempt.verdict();
        let mut transaction = self.parts.db.begin().await?;
        // Locks the webhook first, as everywhere.
        let is_there =
            sqlx::query("UPDATE webhooks SET reserved_until = 0 WHERE id = $1 AND reserved_until = $2")
                .bind(taken.webhook.as_str())
                .bind(taken.reserved_until)
                .execute(&mut *transaction)
                .await?;
        if is_there.rows_affected() == 0 {
            // Deleted, or this process was stopped for so long that another one took over.
            return Ok(false);
        }
        write_attempt(&mut transaction, taken, attempt).await?;
        let next = match verdict {
            Verdict::Accepted => {
                end_message(&mut transaction, taken, "delivered", now).await?;
                sqlx::query(
                    "UPDATE webhooks SET failures = 0, failing_since = NULL, next_at = 0 WHERE id = $1",
                )
                .bind(taken.webhook.as_str())
                .execute(&mut *transaction)
                .await?;
                NextStep::GoOn
            }
            Verdict::Gone => self.disable(&mut transaction, taken, now).await?,
            Verdict::Refused | Verdict::Trouble { .. } => {
                self.failed(&mut transaction, taken, verdict, now).await?
            }
        };
        self.parts.db.commit(transaction).await?;
        if next == NextStep::Disabled {
            self.parts.queue.wake();
        }
        Ok(next == NextStep::GoOn)
    }

    /// Decides when the next attempt is made after a failure, or that there is none.
    async fn failed(
        &self,
        transaction: &mut Transaction<'static, Any>,
        taken: &TakenMessage,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<NextStep, WebhookError> {
        let failures = taken.failures.saturating_add(1);
        let since = taken.failing_since.unwrap_or(now);
        if now.since(since) >= GIVE_UP {
            return self.disable(transaction, taken, now).await;
        }
        let begun_at = taken.begun_at.unwrap_or(now);
        let is_over = now.since(begun_at) >= GIVE_UP;
        let (refusals, message_at) = match verdict {
            Verdict::Refused => {
                let refusals = taken.refusals.saturating_add(1);
                (refusals, now.plus(wait(refusals, None)?))
            }
            _ => (taken.refusals, now),
        };
        let webhook_at = match verdict {
            Verdict::Trouble { asked } => now.plus(wait(failures, asked)?),
            _ if failures >= OPENS_AFTER => now.plus(wait(failures, None)?),
            _ => now,
        };
        sqlx::query("UPDATE webhooks SET failures = $1, failing_since = $2, next_at = $3 WHERE id = $4")
            .bind(failures)
            .bind(to_column(since))
            .bind(to_column(webhook_at))
            .bind(taken.webhook.as_str())
            .execute(&mut **transaction)
            .await?;
        if is_over {
            end_message(transaction, taken, "failed", now).await?;
        } else {
            sqlx::query(
                "UPDATE webhook_messages SET attempts = attempts + 1, refusals = $1, begun_at = $2, next_at = $3 \
                 WHERE id = $4",
            )
            .bind(refusals)
            .bind(to_column(begun_at))
            .bind(to_column(message_at))
            .bind(taken.id.as_str())
            .execute(&mut **transaction)
            .await?;
        }
        if failures == OPENS_AFTER {
            let host = host_of(&taken.url);
            tracing::warn!(webhook = %taken.webhook, host, failures, "a webhook fails; only probes are sent");
        }
        Ok(if webhook_at <= now { NextStep::GoOn } else { NextStep::Wait })
    }

    /// Disables a webhook, gives up its messages, and tells its owner.
    async fn disable(
        &self,
        transaction: &mut Transaction<'static, Any>,
        taken: &TakenMessage,
        now: Timestamp,
    ) -> Result<NextStep, WebhookError> {
        sqlx::query("UPDATE webhooks SET state = 'disabled', waiting = 0 WHERE id = $1")
            .bind(taken.webhook.as_str())
            .execute(&mut **transaction)
            .await?;
        sqlx::query("UPDATE webhook_messages SET attempts = attempts + 1 WHERE id = $1")
            .bind(taken.id.as_str())
            .execute(&mut **transaction)
            .await?;
        sqlx::query(
            "UPDATE webhook_messages SET state = 'failed', ended_at = $1 WHERE webhook = $2 AND state = 'waiting'",
        )
        .bind(to_column(now))
        .bind(taken.webhook.as_str())
        .execute(&mut **transaction)
        .await?;
        let host = host_of(&taken.url);
        tracing::warn!(webhook = %taken.webhook, host, "a webhook was disabled: it failed for too long, or is gone");
        let email: Option<String> =
            sqlx::query_scalar("SELECT email FROM accounts WHERE id = $1 AND disabled = 0")
                .bind(taken.account.as_str())
                .fetch_optional(&mut **transaction)
                .await?;
        let Some(email) = email else { return Ok(NextStep::Disabled) };
        let details = MailDetails {
            webhook: Some(taken.webhook.as_str().to_owned()),
            ..MailDetails::of(&taken.account)
        };
        let mail = NewMail::new(MailKind::WebhookDisabled, &Email::from_store(email), details)?;
        self.parts.queue.add(transaction, &mail, now).await?;
        Ok(NextStep::Disabled)
    }

    /// Deletes old messages with their attempts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, QueryError> {
        let delivered = "DELETE FROM webhook_messages WHERE id IN (SELECT id FROM webhook_messages \
             WHERE ended_at IS NOT NULL AND ended_at < $1 AND state = 'delivered' LIMIT $2)";
        let given_up = "DELETE FROM webhook_messages WHERE id IN (SELECT id FROM webhook_messages \
             WHERE ended_at IS NOT NULL AND ended_at < $1 LIMIT $2)";
        let mut deleted = self.parts.db.in_portions(delivered, to_column(now.minus(DELIVERED_KEPT))).await?;
        deleted += self.parts.db.in_portions(given_up, to_column(now.minus(OTHERS_KEPT))).await?;
        self.give_up_of_paused(now).await?;
        Ok(deleted)
    }

    /// Gives up messages that have waited too long because their webhook is paused.
    async fn give_up_of_paused(&self, now: Timestamp) -> Result<(), QueryError> {
        let paused: Vec<String> =
            sqlx::query_scalar("SELECT id FROM webhooks WHERE waiting > 0 AND state = 'paused'")
                .fetch_all(self.parts.db.reader())
                .await?;
        for webhook in paused {
            let mut transaction = self.parts.db.begin().await?;
            sqlx::query("UPDATE webhooks SET waiting = waiting WHERE id = $1")
                .bind(&webhook)
                .execute(&mut *transaction)
                .await?;
            let given_up = sqlx::query(
                "UPDATE webhook_messages SET state = 'failed', ended_at = $1 \
                 WHERE webhook = $2 AND state = 'waiting' AND queued_at < $3",
            )
            .bind(to_column(now))
            .bind(&webhook)
            .bind(to_column(now.minus(OTHERS_KEPT)))
            .execute(&mut *transaction)
            .await?;
            sqlx::query("UPDATE webhooks SET waiting = waiting - $1 WHERE id = $2")
                .bind(i64::try_from(given_up.rows_affected()).unwrap_or(i64::MAX))
                .bind(&webhook)
                .execute(&mut *transaction)
                .await?;
            self.parts.db.commit(transaction).await?;
        }
        Ok(())
    }
}

async fn write_attempt(
    transaction: &mut Transaction<'static, Any>,
    taken: &TakenMessage,
    attempt: &Attempt,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO webhook_attempts (message, number, tried_at, status, problem, millis) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (message, number) DO NOTHING",
    )
    .bind(taken.id.as_str())
    .bind(taken.attempts.saturating_add(1))
    .bind(to_column(attempt.at))
    .bind(attempt.status())
    .bind(attempt.problem())
    .bind(i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Ends a message, unless that was done already.
async fn end_message(
    transaction: &mut Transaction<'static, Any>,
    taken: &TakenMessage,
    state: &'static str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let ended = sqlx::query(
        "UPDATE webhook_messages SET state = $1, ended_at = $2, attempts = attempts + 1 \
         WHERE id = $3 AND state = 'waiting'",
    )
    .bind(state)
    .bind(to_column(now))
    .bind(taken.id.as_str())
    .execute(&mut **transaction)
    .await?;
    if ended.rows_affected() > 0 {
        sqlx::query("UPDATE webhooks SET waiting = waiting - 1 WHERE id = $1")
            .bind(taken.webhook.as_str())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_concerns_the_message_and_trouble_the_receiver() {
        let verdict = |status| {
            let result = Ok(OutsideResponse { status, retry_after: Some(9) });
            Attempt { at: Timestamp::EPOCH, took: Duration::ZERO, result }.verdict()
        };
        for status in [200, 204, 299] {
            assert_eq!(verdict(status), Verdict::Accepted, "{status}");
        }
        for status in [301, 307, 400, 401, 404, 422] {
            assert_eq!(verdict(status), Verdict::Refused, "{status}");
        }
        for status in [408, 429, 500, 503] {
            assert_eq!(verdict(status), Verdict::Trouble { asked: Some(9) }, "{status}");
        }
        assert_eq!(verdict(410), Verdict::Gone);
    }
}
