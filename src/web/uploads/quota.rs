//! Whether there is room: by the limit on one file, by the quotas of account and share, and on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{Any, Row, Transaction};

use crate::config::Settings;
use crate::files::Shares;
use crate::web::account::AccountId;
use crate::web::db::QueryError;
use crate::web::storage::{StorageError, on_disk};
use crate::web::uploads::Upload;
use crate::web::uploads::rows::{bytes_from_column, bytes_to_column};

/// Uploads that one account may have begun and not finished: a folder full of files, but no flood.
const MOST_UNFINISHED: i64 = 1_000;

/// The limits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Quotas {
    /// Most bytes of one file; 0 = no limit.
    pub(super) file_max: u64,
    account: u64,
    by_share: Arc<BTreeMap<String, u64>>,
    shares: Shares,
}

/// What somebody wants to put where.
pub(super) struct Wanted<'a> {
    pub(super) account: &'a AccountId,
    pub(super) share: &'a str,
    /// Bytes; 0 where they are not known yet.
    pub(super) size: u64,
}

/// Bytes that uploads take up, or will: what is there, and what was announced.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    there: u64,
    announced: u64,
}

impl Quotas {
    pub(super) fn new(settings: &Settings, shares: Shares) -> Quotas {
        let by_share = settings.shares.iter().map(|share| (share.name.clone(), share.quota)).collect();
        Quotas {
            file_max: settings.web.upload_max,
            account: settings.web.account_quota,
            by_share: Arc::new(by_share),
            shares,
        }
    }

    /// Whether an account may begin one more upload, by how many it has not finished.
    pub(super) async fn admit_one_more(
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
        if unfinished < MOST_UNFINISHED { Ok(()) } else { Err(StorageError::TooMany) }
    }

    /// Lets an upload in, or says what is missing. Until the transaction's end no other gets in, so
    /// that two don't share the last room.
    pub(super) async fn admit(
        &self,
        transaction: &mut Transaction<'static, Any>,
        wanted: &Wanted<'_>,
    ) -> Result<(), StorageError> {
        if self.file_max > 0 && wanted.size > self.file_max {
            return Err(StorageError::TooLarge { max: self.file_max });
        }
        lock(transaction).await?;
        if let Err(error) = self.within_quotas(transaction, wanted).await {
            // Before anybody is refused: perhaps files that count are gone.
            if !self.forget_gone(transaction, wanted).await? {
                return Err(error);
            }
            self.within_quotas(transaction, wanted).await?;
        }
        let announced = taken(transaction, "share", wanted.share).await?.announced;
        let (shares, share) = (self.shares.clone(), wanted.share.to_owned());
        let (free, arrived) =
            on_disk(move || Ok::<_, StorageError>((shares.room(&share)?.free, shares.staged_bytes(&share)?)))
                .await?;
        // What others have announced and not yet sent will be missing later.
        let spoken_for = announced.saturating_sub(arrived);
        if wanted.size > free.saturating_sub(spoken_for) || free == 0 {
            return Err(StorageError::NoRoom);
        }
        Ok(())
    }

    async fn within_quotas(
        &self,
        transaction: &mut Transaction<'static, Any>,
        wanted: &Wanted<'_>,
    ) -> Result<(), StorageError> {
        if self.account > 0 {
            let left = self.left(transaction, "account", wanted.account.as_str(), self.account).await?;
            if wanted.size > left || left == 0 {
                return Err(StorageError::AccountQuota { left });
            }
        }
        let share_quota = self.share_quota(wanted.share);
        if share_quota > 0 {
            let left = self.left(transaction, "share", wanted.share, share_quota).await?;
            if wanted.size > left || left == 0 {
                return Err(StorageError::ShareQuota { left });
            }
        }
        Ok(())
    }

    /// Counts what came of a file of unknown size, and says whether it is still within the quotas:
    /// while it came, others may have taken the room.
    pub(super) async fn count_received(
        &self,
        transaction: &mut Transaction<'static, Any>,
        upload: &Upload,
    ) -> Result<(), StorageError> {
        lock(transaction).await?;
        sqlx::query("UPDATE uploads SET received = $1 WHERE id = $2")
            .bind(bytes_to_column(upload.offset))
            .bind(upload.id.as_str())
            .execute(&mut **transaction)
            .await?;
        for (column, value, quota, why) in [
            ("account", upload.account.as_str(), self.account, Why::Account),
            ("share", &upload.share, self.share_quota(&upload.share), Why::Share),
        ] {
            let used = taken(transaction, column, value).await?;
            if quota > 0 && used.there.saturating_add(used.announced) > quota {
                return Err(Limit { bytes: 0, why }.exceeded());
            }
        }
        Ok(())
    }

    /// Most bytes that a file may have of which nothing else is known.
    pub(super) async fn most(
        &self,
        transaction: &mut Transaction<'static, Any>,
        upload: &Upload,
    ) -> Result<Limit, StorageError> {
        let (account, share) = (&upload.account, upload.share.as_str());
        let own = received(transaction, upload).await?;
        let mut limit = Limit { bytes: u64::MAX, why: Why::File };
        if self.file_max > 0 {
            limit.bytes = self.file_max;
        }
        if self.account > 0 {
            let left = self.left(transaction, "account", account.as_str(), self.account).await?;
            limit = limit.min(Limit { bytes: left.saturating_add(own), why: Why::Account });
        }
        if self.share_quota(share) > 0 {
            let left = self.left(transaction, "share", share, self.share_quota(share)).await?;
            limit = limit.min(Limit { bytes: left.saturating_add(own), why: Why::Share });
        }
        Ok(limit)
    }

    fn share_quota(&self, share: &str) -> u64 {
        self.by_share.get(share).copied().unwrap_or(0)
    }

    async fn left(
        &self,
        transaction: &mut Transaction<'static, Any>,
        column: &'static str,
        value: &str,
        quota: u64,
    ) -> Result<u64, StorageError> {
        let used = taken(transaction, column, value).await?;
        Ok(quota.saturating_sub(used.there.saturating_add(used.announced)))
    }

    /// Forgets the digests of files that are gone, as when the operator removed them: they must not
    /// count for ever. Answers whether any was.
    async fn forget_gone(
        &self,
        transaction: &mut Transaction<'static, Any>,
        wanted: &Wanted<'_>,
    ) -> Result<bool, StorageError> {
        let rows = sqlx::query("SELECT path FROM file_digests WHERE account = $1 OR share = $2")
            .bind(wanted.account.as_str())
            .bind(wanted.share)
            .fetch_all(&mut **transaction)
            .await?;
        let paths = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        let shares = self.shares.clone();
        let gone = on_disk(move || {
            // What lies in the trash has no file path, and is forgotten with it.
            let is_gone = |path: &String| {
                path.parse()
                    .is_ok_and(|path| matches!(shares.entry(&path), Err(crate::files::FileError::Missing)))
            };
            Ok::<_, StorageError>(paths.into_iter().filter(is_gone).collect::<Vec<_>>())
        })
        .await?;
        for path in &gone {
            sqlx::query("DELETE FROM file_digests WHERE path = $1")
                .bind(path)
                .execute(&mut **transaction)
                .await?;
        }
        Ok(!gone.is_empty())
    }
}

/// What limits a file of unknown size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    File,
    Account,
    Share,
}

impl Limit {
    /// The size itself, where it is known.
    pub(super) const fn exactly(bytes: u64) -> Limit {
        Limit { bytes, why: Why::File }
    }

    const fn min(self, other: Limit) -> Limit {
        if other.bytes < self.bytes { other } else { self }
    }

    /// What to say of a file that has more.
    pub(super) const fn exceeded(self) -> StorageError {
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

/// Until the transaction's end no other upload is let in.
async fn lock(transaction: &mut Transaction<'static, Any>) -> Result<(), QueryError> {
    sqlx::query("UPDATE generations SET number = number + 1 WHERE name = 'uploads'")
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn taken(
    transaction: &mut Transaction<'static, Any>,
    column: &'static str,
    value: &str,
) -> Result<Taken, StorageError> {
    let there =
        format!("SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM file_digests WHERE {column} = $1");
    let announced = format!(
        "SELECT CAST(COALESCE(SUM(COALESCE(size, received)), 0) AS BIGINT) FROM uploads \
         WHERE {column} = $1 AND state <> 'done'"
    );
    let mut sums = [0, 0];
    for (sum, query) in sums.iter_mut().zip([there, announced]) {
        let bytes: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(value).fetch_one(&mut **transaction).await?;
        *sum = bytes_from_column(bytes);
    }
    let [there, announced] = sums;
    Ok(Taken { there, announced })
}

/// Counts a finished file, in place of whatever stood at its path before.
pub(super) async fn count(
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
