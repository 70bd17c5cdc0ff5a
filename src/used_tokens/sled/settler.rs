//! The settler: the thread that moves full journal segments into the database.
//!
//! The order is essential: first the database is made durable, then the witness, then the index points to the
//! database, and only then may the committer overwrite the segment.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::oneshot;
use tracing::error;

use crate::clock::Timestamp;
use crate::used_tokens::sled::database::{SettlingRecord, SledDatabase, is_full};
use crate::used_tokens::sled::files::Sentinel;
use crate::used_tokens::sled::index::JtiIndex;
use crate::used_tokens::sled::queue::{CommitQueue, PoisonOnDrop, StoreFailure};

/// A segment to settle; without a generation there is none, and only the waiters are notified.
pub(super) struct FullSegment {
    pub(super) generation: Option<u64>,
    pub(super) mark: Timestamp,
    pub(super) records: Vec<SettlingRecord>,
    pub(super) settlements: Vec<oneshot::Sender<()>>,
}

/// The progress of settling.
pub(super) struct SettleProgress {
    /// The last settled generation; `None` after the settler has ended.
    settled: Mutex<Option<u64>>,
    moved: Condvar,
}

impl SettleProgress {
    pub(super) fn new(settled: u64) -> SettleProgress {
        SettleProgress { settled: Mutex::new(Some(settled)), moved: Condvar::new() }
    }

    /// Waits until `generation` is settled; `false` if that will never happen.
    pub(super) fn wait_for(&self, generation: u64) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = self
            .moved
            .wait_while(settled, |settled| settled.is_some_and(|settled| settled < generation))
            .unwrap_or_else(PoisonError::into_inner);
        settled.is_some()
    }

    /// Returns whether `generation` is settled.
    pub(super) fn has_settled(&self, generation: u64) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.is_some_and(|settled| settled >= generation)
    }

    fn set(&self, settled: Option<u64>) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = settled;
        self.moved.notify_all();
    }
}

/// The thread's state.
pub(super) struct Settler {
    pub(super) queue: Arc<CommitQueue>,
    pub(super) database: Arc<SledDatabase>,
    pub(super) index: Arc<JtiIndex>,
    pub(super) witness: PathBuf,
    pub(super) progress: Arc<SettleProgress>,
    pub(super) full: Receiver<FullSegment>,
}

impl Settler {
    /// Settles until the committer ends or something fails.
    pub(super) fn run(self) {
        // Dropped last; the store is poisoned by then.
        let _ended = Ended(Arc::clone(&self.progress));
        let poisoner = PoisonOnDrop::of(&self.queue, "used-tokens-settle");
        match self.settle_all() {
            Ok(()) => poisoner.disarm(),
            Err(e) => {
                let failure = if is_full(e.as_ref()) { StoreFailure::Full } else { StoreFailure::Unknown };
                error!(
                    error = e.as_ref(),
                    "the used-token store cannot move its journal to its database and stops serving; {}; no \
                     record is lost, because all of them are in the journal",
                    failure.remedy()
                );
                self.queue.poison(failure);
                poisoner.disarm();
            }
        }
    }

    fn settle_all(&self) -> Result<(), Box<dyn std::error::Error>> {
        for full in &self.full {
            if let Some(generation) = full.generation {
                self.settle(generation, full.mark, full.records)?;
            }
            for waiting in full.settlements {
                // A caller that no longer waits doesn't care.
                let _ = waiting.send(());
            }
        }
        Ok(())
    }

    fn settle(
        &self,
        generation: u64,
        mark: Timestamp,
        records: Vec<SettlingRecord>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let settled = self.database.settle(records, |manifest| {
            manifest.generation = generation;
            manifest.mark = manifest.mark.max(mark);
        })?;
        let manifest = self.database.manifest();
        let witness = Sentinel { store: manifest.store, starts: manifest.starts, generation };
        witness.write(&self.witness)?;
        for (settling, block) in settled {
            self.index.shard(settling.used.jti).settle(settling.used.jti, settling.ticket, block);
        }
        self.progress.set(Some(generation));
        Ok(())
    }
}

/// Wakes the committer when the settler ends, even by a panic.
struct Ended(Arc<SettleProgress>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
