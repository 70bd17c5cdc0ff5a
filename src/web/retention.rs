//! Deletes what has been over for so long that nobody looks for it: receipts of downloads, and links that ended.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::reloadable::Reloadable;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    /// Receipts, from the beginning of the download.
    pub receipts: Duration,
    /// Links, from their end.
    pub links: Duration,
}

/// How many records were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Receipts.
    pub receipts: u64,
    /// Links, with their recipients and uses.
    pub links: u64,
}

/// Deletes old records. Clones share the rules.
#[derive(Clone)]
pub struct Retention {
    db: Database,
    /// How long records are kept.
    pub rules: Reloadable<RetentionRules>,
}

impl Retention {
    /// Deletes in `db` what these rules don't keep.
    pub fn new(db: Database, rules: impl Into<RetentionRules>) -> Retention {
        Retention { db, rules: Reloadable::new(rules.into()) }
    }

    /// Deletes what is too old. A link whose files are still to go to the trash stays until they did.
    ///
    /// # Errors
    /// When the database fails; the next round goes on.
    pub async fn prune(&self, now: Timestamp) -> Result<Deleted, QueryError> {
        let rules = self.rules.current();
        let mut deleted = Deleted::default();
        let receipts = "DELETE FROM receipts WHERE jti IN (SELECT jti FROM receipts \
             WHERE redeemed_at < $1 ORDER BY redeemed_at LIMIT $2)";
        deleted.receipts = self.db.in_portions(receipts, to_column(now.minus(rules.receipts))).await?;
        let before = to_column(now.minus(rules.links));
        for ended in [
            "DELETE FROM links WHERE id IN (SELECT id FROM links WHERE ends_at < $1 \
             AND (delete_files = 0 OR files_deleted_at IS NOT NULL) LIMIT $2)",
            "DELETE FROM links WHERE id IN (SELECT id FROM links WHERE withdrawn_at < $1 \
             AND (delete_files = 0 OR files_deleted_at IS NOT NULL) LIMIT $2)",
        ] {
            deleted.links += self.db.in_portions(ended, before).await?;
        }
        Ok(deleted)
    }
}
