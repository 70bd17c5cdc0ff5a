//! The webhooks of accounts: making, finding, pausing and deleting them, and their secrets. Each change is one
//! transaction with its line in the audit log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Any, AssertSqlSafe, Row, Transaction};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::http_client::address_rule::AddressRule;
use crate::secret::{RandomError, Secret};
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::forms::record::{self, IdempotencyRecord};
use crate::web::identity::{Account, AccountId};
use crate::web::mail::queue::{MailQueue, QueueError};
use crate::web::tokens::link_key::LinkKey;
use crate::web::webhooks::event::{EventKind, body};
use crate::web::webhooks::outbox;
use crate::web::webhooks::signature::WebhookSecret;
use crate::web::webhooks::terms::NewWebhook;
use crate::web::webhooks::webhook::{COLUMNS, Webhook, WebhookId, WebhookState, from_row};

/// Maximum number of webhooks of one account.
pub const WEBHOOKS_MAX: i64 = 10;

/// How long the secret before the present one is valid.
pub const FORMER_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Something about a webhook failed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system provided no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A mail couldn't be queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<sqlx::Error> for WebhookError {
    fn from(error: sqlx::Error) -> WebhookError {
        QueryError::from(error).into()
    }
}

/// The result of making a webhook.
#[derive(Debug)]
pub enum CreateOutcome {
    /// It was made, and this is its secret, which is shown only now.
    Made(WebhookId, Secret),
    /// The form or request that makes it was recorded before.
    Before,
    /// The account has as many as it may have, or is disabled.
    TooMany,
}

/// All webhooks. Clones share them.
#[derive(Clone)]
pub struct Webhooks {
    pub(super) parts: Arc<WebhookParts>,
}

/// What all clones share: together it is large, and parts of the app hold a clone each.
pub(super) struct WebhookParts {
    pub(super) db: Database,
    pub(super) key: LinkKey,
    pub(super) queue: MailQueue,
    rule: AddressRule,
    waiting: Notify,
}

impl Webhooks {
    /// Keeps webhooks in `db`. Their secrets follow from `key`, their owners are told of failures through `queue`,
    /// and their addresses must be allowed by `rule`.
    pub fn new(db: Database, key: LinkKey, queue: MailQueue, rule: AddressRule) -> Webhooks {
        Webhooks { parts: Arc::new(WebhookParts { db, key, queue, rule, waiting: Notify::new() }) }
    }

    /// Returns which addresses are allowed.
    pub fn rule(&self) -> AddressRule {
        self.parts.rule
    }

    /// Makes the sender look for messages now.
    pub fn wake(&self) {
        self.parts.waiting.notify_one();
    }

    /// Waits until [`Webhooks::wake`] is called.
    pub(super) async fn woken(&self) {
        self.parts.waiting.notified().await;
    }

    /// Makes a webhook. `record` is that of the form or request, which makes one even if it is sent several times.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn create(
        &self,
        owner: &Account,
        new: &NewWebhook,
        record: Option<IdempotencyRecord<'_>>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<CreateOutcome, WebhookError> {
        let (id, salt) = (WebhookId::random()?, Secret::random::<16>()?);
        let mut transaction = self.parts.db.begin().await?;
        // So that of two requests at once, the second sees what the first made.
        if !self.parts.db.lock_account(&mut transaction, owner.id.as_str()).await? {
            return Ok(CreateOutcome::TooMany);
        }
        if let Some(record) = record
            && !record::put(&mut transaction, record, &format!("/account/webhooks/{id}"), now).await?
        {
            return Ok(CreateOutcome::Before);
        }
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM webhooks WHERE account = $1")
            .bind(owner.id.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        if count >= WEBHOOKS_MAX {
            return Ok(CreateOutcome::TooMany);
        }
        audit::append(&mut transaction, actor, AuditEvent::WebhookMade, &about(&id, new.host()), now).await?;
        sqlx::query(
            "INSERT INTO webhooks (id, account, url, state, salt, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.as_str())
        .bind(owner.id.as_str())
        .bind(new.url.as_str())
        .bind(WebhookState::On.as_str())
        .bind(salt.reveal())
        .bind(to_column(now))
        .execute(&mut *transaction)
        .await?;
        for event in &new.events {
            sqlx::query("INSERT INTO webhook_events (webhook, event) VALUES ($1, $2)")
                .bind(id.as_str())
                .bind(event.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        self.parts.db.commit(transaction).await?;
        let secret = WebhookSecret::derive(&self.parts.key, &id, salt.reveal()).shown();
        Ok(CreateOutcome::Made(id, secret))
    }

    /// Returns the present secret of a webhook, for the answer to a request that is sent again. `None` if it is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn secret(&self, webhook: &WebhookId) -> Result<Option<Secret>, QueryError> {
        let salt: Option<String> = sqlx::query_scalar("SELECT salt FROM webhooks WHERE id = $1")
            .bind(webhook.as_str())
            .fetch_optional(self.parts.db.reader())
            .await?;
        Ok(salt.map(|salt| WebhookSecret::derive(&self.parts.key, webhook, &salt).shown()))
    }

    /// Returns the webhooks of an account, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, account: &AccountId) -> Result<Vec<Webhook>, QueryError> {
        let query = format!("SELECT {COLUMNS} FROM webhooks WHERE account = $1 ORDER BY created_at, id");
        let rows = sqlx::query(AssertSqlSafe(query))
            .bind(account.as_str())
            .fetch_all(self.parts.db.reader())
            .await?;
        let mut webhooks = rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
        for webhook in &mut webhooks {
            webhook.events = self.events_of(&webhook.id).await?;
        }
        Ok(webhooks)
    }

    /// Returns a webhook of this account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, account: &AccountId, id: &str) -> Result<Option<Webhook>, QueryError> {
        let query = format!("SELECT {COLUMNS} FROM webhooks WHERE account = $1 AND id = $2");
        let row = sqlx::query(AssertSqlSafe(query))
            .bind(account.as_str())
            .bind(id)
            .fetch_optional(self.parts.db.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let webhook = from_row(&row)?;
        let events = self.events_of(&webhook.id).await?;
        Ok(Some(Webhook { events, ..webhook }))
    }

    async fn events_of(&self, webhook: &WebhookId) -> Result<BTreeSet<EventKind>, sqlx::Error> {
        let words: Vec<String> = sqlx::query_scalar("SELECT event FROM webhook_events WHERE webhook = $1")
            .bind(webhook.as_str())
            .fetch_all(self.parts.db.reader())
            .await?;
        Ok(words.iter().filter_map(|word| word.parse().ok()).collect())
    }

    /// Pauses a webhook, or resumes it. One that was disabled can be resumed, too: it begins without failures. Its
    /// messages that waited when it was disabled were given up, and can be sent again one by one. Returns false if
    /// it already is in that state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_paused(
        &self,
        webhook: &Webhook,
        paused: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, WebhookError> {
        let (event, update) = match paused {
            true => (
                AuditEvent::WebhookPaused,
                "UPDATE webhooks SET state = 'paused' WHERE id = $1 AND state = 'on'",
            ),
            false => (
                AuditEvent::WebhookResumed,
                "UPDATE webhooks SET state = 'on', failures = 0, failing_since = NULL, next_at = 0 \
                 WHERE id = $1 AND state <> 'on'",
            ),
        };
        self.change(webhook, update, event, actor, now).await
    }

    /// Deletes a webhook with its messages. Returns false if it is gone already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete(
        &self,
        webhook: &Webhook,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, WebhookError> {
        self.change(webhook, "DELETE FROM webhooks WHERE id = $1", AuditEvent::WebhookDeleted, actor, now)
            .await
    }

    async fn change(
        &self,
        webhook: &Webhook,
        statement: &'static str,
        event: AuditEvent,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<bool, WebhookError> {
        let mut transaction = self.begin(webhook, event, actor, now).await?;
        let changed = sqlx::query(statement).bind(webhook.id.as_str()).execute(&mut *transaction).await?;
        if changed.rows_affected() > 0 {
            self.parts.db.commit(transaction).await?;
            self.wake();
        }
        Ok(changed.rows_affected() > 0)
    }

    /// Gives a webhook another secret, and returns it. Messages are signed with the one before, too, for 24 hours;
    /// one that was replaced within the last 24 hours is no longer valid. `None` if the webhook is gone.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn rotate(
        &self,
        webhook: &Webhook,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Option<Secret>, WebhookError> {
        let salt = Secret::random::<16>()?;
        let mut transaction = self.begin(webhook, AuditEvent::WebhookSecretRotated, actor, now).await?;
        let changed =
            sqlx::query("UPDATE webhooks SET former_salt = salt, former_until = $1, salt = $2 WHERE id = $3")
                .bind(to_column(now.plus(FORMER_KEPT)))
                .bind(salt.reveal())
                .bind(webhook.id.as_str())
                .execute(&mut *transaction)
                .await?;
        if changed.rows_affected() == 0 {
            return Ok(None);
        }
        self.parts.db.commit(transaction).await?;
        Ok(Some(WebhookSecret::derive(&self.parts.key, &webhook.id, salt.reveal()).shown()))
    }

    /// Sends a test to a webhook, after the messages that already wait. Returns false if too many wait.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn test(&self, webhook: &Webhook, now: Timestamp) -> Result<bool, WebhookError> {
        let mut transaction = self.parts.db.begin().await?;
        let sequence = outbox::next_sequence(&mut transaction).await?;
        let kind = EventKind::Test;
        let body = || body(kind, &serde_json::Map::new(), sequence, now);
        let added = outbox::add(&mut transaction, webhook.id.as_str(), kind, sequence, now, body).await?;
        if added {
            try_soon(&mut transaction, &webhook.id, now).await?;
            self.parts.db.commit(transaction).await?;
            self.wake();
        }
        Ok(added)
    }

    /// Sends a message again that was delivered or given up. It keeps its id, so the receiver can tell. Returns
    /// false if there is no such message, or it is still waiting.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resend(
        &self,
        webhook: &Webhook,
        message: &str,
        now: Timestamp,
    ) -> Result<bool, WebhookError> {
        let mut transaction = self.parts.db.begin().await?;
        // The webhook first, as everywhere.
        try_soon(&mut transaction, &webhook.id, now).await?;
        let changed = sqlx::query(
            "UPDATE webhook_messages SET state = 'waiting', refusals = 0, next_at = $1, begun_at = NULL, ended_at = NULL \
             WHERE id = $2 AND webhook = $3 AND state <> 'waiting'",
        )
        .bind(to_column(now))
        .bind(message)
        .bind(webhook.id.as_str())
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("UPDATE webhooks SET waiting = waiting + 1 WHERE id = $1")
            .bind(webhook.id.as_str())
            .execute(&mut *transaction)
            .await?;
        self.parts.db.commit(transaction).await?;
        self.wake();
        Ok(true)
    }

    /// Begins a change with its line in the audit log, which is locked before webhooks.
    async fn begin(
        &self,
        webhook: &Webhook,
        event: AuditEvent,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Transaction<'static, Any>, WebhookError> {
        let mut transaction = self.parts.db.begin().await?;
        audit::append(&mut transaction, actor, event, &about(&webhook.id, &webhook.host()), now).await?;
        Ok(transaction)
    }

    /// Returns how many messages wait, and how many webhooks fail so often that only probes are sent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn totals(&self) -> Result<(i64, i64), QueryError> {
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(waiting), 0) AS BIGINT) AS waiting, \
             CAST(COALESCE(SUM(CASE WHEN failures >= $1 AND state = 'on' THEN 1 ELSE 0 END), 0) AS BIGINT) AS open \
             FROM webhooks",
        )
        .bind(super::schedule::OPENS_AFTER)
        .fetch_one(self.parts.db.reader())
        .await?;
        Ok((row.try_get("waiting")?, row.try_get("open")?))
    }
}

/// Ends the pause after failures, because the owner wants an attempt now.
async fn try_soon(
    transaction: &mut Transaction<'static, Any>,
    webhook: &WebhookId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE webhooks SET next_at = $1 WHERE id = $2 AND next_at > $1")
        .bind(to_column(now))
        .bind(webhook.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Describes a webhook for the audit log. Its path may be a secret.
fn about(id: &WebhookId, host: &str) -> String {
    format!("{host} (webhook {id})")
}
