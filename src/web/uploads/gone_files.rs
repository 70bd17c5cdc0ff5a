//! Detects files that count against a quota but no longer exist, for example because the operator removed
//! them, so that they stop counting. The search runs only when an upload would be refused, outside of any
//! transaction, and isn't repeated immediately if there are many files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use sqlx::Row;

use crate::clock::Timestamp;
use crate::files::FileError;
use crate::web::db::Database;
use crate::web::identity::AccountId;
use crate::web::shares::disk::WritableShares;
use crate::web::shares::error::{StorageError, on_disk};

/// How long the result of a search is valid.
const LOOK_HOLDS: Duration = Duration::from_secs(60);

/// Number of files that are read from the database at once.
const PER_PAGE: usize = 1_000;

/// Maximum number of files that one search examines; the next one continues where it ended.
const PER_LOOK: usize = 100_000;

/// Maximum number of searches that are remembered.
const LOOKS_MAX: usize = 10_000;

/// A file that counts against a quota: its path and version.
type File = (String, String);

/// When the last search for an account and share was made, and where it ended.
#[derive(Clone, Default)]
struct Look {
    at: Timestamp,
    upto: String,
}

/// Finds files that no longer exist. Clones share what they remember.
#[derive(Clone)]
pub(crate) struct GoneFiles {
    shares: WritableShares,
    looks: Arc<DashMap<(String, String), Look>>,
}

impl GoneFiles {
    pub(crate) fn new(shares: WritableShares) -> GoneFiles {
        GoneFiles { shares, looks: Arc::default() }
    }

    /// Deletes the records of files of this account or share that no longer exist, and returns whether there
    /// were any.
    pub(crate) async fn forget(
        &self,
        db: &Database,
        account: &AccountId,
        share: &str,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let Some(mut after) = self.begin(account, share, now) else { return Ok(false) };
        let key = (account.as_str().to_owned(), share.to_owned());
        if after.is_empty() {
            let all = page(db, account, share, "").await?;
            if all.len() < PER_PAGE {
                // So few can be checked each time an upload would be refused.
                self.looks.remove(&key);
                return self.forget_of(db, all).await;
            }
        }
        let (mut looked_at, mut found) = (0, false);
        while looked_at < PER_LOOK {
            let files = page(db, account, share, &after).await?;
            let Some((last, _)) = files.last() else {
                after.clear();
                break;
            };
            after.clone_from(last);
            looked_at += files.len();
            found |= self.forget_of(db, files).await?;
        }
        self.looks.insert(key, Look { at: now, upto: after });
        Ok(found)
    }

    /// Returns where to begin; `None` if a search was made a moment ago.
    fn begin(&self, account: &AccountId, share: &str, now: Timestamp) -> Option<String> {
        if self.looks.len() >= LOOKS_MAX {
            self.looks.retain(|_, look| now < look.at.plus(LOOK_HOLDS));
            if self.looks.len() >= LOOKS_MAX {
                return None;
            }
        }
        let key = (account.as_str().to_owned(), share.to_owned());
        let mut look = self.looks.entry(key).or_default();
        if now < look.at.plus(LOOK_HOLDS) {
            return None;
        }
        // Marked immediately, so that of many simultaneous requests only one searches.
        look.at = now;
        Some(look.upto.clone())
    }

    /// Deletes the records of those of these files that no longer exist, and returns whether there were any.
    async fn forget_of(&self, db: &Database, files: Vec<File>) -> Result<bool, StorageError> {
        let gone = self.gone_of(files).await?;
        if gone.is_empty() {
            return Ok(false);
        }
        let mut transaction = db.begin().await?;
        for (path, version) in gone {
            // A file that has reappeared in the meantime has another version.
            sqlx::query("DELETE FROM file_digests WHERE path = $1 AND version = $2")
                .bind(path)
                .bind(version)
                .execute(&mut *transaction)
                .await?;
        }
        db.commit(transaction).await?;
        Ok(true)
    }

    async fn gone_of(&self, files: Vec<File>) -> Result<Vec<File>, StorageError> {
        let shares = self.shares.clone();
        on_disk(move || {
            // If a share is unavailable, none of its files are considered gone.
            let there: BTreeSet<String> =
                shares.names().into_iter().filter(|share| shares.disk_space(share).is_ok()).collect();
            // The path of a trash entry isn't a valid file path; its record is deleted with the entry.
            let is_gone = |(path, _): &File| {
                path.parse::<crate::id::FilePath>().is_ok_and(|path| {
                    there.contains(path.share())
                        && matches!(shares.readable().entry(&path), Err(FileError::Missing))
                })
            };
            Ok::<_, StorageError>(files.into_iter().filter(is_gone).collect())
        })
        .await
    }
}

/// Returns files that count for the account or the share, sorted by path, starting after `after`.
async fn page(
    db: &Database,
    account: &AccountId,
    share: &str,
    after: &str,
) -> Result<Vec<File>, StorageError> {
    let rows = sqlx::query(
        "SELECT path, version FROM file_digests WHERE (account = $1 OR share = $2) AND path > $3 \
         ORDER BY path LIMIT $4",
    )
    .bind(account.as_str())
    .bind(share)
    .bind(after)
    .bind(i64::try_from(PER_PAGE).unwrap_or(i64::MAX))
    .fetch_all(db.reader())
    .await?;
    let mut files = Vec::with_capacity(rows.len());
    for row in &rows {
        files.push((row.try_get("path")?, row.try_get("version")?));
    }
    Ok(files)
}
