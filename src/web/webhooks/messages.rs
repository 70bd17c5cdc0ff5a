//! The messages of a webhook and the attempts to send them, for its owner.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row};

use crate::clock::Timestamp;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, placeholders};
use crate::web::webhooks::store::Webhooks;
use crate::web::webhooks::webhook::{MessageId, MessageState, WebhookId};

/// Maximum number of messages on a page.
pub const LISTED_MAX: usize = 25;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    /// Its id.
    pub id: MessageId,
    /// Its place in the order.
    pub sequence: i64,
    /// What it tells.
    pub event: String,
    /// What became of it.
    pub state: MessageState,
    /// When it happened.
    pub queued_at: Timestamp,
    /// The attempts to send it, oldest first.
    pub attempts: Vec<ListedAttempt>,
}

/// An attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAttempt {
    /// When it began.
    pub at: Timestamp,
    /// The status of the response; `None` if there was none.
    pub status: Option<u16>,
    /// Why there was none; otherwise empty.
    pub problem: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Webhooks {
    /// Returns up to `most` messages of a webhook before a place in the order, newest first, and the place of the last
    /// one if there are more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn messages(
        &self,
        webhook: &WebhookId,
        before: Option<i64>,
        most: usize,
    ) -> Result<(Vec<ListedMessage>, Option<i64>), QueryError> {
        let rows = sqlx::query(
            "SELECT id, sequence, event, state, queued_at FROM webhook_messages \
             WHERE webhook = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3",
        )
        .bind(webhook.as_str())
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX))
        .fetch_all(self.parts.db.reader())
        .await?;
        let mut listed = Vec::with_capacity(rows.len());
        for row in &rows {
            listed.push(ListedMessage {
                id: MessageId::from_store(&row.try_get::<String, _>("id")?),
                sequence: row.try_get("sequence")?,
                event: row.try_get("event")?,
                state: row.try_get::<String, _>("state")?.parse().unwrap_or(MessageState::Failed),
                queued_at: from_column(row.try_get("queued_at")?),
                attempts: Vec::new(),
            });
        }
        let has_more = listed.len() > most;
        listed.truncate(most);
        let next = listed.last().map(|last| last.sequence).filter(|_| has_more);
        let mut attempts = self.attempts(&listed).await?;
        for message in &mut listed {
            message.attempts = attempts.remove(message.id.as_str()).unwrap_or_default();
        }
        Ok((listed, next))
    }

    async fn attempts(
        &self,
        of: &[ListedMessage],
    ) -> Result<BTreeMap<String, Vec<ListedAttempt>>, sqlx::Error> {
        let mut attempts = BTreeMap::<String, Vec<ListedAttempt>>::new();
        if of.is_empty() {
            return Ok(attempts);
        }
        let query = format!(
            "SELECT message, tried_at, status, problem, millis FROM webhook_attempts \
             WHERE message IN ({}) ORDER BY message, number",
            placeholders(1, of.len())
        );
        let query = sqlx::query(AssertSqlSafe(query)).persistent(false);
        let query = of.iter().fold(query, |query, message| query.bind(message.id.as_str()));
        for row in query.fetch_all(self.parts.db.reader()).await? {
            attempts.entry(row.try_get("message")?).or_default().push(ListedAttempt {
                at: from_column(row.try_get("tried_at")?),
                status: row.try_get::<Option<i64>, _>("status")?.and_then(|status| status.try_into().ok()),
                problem: row.try_get("problem")?,
                millis: u64::try_from(row.try_get::<i64, _>("millis")?).unwrap_or(0),
            });
        }
        Ok(attempts)
    }
}
