//! The table of manifests.

use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::archives::built_archive::BuiltArchive;
use crate::web::archives::error::ArchiveMakingError;
use crate::web::db::columns::{bytes_from_column, bytes_to_column, to_column};
use crate::web::db::{Database, QueryError};

/// How many bytes all manifests may have.
const BYTES_MAX: i64 = 2 << 30;

/// Records a manifest, or that it was used again.
pub(super) async fn put(
    db: &Database,
    archive: &BuiltArchive,
    text: &str,
    now: Timestamp,
) -> Result<(), ArchiveMakingError> {
    if used(db, &archive.digest, now).await? {
        return Ok(());
    }
    let kept: i64 = sqlx::query_scalar("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM manifests")
        .fetch_one(db.reader())
        .await?;
    let bytes = bytes_to_column(text.len() as u64);
    if kept.saturating_add(bytes) > BYTES_MAX {
        return Err(ArchiveMakingError::Busy);
    }
    sqlx::query(
        "INSERT INTO manifests (digest, files, size, bytes, used_at, body) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (digest) DO UPDATE SET used_at = excluded.used_at",
    )
    .bind(&archive.digest)
    .bind(bytes_to_column(archive.files))
    .bind(bytes_to_column(archive.size))
    .bind(bytes)
    .bind(to_column(now))
    .bind(text)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Records that a manifest is used. Returns false if there is none with this digest.
pub(super) async fn used(db: &Database, digest: &str, now: Timestamp) -> Result<bool, QueryError> {
    let used = sqlx::query("UPDATE manifests SET used_at = $1 WHERE digest = $2")
        .bind(to_column(now))
        .bind(digest)
        .execute(db.writer())
        .await?;
    Ok(used.rows_affected() > 0)
}

/// Returns the archive with this digest and its manifest.
pub(super) async fn find(db: &Database, digest: &str) -> Result<Option<(BuiltArchive, String)>, QueryError> {
    let row = sqlx::query("SELECT files, size, body FROM manifests WHERE digest = $1")
        .bind(digest.replace('\0', ""))
        .fetch_optional(db.reader())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let archive = BuiltArchive {
        digest: digest.to_owned(),
        size: bytes_from_column(row.try_get("size")?),
        files: bytes_from_column(row.try_get("files")?),
    };
    Ok(Some((archive, row.try_get("body")?)))
}

/// Deletes the manifests that were last used before `before`.
pub(super) async fn prune(db: &Database, before: Timestamp) -> Result<u64, QueryError> {
    let delete = "DELETE FROM manifests WHERE digest IN (SELECT digest FROM manifests \
        WHERE used_at < $1 LIMIT $2)";
    db.in_portions(delete, to_column(before)).await
}
