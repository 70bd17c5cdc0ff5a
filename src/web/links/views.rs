//! Counts how often the pages of links are opened. Views are counted in memory, so that opening a page
//! doesn't cause a database write, and a background task writes them to the database from time to time.

use std::sync::Arc;

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::id::{LinkId, RecipientId};
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::webhooks::event::WebhookEvent;
use crate::web::webhooks::outbox;

/// Maximum number of recipients that are counted between two flushes; views of more are not counted.
const RECIPIENTS_MAX: usize = 50_000;

/// Number of recipients that are written per transaction.
const PER_TRANSACTION: usize = 500;

/// Views of one recipient that are not in the database yet.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    views: u32,
    last_at: Timestamp,
}

/// Views that are not in the database yet, by recipient. Clones share the same counter.
#[derive(Clone, Default)]
pub struct ViewCounter(Arc<DashMap<RecipientId, Seen>>);

impl ViewCounter {
    /// Counts a view of a recipient's page.
    pub(crate) fn count(&self, recipient: &RecipientId, now: Timestamp) {
        if let Some(mut seen) = self.0.get_mut(recipient) {
            seen.views = seen.views.saturating_add(1);
            seen.last_at = seen.last_at.max(now);
            return;
        }
        if self.0.len() < RECIPIENTS_MAX {
            let mut seen = self.0.entry(recipient.clone()).or_default();
            seen.views = seen.views.saturating_add(1);
            seen.last_at = seen.last_at.max(now);
        }
    }

    /// Writes the counts to the database. If that fails, they are kept for the next flush.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn flush(&self, db: &Database) -> Result<(), QueryError> {
        let recipients: Vec<RecipientId> = self.0.iter().map(|entry| entry.key().clone()).collect();
        for some in recipients.chunks(PER_TRANSACTION) {
            let counted: Vec<(RecipientId, Seen)> = some.iter().filter_map(|id| self.0.remove(id)).collect();
            if let Err(error) = put(db, &counted).await {
                for (recipient, seen) in counted {
                    let mut again = self.0.entry(recipient).or_default();
                    again.views = again.views.saturating_add(seen.views);
                    again.last_at = again.last_at.max(seen.last_at);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

async fn put(db: &Database, counted: &[(RecipientId, Seen)]) -> Result<(), QueryError> {
    let mut transaction = db.begin().await?;
    let mut events = Vec::new();
    for (recipient, seen) in counted {
        let link: Option<String> = sqlx::query_scalar(
            "UPDATE recipients SET looks = looks + $1, looked_at = $2 WHERE id = $3 RETURNING link",
        )
        .bind(i64::from(seen.views))
        .bind(to_column(seen.last_at))
        .bind(recipient.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        events.extend(link.map(|link| WebhookEvent::link_viewed(&LinkId::from_store(&link))));
    }
    let newest = counted.iter().map(|(_, seen)| seen.last_at).max().unwrap_or_default();
    outbox::record(&mut transaction, &events, newest).await?;
    db.commit(transaction).await
}
