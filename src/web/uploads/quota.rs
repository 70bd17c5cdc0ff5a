//! Decides whether there is space for an upload: the limit for one file, the quotas of account and share, and
//! the free space on disk. The disk is examined before a transaction begins, so that nobody waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{Any, AnyConnection, Transaction};

use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::reloadable::Reloadable;
use crate::web::db::columns::{bytes_from_column, bytes_to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::shares::disk::WritableShares;
use crate::web::shares::error::{RequestLimit, StorageError, on_disk};
use crate::web::uploads::allowance::allowance;
use crate::web::uploads::gone_files::GoneFiles;
use crate::web::uploads::upload::Upload;

/// Maximum number of unfinished uploads of one account: enough for a folder full of files.
const UNFINISHED_MAX: i64 = 1_000;

/// How many bytes an entry of a folder counts for even if it is empty …
const ENTRY: u64 = 4096;

/// … and how many entries are allowed regardless of how small a quota is.
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

/// The limits, and what is needed to check them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Quotas {
    limits: Reloadable<UploadLimits>,
    shares: WritableShares,
    gone: GoneFiles,
}

/// A request for space.
#[derive(Clone, Copy)]
pub(crate) struct SpaceRequest<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) share: &'a str,
    /// In bytes; 0 if not known yet.
    pub(crate) size: u64,
    /// The file request through which a guest sends the file.
    pub(crate) request: Option<&'a RequestId>,
}

impl<'a> SpaceRequest<'a> {
    /// Requests `size` bytes for an upload.
    pub(crate) fn of(upload: &'a Upload, size: u64) -> SpaceRequest<'a> {
        let request = upload.guest.as_ref().map(|guest| &guest.request);
        SpaceRequest { account: &upload.account, share: &upload.share, size, request }
    }
}

/// The state of the disk, read before a transaction begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskUsage {
    free: u64,
    /// The total size of unfinished uploads so far.
    arrived: u64,
}

/// The space that uploads use or will use.
#[derive(Clone, Copy, Debug, Default)]
struct SpaceUsage {
    there: u64,
    announced: u64,
    entries: u64,
}

impl Quotas {
    pub(crate) fn new(limits: UploadLimits, shares: WritableShares) -> Quotas {
        Quotas { limits: Reloadable::new(limits), gone: GoneFiles::new(shares.clone()), shares }
    }

    /// Uses these limits from now on, for uploads that run, too.
    pub(crate) fn set_limits(&self, limits: UploadLimits) {
        self.limits.replace(limits);
    }

    pub(crate) fn by_share(&self) -> BTreeMap<String, u64> {
        self.limits.current().share_quotas.clone()
    }

    /// Returns the maximum size of one file in bytes; 0 = no limit.
    pub(crate) fn file_max(&self) -> u64 {
        self.limits.current().file_max
    }

    /// Reads the state of a share's disk.
    pub(crate) async fn disk(&self, share: &str) -> Result<DiskUsage, StorageError> {
        let (shares, share) = (self.shares.clone(), share.to_owned());
        on_disk(move || {
            let (free, arrived) = (shares.disk_space(&share)?.free, shares.staged_bytes(&share)?);
            Ok::<_, StorageError>(DiskUsage { free, arrived })
        })
        .await
    }

    /// Refuses uploads that exceed the quotas, before a transaction begins. Files that count but no longer
    /// exist are removed from the count first. Only [`Quotas::admit`] admits an upload.
    pub(crate) async fn precheck(
        &self,
        db: &Database,
        wanted: &SpaceRequest<'_>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        if self.file_max() > 0 && wanted.size > self.file_max() {
            return Err(StorageError::TooLarge { max: self.file_max() });
        }
        let account = self.limits.current().account_quota;
        if account == 0 && self.share_quota(wanted.share) == 0 {
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

    /// Checks that one more upload may begin: by how many of the account's uploads are unfinished, or by how
    /// many files a guest's request still takes. Guests don't use up what the account itself may begin.
    pub(crate) async fn admit_one_more(
        &self,
        transaction: &mut Transaction<'static, Any>,
        upload: &Upload,
    ) -> Result<(), StorageError> {
        lock(transaction).await?;
        if let Some(guest) = &upload.guest {
            let left = allowance(transaction, &guest.request).await?;
            return left.admit_one_more(upload.name.is_none());
        }
        let unfinished: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM uploads WHERE account = $1 AND guest = '' AND state <> 'done'",
        )
        .bind(upload.account.as_str())
        .fetch_one(&mut **transaction)
        .await?;
        if unfinished < UNFINISHED_MAX { Ok(()) } else { Err(StorageError::TooMany) }
    }

    /// Admits an upload, or returns what it exceeds. Until the transaction ends no other upload is admitted,
    /// so that two don't get the same space.
    pub(crate) async fn admit(
        &self,
        transaction: &mut Transaction<'static, Any>,
        wanted: &SpaceRequest<'_>,
        disk: DiskUsage,
    ) -> Result<(), StorageError> {
        if self.file_max() > 0 && wanted.size > self.file_max() {
            return Err(StorageError::TooLarge { max: self.file_max() });
        }
        lock(transaction).await?;
        self.within_quotas(transaction, wanted).await?;
        if let Some(request) = wanted.request {
            allowance(transaction, request).await?.admit(wanted.size)?;
        }
        let announced = announced(transaction, "share", wanted.share).await?.0;
        // Bytes that others have announced but not sent yet will need space too.
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
        let account = self.limits.current().account_quota;
        if account > 0 {
            let left = left(connection, "account", wanted.account.as_str(), account).await?;
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

    /// Reserves space for a file of unknown size that is about to have `wanted` bytes, replacing its previous
    /// reservation. Returns the length that it may reach now, which is less than `wanted` if there isn't
    /// enough space.
    pub(crate) async fn reserve_space(
        &self,
        transaction: &mut Transaction<'static, Any>,
        upload: &Upload,
        wanted: u64,
    ) -> Result<SizeLimit, StorageError> {
        lock(transaction).await?;
        let own = received(transaction, upload).await?;
        let mut limit = SizeLimit { bytes: u64::MAX, why: Why::File };
        if self.file_max() > 0 {
            limit.bytes = self.file_max();
        }
        let share_quota = self.share_quota(&upload.share);
        for (column, value, quota, why) in [
            ("account", upload.account.as_str(), self.limits.current().account_quota, Why::Account),
            ("share", upload.share.as_str(), share_quota, Why::Share),
        ] {
            if quota > 0 {
                let left = left(transaction, column, value, quota).await?;
                limit = limit.min(SizeLimit { bytes: left.saturating_add(own), why });
            }
        }
        if let Some(guest) = &upload.guest {
            let left = allowance(transaction, &guest.request).await?;
            limit = limit.min(SizeLimit { bytes: left.bytes.saturating_add(own), why: Why::Request });
        }
        let granted = SizeLimit { bytes: limit.bytes.min(wanted), ..limit };
        set_received(transaction, upload, granted.bytes).await?;
        Ok(granted)
    }

    fn share_quota(&self, share: &str) -> u64 {
        self.limits.current().share_quotas.get(share).copied().unwrap_or(0)
    }
}

/// Returns how many bytes of a quota are left; none if there are too many files and folders.
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

/// The limit on a file of unknown size, and its reason.
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
    Request,
}

impl SizeLimit {
    /// Limits a file to its announced size.
    pub(crate) const fn exactly(bytes: u64) -> SizeLimit {
        SizeLimit { bytes, why: Why::File }
    }

    const fn min(self, other: SizeLimit) -> SizeLimit {
        if other.bytes < self.bytes { other } else { self }
    }

    /// Returns the error for a file that exceeds the limit.
    pub(crate) const fn exceeded(self) -> StorageError {
        match self.why {
            Why::File => StorageError::TooLarge { max: self.bytes },
            Why::Account => StorageError::AccountQuota { left: self.bytes },
            Why::Share => StorageError::ShareQuota { left: self.bytes },
            Why::Request => StorageError::Request(RequestLimit::Bytes),
        }
    }
}

/// Returns how many bytes an upload of unknown size currently counts for.
async fn received(transaction: &mut Transaction<'static, Any>, upload: &Upload) -> Result<u64, StorageError> {
    let bytes: Option<i64> = sqlx::query_scalar("SELECT received FROM uploads WHERE id = $1")
        .bind(upload.id.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(bytes.map_or(0, bytes_from_column))
}

/// Sets how many bytes an upload of unknown size counts for.
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

/// Prevents other uploads from being admitted until the transaction ends.
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

/// Returns how many bytes the unfinished uploads count for, and how many uploads there are.
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
