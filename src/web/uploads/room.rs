//! The room that is set aside for a file while its bytes come.

use crate::web::shares::error::StorageError;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::quota::{self, SizeLimit};
use crate::web::uploads::upload::Upload;

/// What is set aside at once for a file of unknown size.
pub(super) const PORTION: u64 = 16 << 20;

/// The length that an upload may reach. Where its size is not known, room is set aside in portions while
/// bytes come, so that many uploads at once can't take more than a quota together.
pub(super) struct GrowingLimit<'u> {
    pub(super) uploads: &'u Uploads,
    pub(super) upload: &'u Upload,
    pub(super) limit: SizeLimit,
    pub(super) is_fixed: bool,
}

impl GrowingLimit<'_> {
    /// Makes room for a file of `bytes`, if there is any; returns the length that it may reach.
    pub(super) async fn up_to(&mut self, bytes: u64) -> Result<u64, StorageError> {
        if !self.is_fixed && bytes > self.limit.bytes {
            self.limit = self.uploads.reserve_space(self.upload, bytes.saturating_add(PORTION)).await?;
        }
        Ok(self.limit.bytes)
    }
}

impl Uploads {
    /// Counts what came of a file of unknown size, in place of what was set aside for it.
    pub(super) async fn count(&self, upload: &Upload) -> Result<(), StorageError> {
        if upload.size.is_some() {
            return Ok(());
        }
        let mut transaction = self.db.begin().await?;
        quota::set_received(&mut transaction, upload, upload.offset).await?;
        Ok(self.db.commit(transaction).await?)
    }

    pub(super) async fn reserve_space(
        &self,
        upload: &Upload,
        wanted: u64,
    ) -> Result<SizeLimit, StorageError> {
        let mut transaction = self.db.begin().await?;
        let limit = self.quotas.reserve_space(&mut transaction, upload, wanted).await?;
        self.db.commit(transaction).await?;
        Ok(limit)
    }
}
