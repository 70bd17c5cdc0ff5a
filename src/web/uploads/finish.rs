//! Gives a complete upload its place and name. The order of steps makes it possible to recover from a crash
//! between any two of them:
//! 1. Sync the bytes to disk.
//! 2. Record in the row which path the file is about to get.
//! 3. Publish the file, in one step that replaces nothing.
//! 4. Record in the row that the upload is done.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::arrivals;
use crate::web::audit::{self, AuditEvent};
use crate::web::shares::checksums::{self, FileChecksum};
use crate::web::shares::digests;
use crate::web::shares::disk::{Staged, WriteError};
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::upload::{Upload, UploadStage};
use crate::web::uploads::{allowance, rows};
use crate::web::webhooks::event::WebhookEvent;
use crate::web::webhooks::outbox;

/// How many names are tried if others keep taking them between the check and the change.
const TRIES: usize = 100;

/// How long finished uploads are remembered, so that a client that lost the last response learns of it.
const DONE_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Maximum number of uploads examined in one round.
const LEFT_AT_ONCE: i64 = 1_000;

impl Uploads {
    /// Finishes an upload that has received all its bytes.
    ///
    /// # Errors
    /// [`StorageError::Busy`] while someone is writing to it. No failure loses any of its bytes.
    pub(crate) async fn finish(&self, upload: &Upload, now: Timestamp) -> Result<Upload, StorageError> {
        let _turn = self.turns.take(&upload.id).await?;
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        match on_disk(move || shares.staged(&share, id.as_str())).await {
            Ok(file) => self.finish_held(upload, file, now).await,
            // Another request has finished it in the meantime.
            Err(StorageError::Missing) => {
                let found = rows::find(&self.db, &upload.id).await?.ok_or(StorageError::Missing)?;
                match found.stage {
                    UploadStage::Done => Ok(Upload { offset: found.size.unwrap_or(0), ..found }),
                    _ => self.settle(found, now).await,
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Finishes an upload whose file is already locked.
    pub(crate) async fn finish_held(
        &self,
        upload: &Upload,
        file: Staged,
        now: Timestamp,
    ) -> Result<Upload, StorageError> {
        let name = upload.name.clone().ok_or(StorageError::Parts)?;
        let size = upload.size.unwrap_or(upload.offset);
        let mut hashing = self.hashing.remove(&upload.id).map(|(_, hashing)| hashing).unwrap_or_default();
        let (file, hashing, version) = on_disk(move || {
            if hashing.upto() > size {
                hashing = digests::RunningDigest::default();
            }
            hashing.catch_up(&file, size)?;
            file.sync()?;
            let version = file.version()?;
            Ok::<_, WriteError>((file, hashing, version))
        })
        .await?;
        self.hashing_of(&upload.id, hashing.clone());
        let ((sha256, crc32), version) = (hashing.finish(), version.to_string());
        // The folder of a link may have been moved since the upload began.
        let current = rows::find(&self.db, &upload.id).await?;
        let destination = current.map_or_else(|| upload.folder.clone(), |row| row.folder);
        for _ in 0..TRIES {
            let now_at = allowance::destination(&self.db, upload).await?;
            let (folder, base) =
                now_at.map_or_else(|| (destination.clone(), None), |(to, base)| (to, Some(base)));
            let (shares, name) = (self.shares.clone(), name.clone());
            let path = on_disk(move || {
                let folder = match (shares.make_folders(&folder), &base) {
                    // A guest can't know that a file has the name of their folder, and must not learn it.
                    (Err(WriteError::Taken { .. }), Some(base)) => shares.make_folders(base)?,
                    (made, _) => made?,
                };
                let name = shares.free_name(&folder, &name)?;
                Ok::<FilePath, WriteError>(folder.join(name.as_str())?)
            })
            .await?;
            rows::publishing(&self.db, &upload.id, path.as_str(), &version, &sha256).await?;
            let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
            let to = path.clone();
            match on_disk(move || shares.publish(&share, id.as_str(), &to)).await {
                Ok(()) => {
                    drop(file);
                    let published = Upload {
                        path: Some(path),
                        version: Some(version),
                        sha256: Some(sha256),
                        size: Some(size),
                        ..upload.clone()
                    };
                    return self.done(published, Some(crc32), now).await;
                }
                Err(StorageError::Taken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StorageError::Taken { by: name.as_str().to_owned() })
    }

    /// Settles an upload whose file is no longer among the unfinished ones: either it was published before
    /// the process ended, or it is gone.
    pub(crate) async fn settle(&self, upload: Upload, now: Timestamp) -> Result<Upload, StorageError> {
        if self.is_published(&upload).await {
            return self.done(upload, None, now).await;
        }
        rows::delete(&self.db, &upload.id).await?;
        Err(StorageError::Missing)
    }

    /// Returns whether the file was published at the path recorded in the row.
    pub(crate) async fn is_published(&self, upload: &Upload) -> bool {
        match (upload.stage, upload.path.clone(), upload.version.clone()) {
            (UploadStage::Publishing, Some(path), Some(version)) => {
                let shares = self.shares.clone();
                let found = on_disk(move || shares.readable().file(&path)).await;
                found.is_ok_and(|file| file.version().to_string() == version)
            }
            _ => false,
        }
    }

    /// Finishes uploads that have all their bytes but weren't finished, for example because the process ended
    /// or the disk was full, and returns how many.
    ///
    /// # Errors
    /// If the database fails. Uploads that can't be finished now are tried again.
    pub async fn finish_left(&self, now: Timestamp) -> Result<usize, StorageError> {
        let mut finished = 0;
        for upload in rows::unfinished(&self.db, LEFT_AT_ONCE).await? {
            match self.finish_one_left(&upload, now).await {
                Ok(true) => finished += 1,
                // It is in use right now, or it is gone.
                Ok(false) | Err(StorageError::Busy | StorageError::Missing) => {}
                Err(StorageError::Query(error)) => return Err(error.into()),
                Err(error) => {
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(upload = %upload.id, cause, "cannot finish a complete upload");
                }
            }
        }
        Ok(finished)
    }

    async fn finish_one_left(&self, upload: &Upload, now: Timestamp) -> Result<bool, StorageError> {
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        let len = on_disk(move || shares.staged_len(&share, id.as_str())).await;
        let offset = match len {
            Ok(len) => upload.unchecked_from.map_or(len, |from| from.min(len)),
            Err(StorageError::Missing) if self.is_published(upload).await => upload.size.unwrap_or(0),
            Err(error) => return Err(error),
        };
        let whole = Upload { offset, ..upload.clone() };
        if !whole.is_whole() {
            return Ok(false);
        }
        self.finish(&whole, now).await.map(|_| true)
    }

    /// Records that an upload is done, with the CRC-32 of its bytes if that is known.
    async fn done(&self, upload: Upload, crc32: Option<u32>, now: Timestamp) -> Result<Upload, StorageError> {
        let (Some(path), Some(version), Some(sha256)) = (&upload.path, &upload.version, &upload.sha256)
        else {
            return Err(StorageError::Missing);
        };
        let size = upload.size.unwrap_or(0);
        let expires_at = now.plus(DONE_KEPT);
        let checksum = match crc32 {
            Some(crc32) => self.checksum(path, version, crc32).await,
            None => None,
        };
        let mut transaction = self.db.begin().await?;
        let account = &upload.account;
        digests::count(&mut transaction, path.as_str(), path.share(), version, sha256, account, size).await?;
        if !rows::done(&mut transaction, &upload.id, expires_at).await? {
            // Another request has already recorded this.
            return Ok(Upload {
                stage: UploadStage::Done,
                offset: size,
                expires_at,
                unchecked_from: None,
                ..upload
            });
        }
        if let Some(checksum) = checksum {
            checksums::put(&mut transaction, path, checksum, now).await?;
        }
        if let Some(file) = &upload.expected {
            arrivals::arrived(&mut transaction, file, path, now.plus(self.keep)).await?;
        }
        let (event, what) = match &upload.guest {
            None => (AuditEvent::FileUploaded, path.to_string()),
            Some(guest) => {
                allowance::arrived(&mut transaction, guest, &upload, path, now).await?;
                (AuditEvent::FileReceived, format!("{path} (request {})", guest.request))
            }
        };
        audit::append(&mut transaction, &upload.sender, event, &what, now).await?;
        let told = match &upload.guest {
            None => WebhookEvent::upload_completed(account, path, size),
            Some(guest) => WebhookEvent::request_received(account, &guest.request, path, size),
        };
        outbox::record(&mut transaction, &[told], now).await?;
        self.db.commit(transaction).await?;
        self.hashing.remove(&upload.id);
        tracing::info!(upload = %upload.id, account = %upload.account, file = ?path, size, "file uploaded");
        Ok(Upload { stage: UploadStage::Done, offset: size, expires_at, unchecked_from: None, ..upload })
    }

    /// Returns the checksum of the file as it is at its path, unless it was changed there already. It is only
    /// needed for archives, and can be calculated again.
    async fn checksum(&self, path: &FilePath, version: &str, crc32: u32) -> Option<FileChecksum> {
        let (shares, path) = (self.shares.clone(), path.clone());
        let found = on_disk(move || shares.readable().claim(&path)).await.ok()?;
        (found.version().to_string() == version).then_some(FileChecksum { version: found, crc32 })
    }
}
