//! Records what happened, in the transaction in which it happens.
//!
//! Invariant: this is the last that a transaction locks, after accounts, recipients and the logs, and before the
//! counter of account changes only. It locks the sequence of messages first, then webhooks. So on PostgreSQL,
//! transactions wait for each other here, but never deadlock, and the order of sequences is that of the commits.

use std::time::Duration;

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::clock::Timestamp;
use crate::id::LinkId;
use crate::web::db::columns::to_column;
use crate::web::webhooks::event::{EventKind, EventOwner, WebhookEvent};
use crate::web::webhooks::webhook::{MessageId, MessageState};

/// Maximum number of messages that wait for one webhook; further ones are counted as missed.
pub(crate) const WAITING_MAX: i64 = 10_000;

/// How often a webhook is told that a link is viewed.
const VIEWED_EVERY: Duration = Duration::from_secs(60);

/// Records events for the webhooks that want to be told. Call it last, just before the commit.
pub(crate) async fn record(
    transaction: &mut Transaction<'static, Any>,
    events: &[WebhookEvent],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if events.is_empty() || !any_webhook(transaction).await? {
        return Ok(());
    }
    let mut told = Vec::new();
    for event in events {
        let webhooks = subscribers(transaction, event).await?;
        if !webhooks.is_empty() {
            told.push((event, webhooks));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    // The lock on this row, from the first statement on.
    let mut sequence = next_sequence(transaction).await?;
    let mut is_fresh = true;
    for (event, webhooks) in told {
        if let (EventKind::LinkViewed, Some(link)) = (event.kind, event.link())
            && !may_tell_view(transaction, link, now).await?
        {
            continue;
        }
        for webhook in webhooks {
            if !is_fresh {
                sequence = next_sequence(transaction).await?;
            }
            is_fresh =
                !add(transaction, &webhook, event.kind, sequence, now, || event.body(sequence, now)).await?;
        }
    }
    Ok(())
}

/// Adds a message unless too many wait, and returns whether it was added. The caller has taken the sequence.
pub(super) async fn add(
    transaction: &mut Transaction<'static, Any>,
    webhook: &str,
    kind: EventKind,
    sequence: i64,
    now: Timestamp,
    body: impl FnOnce() -> String,
) -> Result<bool, sqlx::Error> {
    let counted = sqlx::query("UPDATE webhooks SET waiting = waiting + 1 WHERE id = $1 AND waiting < $2")
        .bind(webhook)
        .bind(WAITING_MAX)
        .execute(&mut **transaction)
        .await?;
    if counted.rows_affected() == 0 {
        // Deleted meanwhile, or full.
        sqlx::query("UPDATE webhooks SET missed = missed + 1 WHERE id = $1")
            .bind(webhook)
            .execute(&mut **transaction)
            .await?;
        return Ok(false);
    }
    let id = MessageId::random().map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO webhook_messages (id, webhook, sequence, event, body, state, queued_at, next_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
    )
    .bind(id.as_str())
    .bind(webhook)
    .bind(sequence)
    .bind(kind.as_str())
    .bind(body())
    .bind(MessageState::Waiting.as_str())
    .bind(to_column(now))
    .execute(&mut **transaction)
    .await?;
    Ok(true)
}

/// Takes the next sequence. Whoever takes one after this waits for the end of the transaction.
pub(super) async fn next_sequence(transaction: &mut Transaction<'static, Any>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("UPDATE generations SET number = number + 1 WHERE name = 'webhooks' RETURNING number")
        .fetch_one(&mut **transaction)
        .await
}

async fn any_webhook(transaction: &mut Transaction<'static, Any>) -> Result<bool, sqlx::Error> {
    let any: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM webhooks LIMIT 1").fetch_optional(&mut **transaction).await?;
    Ok(any.is_some())
}

/// Returns the webhooks that want to be told of an event.
async fn subscribers(
    transaction: &mut Transaction<'static, Any>,
    event: &WebhookEvent,
) -> Result<Vec<String>, sqlx::Error> {
    let (whose, owner) = match &event.owner {
        EventOwner::Account(account) => ("webhooks.account = $1", account.as_str()),
        EventOwner::OfLink(link) => {
            ("webhooks.account = (SELECT links.account FROM links WHERE links.id = $1)", link.as_str())
        }
        EventOwner::Administrators => ("accounts.admin = 1 AND $1 = ''", ""),
    };
    let query = format!(
        "SELECT webhooks.id FROM webhooks JOIN accounts ON accounts.id = webhooks.account \
         JOIN webhook_events ON webhook_events.webhook = webhooks.id AND webhook_events.event = $2 \
         WHERE {whose} AND webhooks.created_at <= $3 AND webhooks.state <> 'disabled' \
         AND accounts.disabled = 0 ORDER BY webhooks.id"
    );
    let not_made_after = event.not_made_after.map_or(i64::MAX, to_column);
    sqlx::query_scalar(AssertSqlSafe(query))
        .bind(owner)
        .bind(event.kind.as_str())
        .bind(not_made_after)
        .fetch_all(&mut **transaction)
        .await
}

/// Whether webhooks may be told now that a link is viewed. Then they aren't told again for a while.
async fn may_tell_view(
    transaction: &mut Transaction<'static, Any>,
    link: &LinkId,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let told = sqlx::query(
        "INSERT INTO webhook_views (link, told_at) VALUES ($1, $2) ON CONFLICT (link) DO UPDATE \
         SET told_at = excluded.told_at WHERE webhook_views.told_at <= $3",
    )
    .bind(link.as_str())
    .bind(to_column(now))
    .bind(to_column(now.minus(VIEWED_EVERY)))
    .execute(&mut **transaction)
    .await?;
    Ok(told.rows_affected() > 0)
}
