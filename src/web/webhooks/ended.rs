//! Tells which links expired. Nothing happens in the database when the time of a link is over, so a watermark
//! remembers until when it was told, and moves in the transaction that records the events.

use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::id::LinkId;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::webhooks::event::{LinkEnd, WebhookEvent};
use crate::web::webhooks::outbox;
use crate::web::webhooks::store::Webhooks;

/// How long it takes at least: a link that is made or changed just now may get an end that has already passed when
/// its transaction commits.
const LAG: Duration = Duration::from_secs(15);

/// Maximum number of links in one transaction.
const AT_ONCE: i64 = 500;

impl Webhooks {
    /// Records the events of links whose time is over, and returns how many links that were.
    ///
    /// # Errors
    /// When the database fails; then it is told later.
    pub async fn tell_expired(&self, now: Timestamp) -> Result<usize, QueryError> {
        let wanted: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM webhook_events WHERE event = 'link.ended' LIMIT 1")
                .fetch_optional(self.parts.db.reader())
                .await?;
        if wanted.is_none() {
            return Ok(0);
        }
        let until = now.minus(LAG);
        let mut told = 0;
        loop {
            let count = self.tell_some(until, now).await?;
            told += count;
            if i64::try_from(count).unwrap_or(i64::MAX) < AT_ONCE {
                return Ok(told);
            }
        }
    }

    async fn tell_some(&self, until: Timestamp, now: Timestamp) -> Result<usize, QueryError> {
        let (from, next): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT told_until FROM webhook_ends WHERE id = 1), \
             (SELECT MIN(ends_at) FROM links WHERE ends_at > (SELECT told_until FROM webhook_ends WHERE id = 1))",
        )
        .fetch_one(self.parts.db.reader())
        .await?;
        if from.is_none() || next.is_none_or(|next| next > to_column(until)) {
            return Ok(0);
        }
        let mut transaction = self.parts.db.begin().await?;
        // Locks the watermark, so that two processes don't tell the same.
        let from: i64 = sqlx::query_scalar(
            "UPDATE webhook_ends SET told_until = told_until WHERE id = 1 RETURNING told_until",
        )
        .fetch_one(&mut *transaction)
        .await?;
        let rows = sqlx::query(
            "SELECT id, ends_at, withdrawn_at, arrival FROM links WHERE ends_at > $1 AND ends_at <= $2 \
             ORDER BY ends_at, id LIMIT $3",
        )
        .bind(from)
        .bind(to_column(until))
        .bind(AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= AT_ONCE;
        let mut events = Vec::new();
        let mut last = to_column(until);
        for row in &rows {
            let ends_at: i64 = row.try_get("ends_at")?;
            last = if is_full { ends_at } else { last };
            let was_told = row.try_get::<Option<i64>, _>("withdrawn_at")?.is_some()
                || row.try_get::<Option<String>, _>("arrival")?.as_deref() == Some("abandoned");
            if !was_told {
                let link = LinkId::from_store(&row.try_get::<String, _>("id")?);
                let mut event = WebhookEvent::link_ended(&link, LinkEnd::Expired);
                event.not_made_after = Some(from_column(ends_at));
                events.push(event);
            }
        }
        if is_full {
            // Others may end in the same second as the last one: all of that second, or none.
            let rest: Vec<String> = sqlx::query_scalar(
                "SELECT id FROM links WHERE ends_at = $1 AND withdrawn_at IS NULL \
                 AND (arrival IS NULL OR arrival <> 'abandoned')",
            )
            .bind(last)
            .fetch_all(&mut *transaction)
            .await?;
            for id in rest {
                let mut event = WebhookEvent::link_ended(&LinkId::from_store(&id), LinkEnd::Expired);
                event.not_made_after = Some(from_column(last));
                if !events.contains(&event) {
                    events.push(event);
                }
            }
        }
        outbox::record(&mut transaction, &events, now).await?;
        sqlx::query("UPDATE webhook_ends SET told_until = $1 WHERE id = 1")
            .bind(last)
            .execute(&mut *transaction)
            .await?;
        self.parts.db.commit(transaction).await?;
        Ok(rows.len())
    }
}
