//! The life of an upload, from its beginning until it is done or abandoned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use dashmap::DashMap;

use crate::clock::{Clock, Timestamp};
use crate::web::arrivals::LinkFate;
use crate::web::db::Database;
use crate::web::identity::AccountId;
use crate::web::shares::digests::RunningDigest;
use crate::web::shares::disk::{WritableShares, WriteError};
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::id::UploadId;
use crate::web::uploads::lock::UploadLocks;
use crate::web::uploads::quota::{Quotas, SpaceRequest, UploadLimits};
use crate::web::uploads::sender::{Sender, UploadOwner};
use crate::web::uploads::upload::{Joining, NewUpload, Upload, UploadPurpose, UploadStage};
use crate::web::uploads::{quota, rows};

/// Maximum number of running digests that are remembered; any other is computed again from the file.
const MOST_HASHING: usize = 10_000;

/// All uploads. Clones share their state.
#[derive(Clone)]
pub struct Uploads {
    pub(super) db: Database,
    pub(super) shares: WritableShares,
    pub(super) clock: Clock,
    pub(super) quotas: Quotas,
    pub(super) keep: Duration,
    pub(super) turns: UploadLocks,
    pub(super) hashing: Arc<DashMap<UploadId, RunningDigest>>,
    /// The number of uploads that are receiving bytes.
    pub(super) running: Arc<AtomicUsize>,
}

impl Uploads {
    /// Manages the uploads in `db` to `shares`, within these limits.
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

    /// Returns the maximum size of one file in bytes; 0 = no limit.
    pub fn max(&self) -> u64 {
        self.quotas.file_max()
    }

    /// Returns the maximum number of bytes by share; 0 = no limit.
    pub fn share_quotas(&self) -> BTreeMap<String, u64> {
        self.quotas.by_share()
    }

    /// Uses these limits from now on, except for how long an upload is kept.
    pub fn set_limits(&self, limits: UploadLimits) {
        self.quotas.set_limits(limits);
    }

    /// Returns how long an upload that receives no bytes is kept.
    pub const fn retention(&self) -> Duration {
        self.keep
    }

    /// Begins an upload, if there is space for it. An upload of zero bytes is complete immediately. `sender` is
    /// the actor of an account, or a guest.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn begin(
        &self,
        sender: impl Into<Sender>,
        new: NewUpload,
        now: Timestamp,
    ) -> Result<Upload, StorageError> {
        let Sender { actor, account, guest } = sender.into();
        if let Some(before) = self.begun_before(&account, &new, now).await? {
            return Ok(before);
        }
        let (place, below, name, joining) = match new.purpose {
            UploadPurpose::File { folder, below, name } => (folder, below, Some(name), Joining::Whole),
            UploadPurpose::Part { at } => (at, Vec::new(), None, Joining::Part),
        };
        let mut folder = place.path().clone();
        let share = folder.share().to_owned();
        let (shares, looked_at, home) = (self.shares.clone(), folder.clone(), place.home().cloned());
        let is_on_share_disk = on_disk(move || {
            home.map_or(Ok(()), |home| shares.make_home(&home))?;
            shares.is_on_share_disk(&looked_at)
        });
        if !is_on_share_disk.await? {
            return Err(StorageError::OtherDisk);
        }
        let mut sent_as = String::new();
        for name in &below {
            folder = folder.join(name.as_str())?;
            sent_as = format!("{sent_as}{}/", name.as_str());
        }
        if let Some(name) = &name {
            folder.join(name.as_str())?;
            sent_as.push_str(name.as_str());
        }
        let upload = Upload {
            id: UploadId::random()?,
            sent_as: if guest.is_some() { sent_as } else { String::new() },
            guest,
            account: account.clone(),
            sender: actor,
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
            expected: new.expected,
            unchecked_from: None,
            version: None,
            sha256: None,
        };
        let wanted = SpaceRequest::of(&upload, upload.size.unwrap_or(0));
        self.quotas.precheck(&self.db, &wanted, now).await?;
        let disk = self.quotas.disk(&upload.share).await?;
        let mut transaction = self.db.begin().await?;
        self.quotas.admit_one_more(&mut transaction, &upload).await?;
        self.quotas.admit(&mut transaction, &wanted, disk).await?;
        self.admit_expected(&mut transaction, &upload).await?;
        rows::insert(&mut transaction, &upload, now).await?;
        self.db.commit(transaction).await?;
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

    /// Returns an upload of this owner in its current state. If it has all its bytes but wasn't finished,
    /// for example because the disk was full or the process ended, this finishes it first.
    ///
    /// # Errors
    /// [`StorageError::Missing`] if it doesn't exist or belongs to somebody else.
    pub async fn find(
        &self,
        owner: impl Into<UploadOwner>,
        id: &UploadId,
        now: Timestamp,
    ) -> Result<Upload, StorageError> {
        let owner: UploadOwner = owner.into();
        let found = rows::find(&self.db, id).await?.filter(|upload| upload.is_of(&owner));
        let upload = self.with_disk_state(found.ok_or(StorageError::Missing)?, now).await?;
        match upload.stage != UploadStage::Done && upload.is_whole() && upload.name.is_some() {
            true => self.finish(&upload, now).await,
            false => Ok(upload),
        }
    }

    /// Returns an upload of this owner in its current state, without changing anything. If it has all its
    /// bytes, it is finished by the client that continues it, or by [`Uploads::finish_left`].
    ///
    /// # Errors
    /// [`StorageError::Missing`] if it doesn't exist or belongs to somebody else.
    pub async fn look(&self, owner: impl Into<UploadOwner>, id: &UploadId) -> Result<Upload, StorageError> {
        let owner: UploadOwner = owner.into();
        let found = rows::find(&self.db, id).await?.filter(|upload| upload.is_of(&owner));
        self.look_at(found.ok_or(StorageError::Missing)?).await
    }

    /// Completes an upload read from the database with the state of its file, without changing anything.
    pub(super) async fn look_at(&self, mut upload: Upload) -> Result<Upload, StorageError> {
        if upload.stage == UploadStage::Done {
            upload.offset = upload.size.unwrap_or(0);
            return Ok(upload);
        }
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        match on_disk(move || shares.staged_len(&share, id.as_str())).await {
            // Bytes that wait for their checksum don't count.
            Ok(len) => upload.offset = upload.unchecked_from.map_or(len, |from| from.min(len)),
            // The file has been published, but this isn't recorded yet.
            Err(StorageError::Missing) if self.is_published(&upload).await => {
                upload.offset = upload.size.unwrap_or(0);
            }
            Err(error) => return Err(error),
        }
        Ok(upload)
    }

    /// Checks that the quotas allow one more folder.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn admits_folder(
        &self,
        account: &AccountId,
        share: &str,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let wanted = SpaceRequest { account, share, size: 0, request: None };
        self.quotas.precheck(&self.db, &wanted, now).await
    }

    /// Returns the unfinished uploads of this account, oldest first, without parts of others.
    ///
    /// # Errors
    /// If the database fails.
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

    /// Completes an upload read from the database with the state of its file on disk.
    async fn with_disk_state(&self, mut upload: Upload, now: Timestamp) -> Result<Upload, StorageError> {
        if upload.stage == UploadStage::Done {
            upload.offset = upload.size.unwrap_or(0);
            return Ok(upload);
        }
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        match on_disk(move || shares.staged_len(&share, id.as_str())).await {
            Ok(len) => {
                // Bytes that wait for their checksum don't count.
                upload.offset = upload.unchecked_from.map_or(len, |from| from.min(len));
                Ok(upload)
            }
            Err(StorageError::Missing) => self.settle(upload, now).await,
            Err(error) => Err(error),
        }
    }

    /// Sets the size of an upload whose size was unknown, if there is space for it.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn set_size(&self, upload: &Upload, size: u64) -> Result<Upload, StorageError> {
        if size < upload.offset {
            return Err(StorageError::Offset { is: upload.offset });
        }
        let wanted = SpaceRequest::of(upload, size);
        let disk = self.quotas.disk(&upload.share).await?;
        let mut transaction = self.db.begin().await?;
        // From now on its size counts, instead of the space reserved for it.
        quota::set_received(&mut transaction, upload, 0).await?;
        self.quotas.admit(&mut transaction, &wanted, disk).await?;
        rows::set_size(&mut transaction, &upload.id, size).await?;
        self.db.commit(transaction).await?;
        Ok(Upload { size: Some(size), ..upload.clone() })
    }

    /// Ends an upload and removes the bytes received so far. A finished file stays where it is, and so does the
    /// link that it belongs to; otherwise `fate` says what happens to a link that waits for it.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn abandon(&self, upload: &Upload, fate: LinkFate) -> Result<(), StorageError> {
        let turn = self.turns.take(&upload.id).await?;
        if upload.stage != UploadStage::Done {
            let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
            on_disk(move || {
                // Locked during removal, so that no other process continues writing.
                let _held = match shares.staged(&share, id.as_str()) {
                    Err(WriteError::Missing) => return Ok(()),
                    held => held?,
                };
                shares.remove_staged(&share, id.as_str())
            })
            .await?;
        }
        self.forget(upload, fate).await?;
        self.hashing.remove(&upload.id);
        drop(turn);
        Ok(())
    }

    /// Remembers the running digest of an upload.
    pub(super) fn hashing_of(&self, id: &UploadId, hashing: RunningDigest) {
        if self.hashing.len() < MOST_HASHING {
            self.hashing.insert(id.clone(), hashing);
        }
    }
}
