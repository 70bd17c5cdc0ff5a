//! What the guests of a file request are sending.

use crate::id::RequestId;
use crate::web::arrivals::LinkFate;
use crate::web::shares::error::StorageError;
use crate::web::uploads::lifecycle::Uploads;
use crate::web::uploads::rows;
use crate::web::uploads::upload::Upload;

/// Maximum number of uploads that are ended in one step.
const ENDED_AT_ONCE: i64 = 1_000;

impl Uploads {
    /// Returns unfinished uploads of a request's guests, oldest first and at most `limit`, without parts of
    /// others. Changes nothing.
    ///
    /// # Errors
    /// If the database fails, or the share is unavailable.
    pub async fn coming(&self, request: &RequestId, limit: u32) -> Result<Vec<Upload>, StorageError> {
        let mut coming = Vec::new();
        for upload in rows::of_request(&self.db, request, i64::from(limit)).await? {
            match self.look_at(upload).await {
                Ok(upload) if upload.name.is_some() => coming.push(upload),
                Ok(_) | Err(StorageError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(coming)
    }

    /// Ends the unfinished uploads of a request that was stopped. One that is receiving bytes right now is
    /// left alone: it is cut off where its sender's permission is checked, and expires.
    ///
    /// # Errors
    /// If the database fails, or the share is unavailable.
    pub async fn abandon_those_of(&self, request: &RequestId) -> Result<(), StorageError> {
        for upload in rows::of_request(&self.db, request, ENDED_AT_ONCE).await? {
            match self.abandon(&upload, LinkFate::Waits).await {
                Ok(()) | Err(StorageError::Busy | StorageError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
