//! Who writes to an upload: one at a time. A client whose connection is gone comes back on another one
//! before the old one is known to be dead; so whoever holds an upload but has stood still for a while
//! lets go of it when somebody else asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::web::shares::error::StorageError;
use crate::web::uploads::id::UploadId;

/// Whoever gets no byte for so long lets go when somebody else asks.
const STANDS_STILL: Duration = Duration::from_secs(2);

/// How long somebody who asks waits for that.
const PATIENCE: Duration = Duration::from_secs(3);

/// The uploads that this process writes to. Clones are the same.
#[derive(Clone)]
pub struct UploadLocks {
    held: Arc<DashMap<UploadId, Arc<Holder>>>,
    began: Instant,
}

#[derive(Debug)]
struct Holder {
    /// Milliseconds after [`UploadLocks::began`] at which the last byte came.
    last_byte: AtomicU64,
    /// Told to let go.
    let_go: Notify,
    /// Closed when it has.
    over: Arc<Semaphore>,
}

/// The right to write to one upload, as long as it lives.
#[derive(Debug)]
pub struct UploadLock {
    held: Arc<DashMap<UploadId, Arc<Holder>>>,
    began: Instant,
    id: UploadId,
    holder: Arc<Holder>,
    _over: Option<OwnedSemaphorePermit>,
}

impl Default for UploadLocks {
    fn default() -> UploadLocks {
        UploadLocks { held: Arc::default(), began: Instant::now() }
    }
}

impl UploadLocks {
    /// The turn to write to an upload.
    ///
    /// # Errors
    /// [`StorageError::Busy`] while somebody else does so.
    pub async fn take(&self, id: &UploadId) -> Result<UploadLock, StorageError> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let other = match self.try_take(id) {
                Ok(turn) => return Ok(turn),
                Err(other) => other,
            };
            let stood_still = millis(self.began).saturating_sub(other.last_byte.load(Ordering::Relaxed));
            if stood_still < millis_of(STANDS_STILL) {
                return Err(StorageError::Busy);
            }
            other.let_go.notify_one();
            let over = tokio::time::timeout_at(end, other.over.acquire()).await;
            if over.is_err() {
                return Err(StorageError::Busy);
            }
        }
    }

    fn try_take(&self, id: &UploadId) -> Result<UploadLock, Arc<Holder>> {
        match self.held.entry(id.clone()) {
            Entry::Occupied(entry) => Err(Arc::clone(entry.get())),
            Entry::Vacant(entry) => {
                let over = Arc::new(Semaphore::new(1));
                let held_open = Arc::clone(&over).try_acquire_owned().ok();
                let last_byte = AtomicU64::new(millis(self.began));
                let holder = Arc::new(Holder { last_byte, let_go: Notify::new(), over });
                entry.insert(Arc::clone(&holder));
                Ok(UploadLock {
                    held: Arc::clone(&self.held),
                    began: self.began,
                    id: id.clone(),
                    holder,
                    _over: held_open,
                })
            }
        }
    }
}

impl UploadLock {
    /// A byte came.
    pub fn note_byte(&self) {
        self.holder.last_byte.store(millis(self.began), Ordering::Relaxed);
    }

    /// Waits until somebody else wants the turn, and nothing has come for a while.
    pub async fn contended(&self) {
        self.holder.let_go.notified().await;
    }
}

impl Drop for UploadLock {
    fn drop(&mut self) {
        self.held.remove_if(&self.id, |_, holder| Arc::ptr_eq(holder, &self.holder));
    }
}

fn millis(since: Instant) -> u64 {
    millis_of(since.elapsed())
}

fn millis_of(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
