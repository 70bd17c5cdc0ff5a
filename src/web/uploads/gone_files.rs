//! Files that count against a quota and are gone, as when the operator removed them: they must not count
//! any longer. Looked for only when somebody would be refused, without the database being taken, and where
//! there are many, not again at once.

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

/// For so long a look holds.
const LOOK_HOLDS: Duration = Duration::from_secs(60);

/// Files that are looked at between two questions to the database …
const PER_PAGE: usize = 1_000;

/// … and in one look; the next one begins where this one ended.
const PER_LOOK: usize = 100_000;

/// Looks that are remembered.
const LOOKS_MAX: usize = 10_000;

/// A file that counts: its path and its version.
type File = (String, String);

/// Where the last look for an account and share ended, and when.
#[derive(Clone, Default)]
struct Look {
    at: Timestamp,
    upto: String,
}

/// Looks for files that are gone. Clones share what they remember.
#[derive(Clone)]
pub(crate) struct GoneFiles {
    shares: WritableShares,
    looks: Arc<DashMap<(String, String), Look>>,
}

impl GoneFiles {
    pub(crate) fn new(shares: WritableShares) -> GoneFiles {
        GoneFiles { shares, looks: Arc::default() }
    }

    /// Forgets the digests of files of the account or share that are gone; returns whether any was.
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
                // So few can be looked at whenever somebody would be refused.
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

    /// Where to begin; `None` where somebody has looked a moment ago.
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
        // Marked at once: of many who are refused at the same time, one looks.
        look.at = now;
        Some(look.upto.clone())
    }

    /// Forgets those of these files that are gone; returns whether any was.
    async fn forget_of(&self, db: &Database, files: Vec<File>) -> Result<bool, StorageError> {
        let gone = self.gone_of(files).await?;
        if gone.is_empty() {
            return Ok(false);
        }
        let mut transaction = db.begin().await?;
        for (path, version) in gone {
            // One that has come back since has another version.
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
            // Of a share that is not there now nothing is gone.
            let there: BTreeSet<String> =
                shares.names().filter(|share| shares.disk_space(share).is_ok()).map(str::to_owned).collect();
            // What lies in the trash has no file path, and is forgotten with it.
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

/// Files that count for the account or the share, from `after` on, by path.
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
