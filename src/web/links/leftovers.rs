//! The files of links that are over, for links that are to delete them then.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{FilePath, LinkId};
use crate::web::db::QueryError;
use crate::web::db::columns::to_column;
use crate::web::links::link::{Link, Links};

/// Maximum number of links looked at in one round. They are drawn by lot, so that no link that has to wait keeps
/// others waiting.
const AT_ONCE: i64 = 100;

/// Whether a link is used up: none of its recipients has a use left, except for those who were removed.
const USED_UP: &str = "links.uses IS NOT NULL AND NOT EXISTS (SELECT 1 FROM recipients \
    WHERE recipients.link = links.id AND recipients.removed_at IS NULL AND recipients.taken < links.uses)";

impl Links {
    /// Returns links that are to delete their files and are over: expired, used up or no longer shared, with no
    /// download left that could begin or be continued. `lease` is how long a download can be continued after its
    /// last byte.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn over_with_files(&self, lease: Duration, now: Timestamp) -> Result<Vec<Link>, QueryError> {
        let query = format!(
            "SELECT id FROM links WHERE delete_files = 1 AND files_deleted_at IS NULL \
             AND (arrival IS NULL OR arrival = 'complete') \
             AND (withdrawn_at IS NOT NULL OR ends_at <= $1 OR ({USED_UP})) \
             AND NOT EXISTS (SELECT 1 FROM recipients WHERE recipients.link = links.id AND reserved > 0) \
             AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.link = links.id \
             AND receipts.state <> 'over' AND receipts.last_at > $2) ORDER BY RANDOM() LIMIT $3"
        );
        let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(to_column(now))
            .bind(to_column(now.minus(lease)))
            .bind(AT_ONCE)
            .fetch_all(self.db.reader())
            .await?;
        let mut links = Vec::new();
        for id in ids {
            links.extend(self.by_id(&LinkId::from_store(&id)).await?);
        }
        Ok(links)
    }

    /// Returns whether another link that is not over leads to `path`, to something in it, or to a folder around
    /// it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_shared_elsewhere(
        &self,
        link: &LinkId,
        path: &FilePath,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let query = format!(
            "SELECT COUNT(*) FROM link_files JOIN links ON links.id = link_files.link WHERE links.id <> $1 \
             AND links.withdrawn_at IS NULL AND (links.ends_at IS NULL OR links.ends_at > $2) \
             AND (links.arrival IS NULL OR links.arrival <> 'abandoned') AND NOT ({USED_UP}) \
             AND (link_files.path = $3 OR SUBSTR(link_files.path, 1, LENGTH($4)) = $4 \
             OR SUBSTR($3, 1, LENGTH(link_files.path) + 1) = link_files.path || '/')"
        );
        let others: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(link.as_str())
            .bind(to_column(now))
            .bind(path.as_str())
            .bind(format!("{path}/"))
            .fetch_one(self.db.reader())
            .await?;
        Ok(others > 0)
    }

    /// Records that the files of a link were deleted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_files_deleted(&self, link: &LinkId, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query("UPDATE links SET files_deleted_at = $1 WHERE id = $2 AND files_deleted_at IS NULL")
            .bind(to_column(now))
            .bind(link.as_str())
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}
