//! Space that is reserved for a file while its bytes arrive.

use crate::web::shares::error::StorageError;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::quota::{self, SizeLimit};
use crate::web::uploads::upload::Upload;

/// How many bytes are reserved at once for a file of unknown size.
pub(super) const PORTION: u64 = 16 << 20;

/// The length that an upload may reach. If its size is unknown, space is reserved in portions while bytes
/// arrive, so that many simultaneous uploads can't exceed a quota together.
pub(super) struct GrowingLimit<'u> {
    pub(super) uploads: &'u Uploads,
    pub(super) upload: &'u Upload,
    pub(super) limit: SizeLimit,
    pub(super) is_fixed: bool,
}

impl GrowingLimit<'_> {
    /// Reserves space for a file of `bytes`, if possible, and returns the length that it may reach.
    pub(super) async fn up_to(&mut self, bytes: u64) -> Result<u64, StorageError> {
        if !self.is_fixed && bytes > self.limit.bytes {
            self.limit = self.uploads.reserve_space(self.upload, bytes.saturating_add(PORTION)).await?;
        }
        Ok(self.limit.bytes)
    }
}

impl Uploads {
    /// Replaces the space reserved for a file of unknown size by the bytes actually received.
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
