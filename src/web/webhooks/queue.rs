//! Which message is sent next. A webhook is reserved while a process sends to it, so that its messages are sent in
//! order, one at a time, however many processes there are.

use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::identity::AccountId;
use crate::web::webhooks::signature::WebhookSecret;
use crate::web::webhooks::store::Webhooks;
use crate::web::webhooks::webhook::{MessageId, WebhookId};

/// How long a webhook is reserved: longer than an attempt can take. What a process that was killed was sending is
/// sent again afterwards.
const RESERVED: Duration = Duration::from_secs(60);

/// Maximum number of webhooks that one look finds.
const FOUND_MAX: i64 = 100;

/// A webhook to which something can be sent now.
#[derive(Clone, Debug)]
pub(super) struct DueWebhook {
    pub(super) id: WebhookId,
    pub(super) account: AccountId,
}

/// A message that is to be sent now. Its webhook is reserved.
pub(super) struct TakenMessage {
    pub(super) webhook: WebhookId,
    pub(super) account: AccountId,
    pub(super) url: String,
    /// The secrets that are valid now, the present one first.
    pub(super) secrets: Vec<WebhookSecret>,
    pub(super) id: MessageId,
    pub(super) event: String,
    pub(super) body: String,
    /// Number of attempts before this one.
    pub(super) attempts: i64,
    /// How often the receiver refused it.
    pub(super) refusals: i64,
    pub(super) begun_at: Option<Timestamp>,
    /// Number of failed attempts of the webhook in a row, and when the first was.
    pub(super) failures: i64,
    pub(super) failing_since: Option<Timestamp>,
    /// The end of the reservation.
    pub(super) reserved_until: i64,
}

impl Webhooks {
    /// Returns the webhooks to which something can be sent now, those that have waited longest first.
    pub(super) async fn due(&self, now: Timestamp) -> Result<Vec<DueWebhook>, QueryError> {
        let rows = sqlx::query(
            "SELECT webhooks.id, webhooks.account FROM webhooks JOIN accounts ON accounts.id = webhooks.account \
             WHERE webhooks.waiting > 0 AND webhooks.next_at <= $1 AND webhooks.reserved_until <= $1 \
             AND webhooks.state = 'on' AND accounts.disabled = 0 AND EXISTS (SELECT 1 FROM webhook_messages \
             WHERE webhook = webhooks.id AND webhook_messages.state = 'waiting' AND webhook_messages.next_at <= $1) \
             ORDER BY webhooks.next_at, webhooks.reserved_until, webhooks.id LIMIT $2",
        )
        .bind(to_column(now))
        .bind(FOUND_MAX)
        .fetch_all(self.parts.db.reader())
        .await?;
        let due = rows.iter().map(|row| {
            Ok(DueWebhook {
                id: WebhookId::from_store(&row.try_get::<String, _>("id")?),
                account: AccountId::from_store(&row.try_get::<String, _>("account")?),
            })
        });
        Ok(due.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Reserves a webhook and returns its next message. `None` if another process has it, or nothing is due.
    pub(super) async fn take(
        &self,
        webhook: &WebhookId,
        now: Timestamp,
    ) -> Result<Option<TakenMessage>, QueryError> {
        let reserved_until = to_column(now.plus(RESERVED));
        // One statement, so that of any number of processes, one gets it.
        let row = sqlx::query(
            "UPDATE webhooks SET reserved_until = $1 WHERE id = $2 AND state = 'on' AND waiting > 0 \
             AND next_at <= $3 AND reserved_until <= $3 RETURNING account, url, salt, former_salt, former_until, \
             failures, failing_since, (SELECT accounts.admin FROM accounts WHERE accounts.id = webhooks.account) AS admin",
        )
        .bind(reserved_until)
        .bind(webhook.as_str())
        .bind(to_column(now))
        .fetch_optional(self.parts.db.writer())
        .await?;
        let Some(row) = row else { return Ok(None) };
        if row.try_get::<Option<i64>, _>("admin")? != Some(1) {
            self.drop_administrative(webhook, now).await?;
        }
        let message = sqlx::query(
            "SELECT id, event, body, attempts, refusals, begun_at FROM webhook_messages \
             WHERE webhook = $1 AND state = 'waiting' AND next_at <= $2 ORDER BY refusals, sequence LIMIT 1",
        )
        .bind(webhook.as_str())
        .bind(to_column(now))
        .fetch_optional(self.parts.db.reader())
        .await?;
        let Some(message) = message else {
            self.release(webhook, reserved_until).await?;
            return Ok(None);
        };
        let moment = |value: Option<i64>| value.map(from_column);
        let mut secrets =
            vec![WebhookSecret::derive(&self.parts.key, webhook, &row.try_get::<String, _>("salt")?)];
        let former: Option<String> = row.try_get("former_salt")?;
        let is_valid = moment(row.try_get("former_until")?).is_some_and(|until| until > now);
        secrets.extend(
            former.filter(|_| is_valid).map(|salt| WebhookSecret::derive(&self.parts.key, webhook, &salt)),
        );
        Ok(Some(TakenMessage {
            webhook: webhook.clone(),
            account: AccountId::from_store(&row.try_get::<String, _>("account")?),
            url: row.try_get("url")?,
            secrets,
            id: MessageId::from_store(&message.try_get::<String, _>("id")?),
            event: message.try_get("event")?,
            body: message.try_get("body")?,
            attempts: message.try_get("attempts")?,
            refusals: message.try_get("refusals")?,
            begun_at: moment(message.try_get("begun_at")?),
            failures: row.try_get("failures")?,
            failing_since: moment(row.try_get("failing_since")?),
            reserved_until,
        }))
    }

    /// Gives a reservation back.
    async fn release(&self, webhook: &WebhookId, reserved_until: i64) -> Result<(), QueryError> {
        sqlx::query("UPDATE webhooks SET reserved_until = 0 WHERE id = $1 AND reserved_until = $2")
            .bind(webhook.as_str())
            .bind(reserved_until)
            .execute(self.parts.db.writer())
            .await?;
        Ok(())
    }

    /// Gives up what only administrators are told, because the webhook's owner is none any more.
    async fn drop_administrative(&self, webhook: &WebhookId, now: Timestamp) -> Result<(), QueryError> {
        let waits: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM webhook_messages WHERE webhook = $1 AND state = 'waiting' \
             AND event = 'account.created' LIMIT 1",
        )
        .bind(webhook.as_str())
        .fetch_optional(self.parts.db.reader())
        .await?;
        if waits.is_none() {
            return Ok(());
        }
        let mut transaction = self.parts.db.begin().await?;
        // The webhook first, as everywhere.
        sqlx::query("UPDATE webhooks SET waiting = waiting WHERE id = $1")
            .bind(webhook.as_str())
            .execute(&mut *transaction)
            .await?;
        let dropped = sqlx::query(
            "DELETE FROM webhook_messages WHERE webhook = $1 AND state = 'waiting' AND event = 'account.created'",
        )
        .bind(webhook.as_str())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE webhooks SET waiting = waiting - $1 WHERE id = $2")
            .bind(i64::try_from(dropped.rows_affected()).unwrap_or(i64::MAX))
            .bind(webhook.as_str())
            .execute(&mut *transaction)
            .await?;
        tracing::info!(webhook = %webhook, at = %now, "dropped messages: the owner is no administrator any more");
        self.parts.db.commit(transaction).await
    }
}
