//! Removes abandoned uploads, and what is left of uploads without a row.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::web::arrivals::{self, LinkFate};
use crate::web::shares::disk::WriteError;
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::uploads::id::UploadId;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::rows;
use crate::web::uploads::upload::UploadStage;

/// Maximum number of uploads removed in one round.
const AT_ONCE: i64 = 500;

impl Uploads {
    /// Removes expired uploads, and returns how many were unfinished.
    ///
    /// # Errors
    /// If the database fails. A share that fails is logged, and its uploads are tried again.
    pub async fn forget_expired(&self, now: Timestamp) -> Result<usize, StorageError> {
        let mut unfinished = 0;
        for upload in rows::over(&self.db, now, AT_ONCE).await? {
            match self.abandon(&upload, LinkFate::Ends).await {
                Ok(()) if upload.stage == UploadStage::Done => {}
                Ok(()) => unfinished += 1,
                // Bytes are arriving right now, so it hasn't been abandoned.
                Err(StorageError::Busy) => {
                    rows::touch(&self.db, &upload.id, upload.unchecked_from, now.plus(self.keep)).await?;
                }
                // The share is unavailable; its uploads are tried again when it is back.
                Err(StorageError::ShareGone) => {}
                // The share is no longer served, and its uploads are gone with it.
                Err(StorageError::Missing) => self.forget(&upload, LinkFate::Ends).await?,
                Err(StorageError::Query(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(
                        upload = %upload.id,
                        share = upload.share,
                        cause = crate::telemetry::chain(&error),
                        "cannot remove an expired upload"
                    );
                }
            }
        }
        let ended = arrivals::end_stale(&self.db, now).await?;
        if ended > 0 {
            tracing::info!(ended, "links ended: their files were not uploaded");
        }
        Ok(unfinished)
    }

    /// Removes files of uploads that aren't in the database, for example because their account was deleted. A
    /// row is created before its file, so none of these can belong to an upload that is just beginning. Files
    /// that have received bytes recently are kept, because another installation may serve the same folder.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_orphans(&self, now: Timestamp) -> Result<usize, StorageError> {
        let mut removed = 0;
        let names: Vec<String> = self.shares.names();
        for share in names {
            let (shares, name) = (self.shares.clone(), share.clone());
            // Read the disk before the rows: an upload that begins in between then has a row.
            let staged = match on_disk(move || shares.all_staged(&name)).await {
                Ok(staged) => staged,
                // A missing folder was already logged when it was first noticed.
                Err(StorageError::ShareGone) => continue,
                Err(error) => {
                    tracing::warn!(
                        share,
                        cause = crate::telemetry::chain(&error),
                        "cannot list unfinished uploads"
                    );
                    continue;
                }
            };
            if staged.is_empty() {
                continue;
            }
            let known: BTreeSet<String> = rows::ids_in(&self.db, &share).await?.into_iter().collect();
            for (id, version) in staged {
                // Anything that isn't named like an upload isn't ours.
                let is_ours = id.parse::<UploadId>().is_ok() && !known.contains(&id);
                if !is_ours || version.modified().plus(self.keep) > now {
                    continue;
                }
                let (shares, name, file) = (self.shares.clone(), share.clone(), id.clone());
                let gone = on_disk(move || {
                    let _held = shares.staged(&name, &file)?;
                    shares.remove_staged(&name, &file)?;
                    Ok::<_, WriteError>(())
                });
                match gone.await {
                    Ok(()) => removed += 1,
                    Err(error) => {
                        let cause = crate::telemetry::chain(&error);
                        tracing::warn!(
                            share,
                            upload = id,
                            cause,
                            "cannot remove the file of an orphaned upload"
                        );
                    }
                }
            }
        }
        Ok(removed)
    }
}
