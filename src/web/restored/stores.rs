//! What the web app remembers about the download services' used-token stores.

use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::standing::Standing;
use crate::web::db::columns::{from_column, to_column};
use crate::web::restored::standings::{RestoreDetectionError, RestoreDetector, standing_of};

/// Minimum time between two writes of a standing that only moved on, because each goes to the disk.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// Maximum number of branches that are remembered; those not seen for the longest time are deleted first.
const REMEMBERED: i64 = 256;

impl RestoreDetector {
    /// Records the standing of a store, and returns what else is remembered of the store: a later standing of
    /// the same branch, or else the latest of another branch. The store knows whether that is part of its own
    /// history; if not, the store was restored. `news` says that something was just redeemed.
    ///
    /// # Errors
    /// See [`RestoreDetectionError`].
    pub async fn remember(&self, standing: &Standing, news: bool) -> Result<Standing, RestoreDetectionError> {
        let now = self.clock.now();
        let rows = sqlx::query(
            "SELECT id, branch, epoch, position, seen_at FROM store_standings WHERE id = $1 \
             ORDER BY epoch DESC, seen_at DESC, position DESC",
        )
        .bind(&standing.id)
        .fetch_all(self.db.reader())
        .await?;
        let (mut due, mut other) = (true, None);
        for row in &rows {
            let known = standing_of(row)?;
            if known.branch != standing.branch {
                other = other.or(Some(known));
                continue;
            }
            if standing.is_behind(&known) {
                return Ok(known);
            }
            let seen_at = from_column(row.try_get("seen_at")?);
            let moved = known.is_behind(standing);
            due = moved && (news || known.epoch != standing.epoch || seen_at.plus(AT_LEAST_EVERY) <= now);
        }
        if due {
            self.insert(standing, now).await?;
        }
        Ok(other.unwrap_or_else(|| standing.clone()))
    }

    async fn insert(&self, standing: &Standing, now: Timestamp) -> Result<(), RestoreDetectionError> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO store_standings (id, epoch, position, seen_at, branch) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (id, branch) DO UPDATE SET epoch = excluded.epoch, position = excluded.position, \
             seen_at = excluded.seen_at WHERE store_standings.epoch < excluded.epoch \
             OR (store_standings.epoch = excluded.epoch AND store_standings.position < excluded.position)",
        )
        .bind(&standing.id)
        .bind(number(standing.epoch))
        .bind(number(standing.position))
        .bind(to_column(now))
        .bind(&standing.branch)
        .execute(self.db.notes())
        .await?;
        sqlx::query(
            "DELETE FROM store_standings WHERE seen_at < \
             (SELECT MIN(seen_at) FROM (SELECT seen_at FROM store_standings ORDER BY seen_at DESC LIMIT $1) AS kept)",
        )
        .bind(REMEMBERED)
        .execute(self.db.notes())
        .await?;
        Ok(())
    }
}
