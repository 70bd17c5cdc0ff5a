//! The committer: one thread that makes claims durable in groups.
//!
//! All entries waiting in the [`CommitQueue`] form a group: one write, one fdatasync, then all get their results.
//! No delay is added; a group grows while the previous one is being written. After any error the store is
//! poisoned: until there is room if the disk was full, otherwise until the next start, because the content of
//! the disk is unknown. An fsync is never retried.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;
use tracing::error;

use crate::clock::Timestamp;
use crate::used_tokens::sled::database::{SettlingRecord, is_full};
use crate::used_tokens::sled::journal::{JournalFile, segment_of, slot_offset};
use crate::used_tokens::sled::queue::{CommitQueue, Entry, PoisonOnDrop, StoreFailure, Work};
use crate::used_tokens::sled::record::{SLOT, Slot, StoreId};
use crate::used_tokens::sled::settler::{FullSegment, SettleProgress};

/// Maximum number of records in a group: half a megabyte.
const GROUP: usize = 4096;

/// An error that ends the committer.
#[derive(Debug, thiserror::Error)]
enum CommitError {
    #[error("cannot write to the journal")]
    Write(#[source] io::Error),
    #[error("cannot fsync the journal")]
    Sync(#[source] io::Error),
    #[error("the database failed")]
    Settler,
}

impl CommitError {
    fn failure(&self) -> StoreFailure {
        match self {
            CommitError::Write(e) if is_full(e) => StoreFailure::Full,
            CommitError::Write(_) | CommitError::Sync(_) => StoreFailure::Unknown,
            // The settler's own failure counts, which can't be less severe.
            CommitError::Settler => StoreFailure::Full,
        }
    }
}

/// The thread's state.
pub(super) struct Committer {
    pub(super) queue: Arc<CommitQueue>,
    pub(super) store: StoreId,
    pub(super) segments: [Box<dyn JournalFile>; 2],
    pub(super) slots: u32,
    /// The generation being written.
    pub(super) generation: u64,
    pub(super) mark: Timestamp,
    pub(super) full: Sender<FullSegment>,
    pub(super) progress: Arc<SettleProgress>,
    pub(super) used_slots: u32,
    pub(super) group: u64,
    pub(super) records: Vec<SettlingRecord>,
    /// The progress of the store, for others to remember.
    pub(super) position: Arc<AtomicU64>,
}

/// Returns the position of a store that has written this many slots in this generation.
pub(super) const fn position(generation: u64, used_slots: u32) -> u64 {
    (generation << 32) | used_slots as u64
}

impl Committer {
    /// Commits until the store is closed or fails.
    pub(super) fn run(mut self) {
        let poisoner = PoisonOnDrop::of(&self.queue, "used-tokens-commit");
        match self.commit_all() {
            Ok(()) => poisoner.disarm(),
            Err(e) => {
                // The settler logs its own error.
                if !matches!(e, CommitError::Settler) {
                    error!(
                        error = &e as &dyn std::error::Error,
                        "the used-token store cannot write its journal and stops serving; {}",
                        e.failure().remedy()
                    );
                }
                self.queue.poison(e.failure());
                poisoner.disarm();
            }
        }
    }

    fn commit_all(&mut self) -> Result<(), CommitError> {
        while let Some(work) = self.queue.next() {
            match work {
                Work::Commit(entries, settlements) => {
                    self.commit(entries)?;
                    if !settlements.is_empty() {
                        self.hand_over(settlements);
                    }
                }
                Work::Close { settle } => {
                    if settle {
                        self.hand_over(Vec::new());
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self, entries: Vec<Entry>) -> Result<(), CommitError> {
        let mut waiting = entries.into_iter();
        while waiting.len() > 0 {
            // The segment contains the generation before the last one, which must be settled first.
            if self.used_slots == 0 && !self.progress.wait_for(self.generation.saturating_sub(2)) {
                return Err(CommitError::Settler);
            }
            let free = self.slots.saturating_sub(self.used_slots) as usize;
            let group: Vec<Entry> = waiting.by_ref().take(free.min(GROUP)).collect();
            if let Err(e) = self.write(&group) {
                // Done before the waiters see that there will be no answer.
                self.queue.poison(e.failure());
                return Err(e);
            }
            let settling =
                |entry: &Entry| entry.used.map(|used| SettlingRecord { ticket: entry.ticket, used });
            self.records.extend(group.iter().filter_map(settling));
            for entry in group {
                // A caller that no longer waits doesn't care.
                let _ = entry.done.send(());
            }
            if self.used_slots >= self.slots {
                self.hand_over(Vec::new());
            }
        }
        Ok(())
    }

    fn write(&mut self, group: &[Entry]) -> Result<(), CommitError> {
        self.mark = group.iter().map(|entry| entry.mark).fold(self.mark, Timestamp::max);
        self.group = self.group.saturating_add(1);
        let mut bytes = Vec::with_capacity(group.len().saturating_mul(SLOT));
        for entry in group {
            let slot =
                Slot { generation: self.generation, group: self.group, mark: self.mark, used: entry.used };
            slot.append_to(&self.store, &mut bytes);
        }
        let [even, odd] = &self.segments;
        let segment = if segment_of(self.generation) == 0 { even } else { odd };
        segment.write_all_at(&bytes, slot_offset(self.used_slots)).map_err(CommitError::Write)?;
        segment.sync_data().map_err(CommitError::Sync)?;
        self.used_slots = self.used_slots.saturating_add(u32::try_from(group.len()).unwrap_or(u32::MAX));
        self.position.store(position(self.generation, self.used_slots), Ordering::Release);
        Ok(())
    }

    /// Gives the segment to the settler and continues with the other one.
    fn hand_over(&mut self, settlements: Vec<oneshot::Sender<()>>) {
        let records = std::mem::take(&mut self.records);
        let generation = (self.used_slots > 0).then_some(self.generation);
        if generation.is_some() {
            self.generation = self.generation.saturating_add(1);
            (self.used_slots, self.group) = (0, 0);
        }
        // If the settler is gone, it has poisoned the store; the next wait for it returns that.
        let _ = self.full.send(FullSegment { generation, mark: self.mark, records, settlements });
    }
}
