//! Counts the requests that run in tasks of their own, so that a stop can wait for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum wait for a slot.
const PATIENCE: Duration = Duration::from_secs(30);

/// No slot became free in time, or the app is closing.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are in progress, or the service is stopping")]
pub(crate) struct NoSlot;

/// The slots for requests that are carried to their end, including those whose clients have gone. Clones
/// share them.
#[derive(Clone)]
pub struct CarriedRequests {
    slots: Arc<Semaphore>,
    max: u32,
}

impl CarriedRequests {
    /// Creates `max` slots: at least as many as there are connections, so that a request only waits for
    /// requests whose clients have gone.
    pub fn new(max: usize) -> CarriedRequests {
        let max = u32::try_from(max.max(1)).unwrap_or(u32::MAX).min(1 << 20);
        CarriedRequests { slots: Arc::new(Semaphore::new(max as usize)), max }
    }

    /// Waits for a slot.
    pub(crate) async fn slot(&self) -> Result<OwnedSemaphorePermit, NoSlot> {
        let waiting = Arc::clone(&self.slots).acquire_owned();
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| NoSlot)?.map_err(|_| NoSlot)
    }

    /// Waits until no request is in progress. None is admitted afterwards.
    pub async fn finish(&self) {
        // An error means that all were taken before.
        let _all = self.slots.acquire_many(self.max).await;
        self.slots.close();
    }
}
