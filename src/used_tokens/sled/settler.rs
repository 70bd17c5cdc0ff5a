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
use crate::used_tokens::sled::database::{Database, Settling, is_full};
use crate::used_tokens::sled::files::Witness;
use crate::used_tokens::sled::index::Index;
use crate::used_tokens::sled::queue::{Failure, Poisoner, Queue};

/// A segment to settle; without a generation there is none, and only the waiters are notified.
pub(super) struct Full {
    pub(super) generation: Option<u64>,
    pub(super) mark: Timestamp,
    pub(super) records: Vec<Settling>,
    pub(super) settlements: Vec<oneshot::Sender<()>>,
}

/// The progress of settling.
pub(super) struct Progress {
    /// The last settled generation; `None` after the settler has ended.
    settled: Mutex<Option<u64>>,
    moved: Condvar,
}

impl Progress {
    pub(super) fn new(settled: u64) -> Progress {
        Progress { settled: Mutex::new(Some(settled)), moved: Condvar::new() }
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

    fn set(&self, settled: Option<u64>) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = settled;
        self.moved.notify_all();
    }
}

/// The thread's state.
pub(super) struct Settler {
    pub(super) queue: Arc<Queue>,
    pub(super) database: Arc<Database>,
    pub(super) index: Arc<Index>,
    pub(super) witness: PathBuf,
    pub(super) progress: Arc<Progress>,
    pub(super) full: Receiver<Full>,
}

impl Settler {
    /// Settles until the committer ends or something fails.
    pub(super) fn run(self) {
        // Dropped last; the store is poisoned by then.
        let _ended = Ended(Arc::clone(&self.progress));
        let poisoner = Poisoner::of(&self.queue, "used-tokens-settle");
        match self.settle_all() {
            Ok(()) => poisoner.disarm(),
            Err(e) => {
                let failure = if is_full(e.as_ref()) { Failure::Full } else { Failure::Unknown };
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
        records: Vec<Settling>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let settled = self.database.settle(records, |books| {
            books.generation = generation;
            books.mark = books.mark.max(mark);
        })?;
        let books = self.database.books();
        let witness = Witness { store: books.store, starts: books.starts, generation };
        witness.write(&self.witness)?;
        for (settling, block) in settled {
            self.index.shard(settling.used.jti).settle(settling.used.jti, settling.ticket, block);
        }
        self.progress.set(Some(generation));
        Ok(())
    }
}

/// Wakes the committer when the settler ends, even by a panic.
struct Ended(Arc<Progress>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
