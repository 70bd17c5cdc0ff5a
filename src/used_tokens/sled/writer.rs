//! Writes groups of entries to the journal: one write and one fdatasync, then the segment is handed over to the
//! settler when it is full. Knows nothing of who waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::used_tokens::sled::database::{SettlingRecord, is_full};
use crate::used_tokens::sled::journal::{JournalFile, segment_of, slot_offset};
use crate::used_tokens::sled::queue::{Entry, StoreFailure};
use crate::used_tokens::sled::record::{SLOT, Slot, StoreId};
use crate::used_tokens::sled::settler::{FullSegment, SettleProgress};

/// Maximum number of records in a group: half a megabyte.
const GROUP: usize = 4096;

/// An error after which nothing more is written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    #[error("cannot write to the journal")]
    Write(#[source] io::Error),
    #[error("cannot fsync the journal")]
    Sync(#[source] io::Error),
    #[error("the database failed")]
    Settler,
}

impl CommitError {
    pub(super) fn failure(&self) -> StoreFailure {
        match self {
            CommitError::Write(e) if is_full(e) => StoreFailure::Full,
            CommitError::Write(_) | CommitError::Sync(_) => StoreFailure::Unknown,
            // The settler's own failure counts, which can't be less severe.
            CommitError::Settler => StoreFailure::Full,
        }
    }
}

/// The journal's end, where the next group is written. Whoever commits holds its lock.
pub(super) struct JournalWriter {
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

impl JournalWriter {
    /// Waits until the segment may be overwritten: it contains the generation before the last one, which must
    /// be settled first.
    pub(super) fn wait_for_room(&self) -> Result<(), CommitError> {
        match self.used_slots > 0 || self.progress.wait_for(self.generation.saturating_sub(2)) {
            true => Ok(()),
            false => Err(CommitError::Settler),
        }
    }

    /// Returns how many entries fit into the next group; 0 if the segment may not be overwritten yet.
    pub(super) fn room(&self) -> usize {
        match self.used_slots > 0 || self.progress.has_settled(self.generation.saturating_sub(2)) {
            true => self.free_slots().min(GROUP),
            false => 0,
        }
    }

    fn free_slots(&self) -> usize {
        self.slots.saturating_sub(self.used_slots) as usize
    }

    /// Makes a group durable that fits. When this returns an error, it is unknown what is on disk.
    pub(super) fn write(&mut self, group: &[Entry]) -> Result<(), CommitError> {
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
        let settling = |entry: &Entry| entry.used.map(|used| SettlingRecord { ticket: entry.ticket, used });
        self.records.extend(group.iter().filter_map(settling));
        if self.free_slots() == 0 {
            self.hand_over(Vec::new());
        }
        Ok(())
    }

    /// Gives the segment to the settler and continues with the other one.
    pub(super) fn hand_over(&mut self, settlements: Vec<oneshot::Sender<()>>) {
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
