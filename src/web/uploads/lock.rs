//! Allows one writer at a time for each upload. A client that lost its connection returns on a new one before
//! the old one is known to be dead; so a holder that has received nothing for a while releases the lock when
//! someone else asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::web::shares::error::StorageError;
use crate::web::uploads::id::UploadId;

/// A holder that has received nothing for this long releases the lock on request.
const STANDS_STILL: Duration = Duration::from_secs(2);

/// How long to wait for the holder to release the lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// The uploads that this process is writing to. Clones share their state.
#[derive(Clone)]
pub struct UploadLocks {
    held: Arc<DashMap<UploadId, Arc<Holder>>>,
    began: Instant,
}

#[derive(Debug)]
struct Holder {
    /// When the last byte arrived, in milliseconds since [`UploadLocks::began`].
    last_byte: AtomicU64,
    /// Notified to request that the holder release the lock.
    let_go: Notify,
    /// Its permit is returned when the lock is released.
    over: Arc<Semaphore>,
}

/// The exclusive right to write to one upload, until this is dropped.
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
    /// Takes the lock for an upload, waiting for a stalled holder to release it.
    ///
    /// # Errors
    /// [`StorageError::Busy`] while someone else is writing to it.
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
    /// Records that bytes have arrived just now.
    pub fn note_byte(&self) {
        self.holder.last_byte.store(millis(self.began), Ordering::Relaxed);
    }

    /// Waits until someone else requests the lock after nothing has arrived for a while.
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
