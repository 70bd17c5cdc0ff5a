//! SHA-256 digests of files: computed while a file is uploaded, together with its CRC-32, and valid for that
//! version of the file only.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::id::FilePath;
use crate::web::db::columns::{below, bytes_to_column, placeholders};
use crate::web::db::groups::Groups;
use crate::web::db::{Database, GroupedQueryError, QueryError};
use crate::web::identity::AccountId;
use crate::web::shares::checksums;
use crate::web::shares::disk::{Staged, WriteError};

/// How many bytes are read at once when a digest catches up.
const READ_AT_ONCE: usize = 1 << 20;

/// A running digest of the first bytes of a file.
#[derive(Clone)]
pub(crate) struct RunningDigest {
    context: Context,
    crc32: crc32fast::Hasher,
    upto: u64,
}

impl Default for RunningDigest {
    fn default() -> RunningDigest {
        RunningDigest { context: Context::new(&SHA256), crc32: crc32fast::Hasher::new(), upto: 0 }
    }
}

impl RunningDigest {
    /// Returns how many bytes of the file the digest covers.
    pub(crate) const fn upto(&self) -> u64 {
        self.upto
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.context.update(piece);
            self.crc32.update(piece);
            self.upto += piece.len() as u64;
        }
    }

    /// Reads the bytes that the digest doesn't cover yet, up to `len` bytes of the file.
    pub(crate) fn catch_up(&mut self, file: &Staged, len: u64) -> Result<(), WriteError> {
        let mut buffer = vec![0; READ_AT_ONCE];
        while self.upto < len {
            let left = usize::try_from(len - self.upto).unwrap_or(READ_AT_ONCE).min(READ_AT_ONCE);
            let Some(part) = buffer.get_mut(..left) else { break };
            let count = file.read(part, self.upto)?;
            let Some(read) = part.get(..count).filter(|read| !read.is_empty()) else {
                return Err(WriteError::Missing);
            };
            self.context.update(read);
            self.crc32.update(read);
            self.upto += count as u64;
        }
        Ok(())
    }

    /// Returns the digest in base64, as in `Repr-Digest`, and the CRC-32.
    pub(crate) fn finish(self) -> (String, u32) {
        (STANDARD.encode(self.context.finish()), self.crc32.finalize())
    }
}

/// The known digests of files. Clones share their state.
#[derive(Clone)]
pub struct FileDigests {
    db: Database,
    lookups: Groups<DigestLookup, DigestFound>,
}

/// The path and the version of a file.
type DigestLookup = (FilePath, String);
type DigestFound = Result<Option<String>, Arc<QueryError>>;

impl FileDigests {
    /// Reads the digests in `db`.
    pub fn new(db: Database) -> FileDigests {
        FileDigests { db, lookups: Groups::default() }
    }

    /// Returns the SHA-256 of a file in base64, if it is known for this version of the file.
    ///
    /// # Errors
    /// If the database fails, or too many are waiting.
    pub async fn of(&self, path: &FilePath, version: &str) -> Result<Option<String>, GroupedQueryError> {
        let digests = self.clone();
        let look_up = move |lookups| {
            let digests = digests.clone();
            async move { digests.of_all(lookups).await }
        };
        let lookup = (path.clone(), version.to_owned());
        self.lookups.submit(lookup, look_up).await?.map_err(GroupedQueryError::Query)
    }

    async fn of_all(&self, lookups: Vec<DigestLookup>) -> Vec<DigestFound> {
        match self.find(&lookups).await {
            Ok(found) => {
                let digest = |(path, version): &DigestLookup| {
                    let known = found.get(path.as_str()).filter(|(known, _)| known == version);
                    Ok(known.map(|(_, digest)| digest.clone()))
                };
                lookups.iter().map(digest).collect()
            }
            Err(error) => {
                let error = Arc::new(error);
                lookups.iter().map(|_| Err(Arc::clone(&error))).collect()
            }
        }
    }

    /// Returns the version and the digest that are known of each of these paths.
    async fn find(&self, lookups: &[DigestLookup]) -> Result<HashMap<String, (String, String)>, QueryError> {
        let paths: BTreeSet<&str> = lookups.iter().map(|(path, _)| path.as_str()).collect();
        let query = format!(
            "SELECT path, version, sha256 FROM file_digests WHERE path IN ({})",
            placeholders(1, paths.len())
        );
        let query = sqlx::query(AssertSqlSafe(query)).persistent(paths.len() == 1);
        let rows =
            paths.iter().fold(query, |query, path| query.bind(*path)).fetch_all(self.db.reader()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
    }
}

/// Updates the paths of what was moved from `from` to `to`, including everything below it.
///
/// # Errors
/// If the database fails.
pub(crate) async fn moved(
    transaction: &mut Transaction<'static, Any>,
    from: &str,
    to: &str,
    share: &str,
) -> Result<(), QueryError> {
    forget(transaction, to).await?;
    checksums::forget(transaction, from).await?;
    let after = i64::try_from(from.chars().count()).unwrap_or(i64::MAX).saturating_add(1);
    sqlx::query(
        "UPDATE file_digests SET path = $1 || SUBSTR(path, CAST($2 AS INTEGER)), share = $3 \
         WHERE path = $4 OR path LIKE $5 ESCAPE '!'",
    )
    .bind(to)
    .bind(after)
    .bind(share)
    .bind(from)
    .bind(below(from))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Makes what is at `path`, and everything below it, count against the quota of `account`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn charge(
    transaction: &mut Transaction<'static, Any>,
    path: &str,
    account: &str,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE file_digests SET account = $1 WHERE path = $2 OR path LIKE $3 ESCAPE '!'")
        .bind(account)
        .bind(path)
        .bind(below(path))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Deletes the records of `path` and everything below it, because they no longer exist.
///
/// # Errors
/// If the database fails.
pub(crate) async fn forget(
    transaction: &mut Transaction<'static, Any>,
    path: &str,
) -> Result<(), QueryError> {
    sqlx::query("DELETE FROM file_digests WHERE path = $1 OR path LIKE $2 ESCAPE '!'")
        .bind(path)
        .bind(below(path))
        .execute(&mut **transaction)
        .await?;
    checksums::forget(transaction, path).await
}

/// Records a finished file, replacing any record of an earlier file at its path. It counts against the
/// quotas.
pub(crate) async fn count(
    transaction: &mut Transaction<'static, Any>,
    path: &str,
    share: &str,
    version: &str,
    sha256: &str,
    account: &AccountId,
    size: u64,
) -> Result<(), QueryError> {
    sqlx::query("DELETE FROM file_digests WHERE path = $1").bind(path).execute(&mut **transaction).await?;
    sqlx::query(
        "INSERT INTO file_digests (path, share, version, sha256, account, size) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(path)
    .bind(share)
    .bind(version)
    .bind(sha256)
    .bind(account.as_str())
    .bind(bytes_to_column(size))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Records a folder. It has no bytes and no digest, but counts as an entry like any other.
///
/// # Errors
/// If the database fails.
pub(crate) async fn count_folder(
    transaction: &mut Transaction<'static, Any>,
    path: &str,
    share: &str,
    account: &AccountId,
) -> Result<(), QueryError> {
    count(transaction, path, share, "", "", account, 0).await
}
