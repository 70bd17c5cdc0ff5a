//! CRC-32 checksums of files, each valid for one version of its file. Archives contain them.

use std::collections::HashMap;
use std::io;

use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::clock::Timestamp;
use crate::files::identity::ClaimedVersion;
use crate::files::{OpenFile, QuickCheck};
use crate::id::FilePath;
use crate::web::db::columns::{below, placeholders, to_column};
use crate::web::db::{Database, QueryError};

/// How many files are looked up in one query.
const PER_QUERY: usize = 500;

/// How many bytes are read at once.
const READ_AT_ONCE: usize = 1 << 20;

/// The checksum of one version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileChecksum {
    pub(crate) version: ClaimedVersion,
    pub(crate) crc32: u32,
}

impl FileChecksum {
    /// Reads a whole file; `None` if it changes meanwhile. Blocks on the disk.
    ///
    /// # Errors
    /// If it can't be read.
    pub(crate) fn compute(file: &OpenFile) -> io::Result<Option<FileChecksum>> {
        let version = file.claim()?;
        let (mut hasher, mut at) = (crc32fast::Hasher::new(), 0);
        let len = version.version().len;
        let mut buffer = vec![0; usize::try_from(len).unwrap_or(READ_AT_ONCE).min(READ_AT_ONCE)];
        while at < len {
            let left = usize::try_from(len - at).unwrap_or(READ_AT_ONCE).min(READ_AT_ONCE);
            let Some(part) = buffer.get_mut(..left) else { break };
            if file.read(part, at)? != left {
                return Ok(None);
            }
            hasher.update(part);
            at += left as u64;
        }
        let unchanged = file.quick_check()? == QuickCheck::Unchanged;
        Ok(unchanged.then(|| FileChecksum { version, crc32: hasher.finalize() }))
    }
}

/// Returns the known checksums of files. Some may be of an earlier version.
///
/// # Errors
/// If the database fails.
pub(crate) async fn of(
    db: &Database,
    paths: &[&FilePath],
) -> Result<HashMap<String, FileChecksum>, QueryError> {
    let mut known = HashMap::new();
    for paths in paths.chunks(PER_QUERY) {
        let query = format!(
            "SELECT path, version, crc32 FROM file_checksums WHERE path IN ({})",
            placeholders(1, paths.len())
        );
        let query = sqlx::query(AssertSqlSafe(query)).persistent(paths.len() == PER_QUERY);
        let query = paths.iter().fold(query, |query, path| query.bind(path.as_str()));
        for row in query.fetch_all(db.reader()).await? {
            let Ok(version) = row.try_get::<String, _>("version")?.parse() else { continue };
            let Ok(crc32) = u32::try_from(row.try_get::<i64, _>("crc32")?) else { continue };
            known.insert(row.try_get("path")?, FileChecksum { version, crc32 });
        }
    }
    Ok(known)
}

/// Records the checksum of a file, replacing that of an earlier version.
///
/// # Errors
/// If the database fails.
pub(crate) async fn put(
    transaction: &mut Transaction<'static, Any>,
    path: &FilePath,
    checksum: FileChecksum,
    now: Timestamp,
) -> Result<(), QueryError> {
    sqlx::query(
        "INSERT INTO file_checksums (path, version, crc32, made_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (path) DO UPDATE SET version = excluded.version, crc32 = excluded.crc32, \
         made_at = excluded.made_at",
    )
    .bind(path.as_str())
    .bind(checksum.version.to_string())
    .bind(i64::from(checksum.crc32))
    .bind(to_column(now))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Deletes the checksums of `path` and everything below it, because it is no longer there.
///
/// # Errors
/// If the database fails.
pub(super) async fn forget(
    transaction: &mut Transaction<'static, Any>,
    path: &str,
) -> Result<(), QueryError> {
    sqlx::query("DELETE FROM file_checksums WHERE path = $1 OR path LIKE $2 ESCAPE '!'")
        .bind(path)
        .bind(below(path))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Deletes checksums that were calculated before `before`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn prune(db: &Database, before: Timestamp) -> Result<u64, QueryError> {
    let delete = "DELETE FROM file_checksums WHERE path IN (SELECT path FROM file_checksums \
        WHERE made_at < $1 LIMIT $2)";
    db.in_portions(delete, to_column(before)).await
}
