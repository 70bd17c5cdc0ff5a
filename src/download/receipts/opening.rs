//! How the receipts of a download service are opened, and why they can't be.

use std::path::Path;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::download::receipts::outbox::{self, OutboxError};
use crate::health::Health;
use crate::secret::RandomError;
use crate::used_tokens::StoreError;

/// The name of the outbox's file in the download service's folder.
pub(super) const FILE: &str = "receipts.sqlite";

/// The receipts can't be stored.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    /// Their file isn't an outbox, or can't be written.
    #[error(
        "cannot open the receipts' outbox; check the disk and its permissions, or move the file away, \
         which loses the receipts in it that were not reported yet"
    )]
    Outbox(#[from] OutboxError),
    /// The used-token store doesn't report the outcome of redemptions that a crash interrupted.
    #[error("the used-token store does not report what was redeemed")]
    Store(#[from] StoreError),
    /// The system provides no random bytes for its id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The settings for receipts.
pub struct ReceiptSettings {
    /// The name of this download service.
    pub node: String,
    /// Whether others with this name may redeem the same tokens.
    pub shared: bool,
    /// How long after the last byte a client may resume.
    pub lease: Duration,
    /// How long after the redemption a client may resume at most.
    pub lease_max: Duration,
    /// Notified when the writer is down.
    pub health: Health,
}

/// Resets the times of the receipts in `folder`, which must not be in use, to `now`.
///
/// # Errors
/// If their file can't be written.
pub async fn reset_time(folder: &Path, now: Timestamp) -> Result<(), OutboxError> {
    let path = folder.join(FILE);
    if path.exists() { outbox::reset_time(&path, now).await } else { Ok(()) }
}
