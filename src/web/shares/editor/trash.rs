//! The trash: listing its entries, and removing them when their retention ends.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::telemetry::chain;
use crate::web::db::columns::{below, to_column};
use crate::web::shares::digests;
use crate::web::shares::disk::WriteError;
use crate::web::shares::editor::manage::ShareEditor;
use crate::web::shares::editor::trashed::{COLUMNS, TrashEntry, delete, read, trash_place};
use crate::web::shares::error::{StorageError, on_disk};

/// Maximum number of entries shown for one share.
const SHOWN_MAX: i64 = 1_000;

/// Maximum number of entries removed in one round.
const AT_ONCE: i64 = 200;

/// Maximum number of entries without a row that are removed from one share's trash in one round.
const SWEPT_AT_ONCE: usize = 200;

impl ShareEditor {
    /// Returns what was deleted from `root`, which is the root of a share or an account's own folder, latest
    /// first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_trash(&self, root: &FilePath) -> Result<Vec<TrashEntry>, StorageError> {
        let query = format!(
            "SELECT {COLUMNS} FROM trash WHERE share = $1 AND path LIKE $2 ESCAPE '!' \
             ORDER BY trashed_at DESC, id LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(root.share())
            .bind(below(root.as_str()))
            .bind(SHOWN_MAX)
            .fetch_all(self.db.reader())
            .await?;
        let read = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<TrashEntry> =
            read.into_iter().flatten().filter(|thrown| thrown.path.is_within(root)).collect();
        let files = self.shares.clone();
        let mut all = on_disk(move || {
            // Someone may have removed it manually.
            all.retain(|thrown: &TrashEntry| files.is_in_trash(thrown.share(), &thrown.id).unwrap_or(false));
            Ok::<_, WriteError>(all)
        })
        .await?;
        all.sort_by(|one, other| other.trashed_at.cmp(&one.trashed_at).then_with(|| one.id.cmp(&other.id)));
        Ok(all)
    }

    /// Returns an entry of the trash by its id. The caller must check that the account may manage the share:
    /// `rights.manageable(account, thrown.path)`.
    ///
    /// # Errors
    /// [`StorageError::Missing`] if there is no entry with this id.
    pub async fn trash_entry(&self, id: &str) -> Result<TrashEntry, StorageError> {
        let query = format!("SELECT {COLUMNS} FROM trash WHERE id = $1");
        // PostgreSQL returns an error for a NUL instead of finding nothing.
        let id = if id.contains('\0') { "" } else { id };
        let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(self.db.reader()).await?;
        row.as_ref().map(read).transpose()?.flatten().ok_or(StorageError::Missing)
    }

    /// Removes entries whose retention has ended, and returns how many.
    ///
    /// # Errors
    /// If the database fails. A share that fails is logged and tried again.
    pub async fn purge_expired(&self, now: Timestamp) -> Result<usize, StorageError> {
        let query = format!("SELECT {COLUMNS} FROM trash WHERE forget_at <= $1 ORDER BY forget_at LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(to_column(now))
            .bind(AT_ONCE)
            .fetch_all(self.db.reader())
            .await?;
        let mut gone = 0;
        for row in &rows {
            let Some(thrown) = read(row)? else { continue };
            match self.remove(&thrown).await {
                Ok(()) => gone += 1,
                Err(StorageError::Query(error)) => return Err(error.into()),
                Err(error) => {
                    let cause = chain(&error);
                    let (trash, share) = (&thrown.id, thrown.share());
                    tracing::warn!(trash, share, cause, "cannot remove an expired entry from the trash");
                }
            }
        }
        Ok(gone)
    }

    /// Changes the disk first: if this is interrupted, the row is found again.
    async fn remove(&self, thrown: &TrashEntry) -> Result<(), StorageError> {
        let (shares, share, id) = (self.shares.clone(), thrown.share().to_owned(), thrown.id.clone());
        match on_disk(move || shares.purge(&share, &id)).await {
            // The share is no longer served.
            Ok(()) | Err(StorageError::Missing) => {}
            Err(error) => return Err(error),
        }
        let mut transaction = self.db.begin().await?;
        digests::forget(&mut transaction, &trash_place(thrown.share(), &thrown.id)).await?;
        delete(&mut transaction, &thrown.id).await?;
        Ok(self.db.commit(transaction).await?)
    }

    /// Removes entries in the trash that have no row, for example because the database was restored from a
    /// backup, and returns how many. None is removed before its retention has ended.
    ///
    /// # Errors
    /// If the database fails. A share that fails is logged and tried again.
    pub async fn sweep_trash(&self, now: Timestamp) -> Result<usize, StorageError> {
        let mut removed = 0;
        let names: Vec<String> = self.shares.names();
        for share in names {
            let (shares, name) = (self.shares.clone(), share.clone());
            // Read the disk before the rows: anything moved to the trash in between then has a row.
            let thrown = match on_disk(move || shares.trash_ids(&name)).await {
                Ok(thrown) if thrown.is_empty() => continue,
                Ok(thrown) => thrown,
                Err(error) => {
                    tracing::warn!(share, cause = chain(&error), "cannot list the trash");
                    continue;
                }
            };
            let known: Vec<String> = sqlx::query_scalar("SELECT id FROM trash WHERE share = $1")
                .bind(&share)
                .fetch_all(self.db.reader())
                .await?;
            let known: BTreeSet<String> = known.into_iter().collect();
            let is_orphan = |(name, at): &(String, Timestamp)| {
                // Folders of an entry that is being purged are beside it, as `{id}.{number}`.
                let id = name.split('.').next().unwrap_or_default();
                is_id(id) && !known.contains(id) && at.plus(self.keep) <= now
            };
            for (name, _) in thrown.into_iter().filter(is_orphan).take(SWEPT_AT_ONCE) {
                let (shares, of, id) = (self.shares.clone(), share.clone(), name.clone());
                match on_disk(move || shares.purge(&of, &id)).await {
                    Ok(()) => removed += 1,
                    Err(error) => {
                        let cause = chain(&error);
                        tracing::warn!(share, trash = name, cause, "cannot remove an orphaned trash entry");
                    }
                }
            }
        }
        Ok(removed)
    }
}

/// Returns whether the name is one of our ids. Anything else isn't ours to remove.
fn is_id(name: &str) -> bool {
    name.len() == 22 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
