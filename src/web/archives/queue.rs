//! The queue of files and folders whose files are to get checksums. It is in the database, so a restart
//! forgets none.

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};

/// Adds the files and folders of an archive, in the transaction that is the reason. If there is only one, it
/// counts only if it is a folder: nobody needs an archive of one file.
///
/// # Errors
/// If the database fails.
pub async fn queue_files(
    transaction: &mut Transaction<'static, Any>,
    paths: &[FilePath],
    now: Timestamp,
) -> Result<(), QueryError> {
    add(transaction, paths, paths.len() == 1, now).await
}

/// The same for an archive that somebody waits for, which may be of one file.
pub(super) async fn queue_wanted(
    transaction: &mut Transaction<'static, Any>,
    paths: &[FilePath],
    now: Timestamp,
) -> Result<(), QueryError> {
    add(transaction, paths, false, now).await
}

async fn add(
    transaction: &mut Transaction<'static, Any>,
    paths: &[FilePath],
    folder_only: bool,
    now: Timestamp,
) -> Result<(), QueryError> {
    for path in paths {
        sqlx::query(
            "INSERT INTO checksum_queue (path, wanted_at, folder_only) VALUES ($1, $2, $3) \
             ON CONFLICT (path) DO UPDATE SET folder_only = checksum_queue.folder_only * excluded.folder_only",
        )
        .bind(path.as_str())
        .bind(to_column(now))
        .bind(i64::from(folder_only))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// The next file or folder of the queue.
pub(super) struct QueuedPath {
    pub(super) path: FilePath,
    /// Whether it counts only if it is a folder.
    pub(super) folder_only: bool,
}

/// Returns the next file or folder.
pub(super) async fn next(db: &Database) -> Result<Option<QueuedPath>, QueryError> {
    loop {
        let row =
            sqlx::query("SELECT path, folder_only FROM checksum_queue ORDER BY wanted_at, path LIMIT 1")
                .fetch_optional(db.reader())
                .await?;
        let Some(row) = row else { return Ok(None) };
        let path: String = row.try_get("path")?;
        let folder_only = row.try_get::<i64, _>("folder_only")? != 0;
        match path.parse() {
            Ok(path) => return Ok(Some(QueuedPath { path, folder_only })),
            // From a release with other rules for names.
            Err(_) => remove(db, &path).await?,
        }
    }
}

/// Returns whether anything else waits.
pub(super) async fn has_other(db: &Database, path: &FilePath) -> Result<bool, QueryError> {
    let other = sqlx::query("SELECT path FROM checksum_queue WHERE path <> $1 LIMIT 1")
        .bind(path.as_str())
        .fetch_optional(db.reader())
        .await?;
    Ok(other.is_some())
}

/// Removes what is done.
pub(super) async fn remove(db: &Database, path: &str) -> Result<(), QueryError> {
    sqlx::query("DELETE FROM checksum_queue WHERE path = $1").bind(path).execute(db.writer()).await?;
    Ok(())
}

/// Lets all others come before a file or folder.
pub(super) async fn postpone(db: &Database, path: &FilePath, now: Timestamp) -> Result<(), QueryError> {
    sqlx::query("UPDATE checksum_queue SET wanted_at = $1 WHERE path = $2")
        .bind(to_column(now).saturating_add(1))
        .bind(path.as_str())
        .execute(db.writer())
        .await?;
    Ok(())
}
