//! Joins parts that were uploaded in parallel into one file.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::web::arrivals::LinkFate;
use crate::web::shares::digests::RunningDigest;
use crate::web::shares::disk::WriteError;
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::id::UploadId;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::quota::SpaceRequest;
use crate::web::uploads::rows;
use crate::web::uploads::sender::Sender;
use crate::web::uploads::upload::{Joining, NewUpload, Upload, UploadPurpose, UploadStage};

/// How many bytes are copied at once.
const COPIED_AT_ONCE: usize = 1 << 20;

/// Maximum number of parts of one upload.
pub const MOST_PARTS: usize = 1_000;

impl Uploads {
    /// Joins parts of this sender in the given order into one file, and removes them.
    ///
    /// # Errors
    /// [`StorageError::Parts`] if a part is missing or incomplete. A failure leaves the parts as they were.
    pub async fn join(
        &self,
        sender: impl Into<Sender>,
        new: NewUpload,
        parts: &[UploadId],
        header: &str,
        now: Timestamp,
    ) -> Result<Upload, StorageError> {
        let sender: Sender = sender.into();
        let UploadPurpose::File { folder, below, name } = new.purpose else {
            return Err(StorageError::Parts);
        };
        if parts.is_empty() || parts.len() > MOST_PARTS {
            return Err(StorageError::Parts);
        }
        let mut found = Vec::new();
        let mut turns = Vec::new();
        for id in parts {
            if found.iter().any(|part: &Upload| part.id == *id) {
                return Err(StorageError::Parts);
            }
            let part = match self.find(sender.owner(), id, now).await {
                Err(StorageError::Missing) => return Err(StorageError::Parts),
                part => part?,
            };
            if part.name.is_some() || !part.is_whole() {
                return Err(StorageError::Parts);
            }
            turns.push(self.turns.take(id).await?);
            found.push(part);
        }
        let mut target = folder.path().clone();
        let share = target.share().to_owned();
        let mut sent_as = String::new();
        for name in &below {
            target = target.join(name.as_str())?;
            sent_as = format!("{sent_as}{}/", name.as_str());
        }
        sent_as.push_str(name.as_str());
        let size = found.iter().filter_map(|part| part.size).sum();
        let upload = Upload {
            id: UploadId::random()?,
            sent_as: if sender.guest.is_some() { sent_as } else { String::new() },
            guest: sender.guest,
            account: sender.account,
            sender: sender.actor,
            share,
            folder: target,
            name: Some(name),
            size: Some(size),
            offset: 0,
            metadata: new.metadata,
            joining: Joining::Joined(header.to_owned()),
            stage: UploadStage::Running,
            path: None,
            expires_at: now.plus(self.keep),
            expected: new.expected,
            unchecked_from: None,
            version: None,
            sha256: None,
        };
        let disk = self.quotas.disk(&upload.share).await?;
        let mut transaction = self.db.begin().await?;
        // The parts turn into the file, so they must not count in addition to it: they are removed for the
        // check, and inserted again until the file is complete, so that a crash loses none of them.
        for part in &found {
            rows::delete_in(&mut transaction, &part.id).await?;
        }
        self.quotas.admit_one_more(&mut transaction, &upload).await?;
        let wanted = SpaceRequest::of(&upload, size);
        self.quotas.admit(&mut transaction, &wanted, disk).await?;
        self.admit_expected(&mut transaction, &upload).await?;
        rows::insert(&mut transaction, &upload, now).await?;
        for part in &found {
            rows::insert(&mut transaction, part, now).await?;
        }
        self.db.commit(transaction).await?;
        let joined = self.copy(&upload, &found, now).await;
        match joined {
            Ok(upload) => {
                drop(turns);
                for part in &found {
                    self.abandon(part, LinkFate::Waits).await?;
                }
                Ok(upload)
            }
            Err(error) => {
                rows::delete(&self.db, &upload.id).await?;
                let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
                on_disk(move || shares.remove_staged(&share, id.as_str())).await?;
                Err(error)
            }
        }
    }

    async fn copy(&self, upload: &Upload, parts: &[Upload], now: Timestamp) -> Result<Upload, StorageError> {
        let (shares, share, id) = (self.shares.clone(), upload.share.clone(), upload.id.clone());
        let parts: Vec<(String, UploadId)> =
            parts.iter().map(|part| (part.share.clone(), part.id.clone())).collect();
        let (file, hashing) = on_disk(move || {
            let whole = shares.stage(&share, id.as_str())?;
            let mut hashing = RunningDigest::default();
            for (share, id) in &parts {
                let part = shares.staged(share, id.as_str())?;
                let mut offset = 0;
                loop {
                    let mut buffer = vec![0; COPIED_AT_ONCE];
                    let count = part.read(&mut buffer, offset)?;
                    if count == 0 {
                        break;
                    }
                    buffer.truncate(count);
                    let piece = [Bytes::from(buffer)];
                    whole.write(hashing.upto(), &piece)?;
                    hashing.update(&piece);
                    offset += count as u64;
                }
            }
            Ok::<_, WriteError>((whole, hashing))
        })
        .await?;
        if Some(hashing.upto()) != upload.size {
            return Err(StorageError::Parts);
        }
        let whole = Upload { offset: hashing.upto(), ..upload.clone() };
        self.hashing_of(&upload.id, hashing);
        self.finish_held(&whole, file, now).await
    }
}
