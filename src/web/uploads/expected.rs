//! Uploads of files that a link waits for.

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::web::arrivals::{self, LinkFate};
use crate::web::identity::AccountId;
use crate::web::shares::error::StorageError;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::rows;
use crate::web::uploads::upload::{NewUpload, Upload, UploadPurpose, UploadStage};

impl Uploads {
    /// Returns the upload that was begun before for the same file of a link, so that a client that lost the
    /// response, or was reloaded, continues it. If it was begun for a file of another size or name, it is
    /// replaced.
    pub(super) async fn begun_before(
        &self,
        account: &AccountId,
        new: &NewUpload,
        now: Timestamp,
    ) -> Result<Option<Upload>, StorageError> {
        let (Some(file), UploadPurpose::File { name, .. }) = (&new.expected, &new.purpose) else {
            return Ok(None);
        };
        let Some(before) = rows::of_expected(&self.db, file).await? else { return Ok(None) };
        if before.account != *account {
            return Err(StorageError::NotExpected);
        }
        if before.size == new.size && before.name.as_ref() == Some(name) {
            return match self.find(account, &before.id, now).await {
                // Its bytes are gone, so it begins again.
                Err(StorageError::Missing) => Ok(None),
                found => found.map(Some),
            };
        }
        if before.stage == UploadStage::Done {
            return Err(StorageError::NotExpected);
        }
        self.abandon(&before, LinkFate::Waits).await?;
        Ok(None)
    }

    /// Checks that a link waits for the file, if the upload says so.
    pub(super) async fn admit_expected(
        &self,
        transaction: &mut Transaction<'static, Any>,
        upload: &Upload,
    ) -> Result<(), StorageError> {
        let Some(file) = &upload.expected else { return Ok(()) };
        let until = upload.expires_at;
        match arrivals::admit(transaction, &upload.account, file, &upload.folder, until).await? {
            true => Ok(()),
            false => Err(StorageError::NotExpected),
        }
    }

    /// Deletes the row of an upload. What becomes of its link is recorded with it.
    pub(super) async fn forget(&self, upload: &Upload, fate: LinkFate) -> Result<(), StorageError> {
        let Some(file) = upload.expected.as_ref().filter(|_| upload.stage != UploadStage::Done) else {
            return Ok(rows::delete(&self.db, &upload.id).await?);
        };
        let mut transaction = self.db.begin().await?;
        rows::delete_in(&mut transaction, &upload.id).await?;
        arrivals::removed(&mut transaction, &file.link, fate, self.clock.now()).await?;
        Ok(self.db.commit(transaction).await?)
    }
}
