//! Whether there is room: by the limit on one file, by the quotas of account and share, and on the disk.
//! The disk is looked at before the database is taken, never while others wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Any, AnyConnection, Transaction};

use crate::clock::Timestamp;
use crate::web::db::columns::{bytes_from_column, bytes_to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::shares::disk::WritableShares;
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::gone_files::GoneFiles;
use crate::web::uploads::upload::Upload;

/// Uploads that one account may have begun and not finished: a folder full of files, but no flood.
const UNFINISHED_MAX: i64 = 1_000;

/// What an entry of a folder takes up even if it is empty …
const ENTRY: u64 = 4096;

/// … and as many are allowed however small a quota is.
const ENTRIES_MIN: u64 = 1_000;

/// Limits on uploads. 0 bytes = no limit.
#[derive(Clone, Debug)]
pub struct UploadLimits {
    /// How long an upload is kept without new bytes.
    pub keep: Duration,
    /// Maximum number of bytes of one file.
    pub file_max: u64,
    /// Maximum number of bytes of one account.
    pub account_quota: u64,
    /// Maximum number of bytes by share.
    pub share_quotas: BTreeMap<String, u64>,
}

/// The limits. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Quotas {
    /// Most bytes of one file; 0 = no limit.
    pub(crate) file_max: u64,
    account: u64,
    by_share: Arc<BTreeMap<String, u64>>,
    shares: WritableShares,
    gone: GoneFiles,
}

/// What somebody wants to put where.
#[derive(Clone, Copy)]
pub(crate) struct SpaceRequest<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) share: &'a str,
    /// Bytes; 0 where they are not known yet.
    pub(crate) size: u64,
}

/// What the disk says, looked at before the database is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskUsage {
    free: u64,
    /// What uploads on their way have brought so far.
    arrived: u64,
}

/// What uploads take up, or will: what is there, and what was announced.
#[derive(Clone, Copy, Debug, Default)]
struct SpaceUsage {
    there: u64,
    announced: u64,
    entries: u64,
}

impl Quotas {
    pub(crate) fn new(limits: UploadLimits, shares: WritableShares) -> Quotas {
        Quotas {
            file_max: limits.file_max,
            account: limits.account_quota,
            by_share: Arc::new(limits.share_quotas),
            gone: GoneFiles::new(shares.clone()),
            shares,
        }
    }

    /// What the disk of a share says.
    pub(crate) async fn disk(&self, share: &str) -> Result<DiskUsage, StorageError> {
        let (shares, share) = (self.shares.clone(), share.to_owned());
        on_disk(move || {
            let (free, arrived) = (shares.disk_space(&share)?.free, shares.staged_bytes(&share)?);
            Ok::<_, StorageError>(DiskUsage { free, arrived })
        })
        .await
    }

    /// Refuses what the quotas have no room for, before the database is taken; what counts and is gone
    /// is forgotten first. Only [`Quotas::admit`] lets anything in.
    pub(crate) async fn precheck(
        &self,
        db: &Database,
        wanted: &SpaceRequest<'_>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        if self.file_max > 0 && wanted.size > self.file_max {
            return Err(StorageError::TooLarge { max: self.file_max });
        }
        if self.account == 0 && self.share_quota(wanted.share) == 0 {
            return Ok(());
        }
        let Err(refused) = self.check_once(db, wanted).await else { return Ok(()) };
        if !self.gone.forget(db, wanted.account, wanted.share, now).await? {
            return Err(refused);
        }
        self.check_once(db, wanted).await
    }

    async fn check_once(&self, db: &Database, wanted: &SpaceRequest<'_>) -> Result<(), StorageError> {
        let mut connection = db.reader().acquire().await?;
        self.within_quotas(&mut connection, wanted).await
    }

    /// Whether an account may begin one more upload, by how many it has not finished.
    pub(crate) async fn admit_one_more(
        &self,
        transaction: &mut Transaction<'static, Any>,
        account: &AccountId,
    ) -> Result<(), StorageError> {
        lock(transaction).await?;
        let unfinished: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM uploads WHERE account = $1 AND state <> 'done'")
                .bind(account.as_str())
                .fetch_one(&mut **transaction)
                .await?;
        if unfinished < UNFINISHED_MAX { Ok(()) } else { Err(StorageError::TooMany) }
    }

    /// Lets an upload in, or says what is missing. Until the transaction's end no other gets in, so
    /// that two don't share the last room.
    pub(crate) async fn admit(
        &self,
        transaction: &mut Transaction<'static, Any>,
        wanted: &SpaceRequest<'_>,
        disk: DiskUsage,
    ) -> Result<(), StorageError> {
        if self.file_max > 0 && wanted.size > self.file_max {
            return Err(StorageError::TooLarge { max: self.file_max });
        }
        lock(transaction).await?;
        self.within_quotas(transaction, wanted).await?;
        let announced = announced(transaction, "share", wanted.share).await?.0;
        // What others have announced and not yet sent will be missing later.
        let spoken_for = announced.saturating_sub(disk.arrived);
        if wanted.size > disk.free.saturating_sub(spoken_for) || disk.free == 0 {
            return Err(StorageError::NoRoom);
        }
        Ok(())
    }

    async fn within_quotas(
        &self,
        connection: &mut AnyConnection,
        wanted: &SpaceRequest<'_>,
    ) -> Result<(), StorageError> {
        if self.account > 0 {
            let left = left(connection, "account", wanted.account.as_str(), self.account).await?;
            if wanted.size > left || left == 0 {
                return Err(StorageError::AccountQuota { left });
            }
        }
        let share_quota = self.share_quota(wanted.share);
        if share_quota > 0 {
            let left = left(connection, "share", wanted.share, share_quota).await?;
            if wanted.size > left || left == 0 {
                return Err(StorageError::ShareQuota { left });
            }
        }
        Ok(())
    }

    /// Sets room aside for a file of unknown size that is about to have `wanted` bytes, in place of what
    /// was set aside for it before; returns the length that it may reach now. That is less than what it
    /// wants where there is no more room.
    pub(crate) async fn reserve_space(
        &self,
        transaction: &mut Transaction<'static, Any>,
        upload: &Upload,
        wanted: u64,
    ) -> Result<SizeLimit, StorageError> {
        lock(transaction).await?;
        let own = received(transaction, upload).await?;
        let mut limit = SizeLimit { bytes: u64::MAX, why: Why::File };
        if self.file_max > 0 {
            limit.bytes = self.file_max;
        }
        let share_quota = self.share_quota(&upload.share);
        for (column, value, quota, why) in [
            ("account", upload.account.as_str(), self.account, Why::Account),
            ("share", upload.share.as_str(), share_quota, Why::Share),
        ] {
            if quota > 0 {
                let left = left(transaction, column, value, quota).await?;
                limit = limit.min(SizeLimit { bytes: left.saturating_add(own), why });
            }
        }
        let granted = SizeLimit { bytes: limit.bytes.min(wanted), ..limit };
        set_received(transaction, upload, granted.bytes).await?;
        Ok(granted)
    }

    fn share_quota(&self, share: &str) -> u64 {
        self.by_share.get(share).copied().unwrap_or(0)
    }
}

/// How many bytes are left of a quota; none where there are too many files and folders for it.
async fn left(
    connection: &mut AnyConnection,
    column: &'static str,
    value: &str,
    quota: u64,
) -> Result<u64, StorageError> {
    let used = taken(connection, column, value).await?;
    if used.entries >= (quota / ENTRY).max(ENTRIES_MIN) {
        return Ok(0);
    }
    Ok(quota.saturating_sub(used.there.saturating_add(used.announced)))
}

/// What limits a file of unknown size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeLimit {
    pub(crate) bytes: u64,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    File,
    Account,
    Share,
}

impl SizeLimit {
    /// The size itself, where it is known.
    pub(crate) const fn exactly(bytes: u64) -> SizeLimit {
        SizeLimit { bytes, why: Why::File }
    }

    const fn min(self, other: SizeLimit) -> SizeLimit {
        if other.bytes < self.bytes { other } else { self }
    }

    /// What to say of a file that has more.
    pub(crate) const fn exceeded(self) -> StorageError {
        match self.why {
            Why::File => StorageError::TooLarge { max: self.bytes },
            Why::Account => StorageError::AccountQuota { left: self.bytes },
            Why::Share => StorageError::ShareQuota { left: self.bytes },
        }
    }
}

/// What an upload of unknown size counts for already.
async fn received(transaction: &mut Transaction<'static, Any>, upload: &Upload) -> Result<u64, StorageError> {
    let bytes: Option<i64> = sqlx::query_scalar("SELECT received FROM uploads WHERE id = $1")
        .bind(upload.id.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(bytes.map_or(0, bytes_from_column))
}

/// What an upload of unknown size counts for from now on.
pub(crate) async fn set_received(
    transaction: &mut Transaction<'static, Any>,
    upload: &Upload,
    bytes: u64,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE uploads SET received = $1 WHERE id = $2")
        .bind(bytes_to_column(bytes))
        .bind(upload.id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Until the transaction's end no other upload is let in.
async fn lock(transaction: &mut Transaction<'static, Any>) -> Result<(), QueryError> {
    sqlx::query("UPDATE generations SET number = number + 1 WHERE name = 'uploads'")
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn taken(
    connection: &mut AnyConnection,
    column: &'static str,
    value: &str,
) -> Result<SpaceUsage, StorageError> {
    let (announced, unfinished) = announced(connection, column, value).await?;
    let there = format!(
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT), COUNT(*) FROM file_digests WHERE {column} = $1"
    );
    let (there, files): (i64, i64) =
        sqlx::query_as(sqlx::AssertSqlSafe(there)).bind(value).fetch_one(&mut *connection).await?;
    let entries = bytes_from_column(files).saturating_add(unfinished);
    Ok(SpaceUsage { there: bytes_from_column(there), announced, entries })
}

/// The bytes that unfinished uploads count for, and how many those are.
async fn announced(
    connection: &mut AnyConnection,
    column: &'static str,
    value: &str,
) -> Result<(u64, u64), StorageError> {
    let query = format!(
        "SELECT CAST(COALESCE(SUM(COALESCE(size, received)), 0) AS BIGINT), COUNT(*) FROM uploads \
         WHERE {column} = $1 AND state <> 'done'"
    );
    let (bytes, uploads): (i64, i64) =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(value).fetch_one(&mut *connection).await?;
    Ok((bytes_from_column(bytes), bytes_from_column(uploads)))
}
