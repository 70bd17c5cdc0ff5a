//! An upload from its beginning until it is done or given up.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use dashmap::DashMap;

use crate::clock::{Clock, Timestamp};
use crate::web::audit::Actor;
use crate::web::db::Database;
use crate::web::identity::AccountId;
use crate::web::shares::digests::RunningDigest;
use crate::web::shares::disk::{WritableShares, WriteError};
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::id::UploadId;
use crate::web::uploads::lock::UploadLocks;
use crate::web::uploads::quota::{Quotas, SpaceRequest, UploadLimits};
use crate::web::uploads::upload::{Joining, NewUpload, Upload, UploadPurpose, UploadStage};
use crate::web::uploads::{quota, rows};

/// Digests under way that are remembered; one that is not is computed anew from the file.
const MOST_HASHING: usize = 10_000;

/// All uploads. Clones are the same.
#[derive(Clone)]
pub struct Uploads {
    pub(super) db: Database,
    pub(super) shares: WritableShares,
    pub(super) clock: Clock,
    pub(super) quotas: Quotas,
    pub(super) keep: Duration,
    pub(super) turns: UploadLocks,
    pub(super) hashing: Arc<DashMap<UploadId, RunningDigest>>,
    /// How many take bytes in.
    pub(super) running: Arc<AtomicUsize>,
}

impl Uploads {
    /// Those in `db`, into `shares`, within these limits.
    pub fn new(limits: UploadLimits, db: Database, shares: WritableShares, clock: Clock) -> Uploads {
        Uploads {
            clock,
            keep: limits.keep,
            quotas: Quotas::new(limits, shares.clone()),
            db,
            shares,
            turns: UploadLocks::default(),
            hashing: Arc::default(),
            running: Arc::default(),
        }
    }

    /// Most bytes of one file; 0 = no limit.
    pub const fn max(&self) -> u64 {
        self.quotas.file_max
    }

    /// Begins an upload of the account that is the sender, if there is room for it. One of no bytes is
    /// whole at once.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn begin(
        &self,
        sender: &Actor,
        new: NewUpload,
        now: Timestamp,
    ) -> Result<Upload, StorageError> {
        let account = &AccountId::from_store(&sender.id);
        let (place, below, name, joining) = match new.purpose {
            UploadPurpose::File { folder, below, name } => (folder, below, Some(name), Joining::Whole),
            UploadPurpose::Part { at } => (at, Vec::new(), None, Joining::Part),
        };
        let mut folder = place.path().clone();
        let share = folder.share().to_owned();
        let (shares, looked_at) = (self.shares.clone(), folder.clone());
        if !on_disk(move || shares.is_on_share_disk(&looked_at)).await? {
            return Err(StorageError::OtherDisk);
        }
        for name in &below {
            folder = folder.join(name.as_str())?;
        }
        if let Some(name) = &name {
            folder.join(name.as_str())?;
        }
        let upload = Upload {
            id: UploadId::random()?,
            account: account.clone(),
            sender: sender.clone(),
            share,
            folder,
            name,
            size: new.size,
            offset: 0,
            metadata: new.metadata,
            joining,
            stage: UploadStage::Running,
            path: None,
            expires_at: now.plus(self.keep),
            unchecked_from: None,
            version: None,
            sha256: None,
        };
        let wanted = SpaceRequest { account, share: &upload.share, size: upload.size.unwrap_or(0) };
        self.quotas.precheck(&self.db, &wanted, now).await?;
        let disk = self.quotas.disk(&upload.share).await?;
        let mut transaction = self.db.begin().await?;
        self.quotas.admit_one_more(&mut transaction, account).await?;
        self.quotas.admit(&mut transaction, &wanted, disk).await?;
        rows::insert(&mut transaction, &upload, now).await?;
        transaction.commit().await?;
        if let Err(error) = self.stage(&upload).await {
            rows::delete(&self.db, &upload.id).await?;
            return Err(error);
        }
        self.hashing_of(&upload.id, RunningDigest::default());
        tracing::debug!(upload = %upload.id, account = %account, share = upload.share, "upload begun");
        match upload.is_whole() && upload.name.is_some() {
            true => self.finish(&upload, now).await,
            false => Ok(upload),
        }
    }

    async fn stage(&self, upload: &Upload) -> Result<(), StorageError> {
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        on_disk(move || shares.stage(&share, id.as_str()).map(drop)).await
    }

    /// An upload of this account, as it is now. One whose bytes are all there but which was not
    /// finished, as when the disk was full or the process ended, is finished first.
    ///
    /// # Errors
    /// [`StorageError::Missing`] where there is none, or it is somebody else's.
    pub async fn find(
        &self,
        account: &AccountId,
        id: &UploadId,
        now: Timestamp,
    ) -> Result<Upload, StorageError> {
        let found = rows::find(&self.db, id).await?.filter(|upload| upload.account == *account);
        let upload = self.with_disk_state(found.ok_or(StorageError::Missing)?, now).await?;
        match upload.stage != UploadStage::Done && upload.is_whole() && upload.name.is_some() {
            true => self.finish(&upload, now).await,
            false => Ok(upload),
        }
    }

    /// An upload of this account as it is now, without changing anything: one whose bytes are all there
    /// is finished by the client that goes on with it, or by [`Uploads::finish_left`].
    ///
    /// # Errors
    /// [`StorageError::Missing`] where there is none, or it is somebody else's.
    pub async fn look(&self, account: &AccountId, id: &UploadId) -> Result<Upload, StorageError> {
        let found = rows::find(&self.db, id).await?.filter(|upload| upload.account == *account);
        let mut upload = found.ok_or(StorageError::Missing)?;
        if upload.stage == UploadStage::Done {
            upload.offset = upload.size.unwrap_or(0);
            return Ok(upload);
        }
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        match on_disk(move || shares.staged_len(&share, id.as_str())).await {
            // What waits for its checksum does not count.
            Ok(len) => upload.offset = upload.unchecked_from.map_or(len, |from| from.min(len)),
            // It has its name, and only the word that it has it is missing.
            Err(StorageError::Missing) if self.is_published(&upload).await => {
                upload.offset = upload.size.unwrap_or(0);
            }
            Err(error) => return Err(error),
        }
        Ok(upload)
    }

    /// Whether a quota has room for one more folder.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn admits_folder(
        &self,
        account: &AccountId,
        share: &str,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.quotas.precheck(&self.db, &SpaceRequest { account, share, size: 0 }, now).await
    }

    /// The uploads of this account that are not done, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn running(&self, account: &AccountId, now: Timestamp) -> Result<Vec<Upload>, StorageError> {
        let mut running = Vec::new();
        for upload in rows::of_account(&self.db, account).await? {
            match self.with_disk_state(upload, now).await {
                Ok(upload) if upload.stage != UploadStage::Done && upload.name.is_some() => {
                    running.push(upload)
                }
                Ok(_) | Err(StorageError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(running)
    }

    /// What the row says, with what the disk says.
    async fn with_disk_state(&self, mut upload: Upload, now: Timestamp) -> Result<Upload, StorageError> {
        if upload.stage == UploadStage::Done {
            upload.offset = upload.size.unwrap_or(0);
            return Ok(upload);
        }
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        match on_disk(move || shares.staged_len(&share, id.as_str())).await {
            Ok(len) => {
                // What waits for its checksum does not count.
                upload.offset = upload.unchecked_from.map_or(len, |from| from.min(len));
                Ok(upload)
            }
            Err(StorageError::Missing) => self.settle(upload, now).await,
            Err(error) => Err(error),
        }
    }

    /// Says how large an upload is whose size was not known, if there is room for it.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn set_size(&self, upload: &Upload, size: u64) -> Result<Upload, StorageError> {
        if size < upload.offset {
            return Err(StorageError::Offset { is: upload.offset });
        }
        let wanted = SpaceRequest { account: &upload.account, share: &upload.share, size };
        let disk = self.quotas.disk(&upload.share).await?;
        let mut transaction = self.db.begin().await?;
        // From now on it counts by its size, and no longer by what was set aside for it.
        quota::set_received(&mut transaction, upload, 0).await?;
        self.quotas.admit(&mut transaction, &wanted, disk).await?;
        rows::set_size(&mut transaction, &upload.id, size).await?;
        transaction.commit().await?;
        Ok(Upload { size: Some(size), ..upload.clone() })
    }

    /// Ends an upload and removes what has arrived. A file that is done already stays where it is.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn abandon(&self, upload: &Upload) -> Result<(), StorageError> {
        let turn = self.turns.take(&upload.id).await?;
        if upload.stage != UploadStage::Done {
            let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
            on_disk(move || {
                // Held while it is removed, so that no other process writes on.
                let _held = match shares.staged(&share, id.as_str()) {
                    Err(WriteError::Missing) => return Ok(()),
                    held => held?,
                };
                shares.remove_staged(&share, id.as_str())
            })
            .await?;
        }
        rows::delete(&self.db, &upload.id).await?;
        self.hashing.remove(&upload.id);
        drop(turn);
        Ok(())
    }

    /// Remembers how far the digest of an upload is.
    pub(super) fn hashing_of(&self, id: &UploadId, hashing: RunningDigest) {
        if self.hashing.len() < MOST_HASHING {
            self.hashing.insert(id.clone(), hashing);
        }
    }
}
