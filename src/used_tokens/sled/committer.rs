//! The committer: one thread that makes claims durable in groups.
//!
//! All entries waiting in the [`Queue`] form a group: one write, one fdatasync, then all get their results.
//! No delay is added; a group grows while the previous one is being written. After any error the store is
//! poisoned: until there is room if the disk was full, otherwise until the next start, because the content of
//! the disk is unknown. An fsync is never retried.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tracing::error;

use crate::clock::Timestamp;
use crate::used_tokens::sled::database::{Settling, is_full};
use crate::used_tokens::sled::journal::{JournalFile, segment_of, slot_offset};
use crate::used_tokens::sled::record::{SLOT, Slot, StoreId};
use crate::used_tokens::sled::settler::{Full, Progress};
use crate::used_tokens::{StoreError, UsedToken};

/// Maximum number of records in a group: half a megabyte.
const GROUP: usize = 4096;

/// An entry waiting for the committer.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

struct State {
    phase: Phase,
    next_ticket: u64,
    entries: Vec<Entry>,
    /// Waits until everything before is settled in the database.
    settlements: Vec<oneshot::Sender<()>>,
}

/// Why a store accepts no more entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// The disk was full: durable entries are safe, and nothing else was confirmed.
    Full,
    /// The content of the disk is unknown.
    Unknown,
}

impl Failure {
    /// Returns what an operator can do.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Failure::Full => {
                "free some space on the disk; the store then recovers by itself, and nothing is lost"
            }
            Failure::Unknown => {
                "fix the disk (is it failing?), then restart; nothing was served on records that may be lost"
            }
        }
    }
}

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
    fn failure(&self) -> Failure {
        match self {
            CommitError::Write(e) if is_full(e) => Failure::Full,
            CommitError::Write(_) | CommitError::Sync(_) => Failure::Unknown,
            // The settler's own failure counts, which can't be less severe.
            CommitError::Settler => Failure::Full,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Poisoned(Failure),
    /// No more entries; `settle` says whether to settle the journal in the database before the end.
    Closing {
        settle: bool,
    },
}

struct Entry {
    ticket: u64,
    /// Without a record, the entry only records the time.
    used: Option<UsedToken>,
    mark: Timestamp,
    done: oneshot::Sender<()>,
}

/// A future that resolves when an entry is durable.
pub(super) struct Pending {
    pub(super) ticket: u64,
    durable: oneshot::Receiver<()>,
}

enum Work {
    Commit(Vec<Entry>, Vec<oneshot::Sender<()>>),
    Close { settle: bool },
}

impl Queue {
    pub(super) fn new(next_ticket: u64) -> Queue {
        let state = State { phase: Phase::Open, next_ticket, entries: Vec::new(), settlements: Vec::new() };
        Queue { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Sends a record to the committer; without one, only the time.
    pub(super) fn push(&self, used: Option<UsedToken>, mark: Timestamp) -> Result<Pending, StoreError> {
        let mut state = self.open_state()?;
        let ticket = state.next_ticket;
        state.next_ticket = ticket.saturating_add(1);
        let (done, durable) = oneshot::channel();
        state.entries.push(Entry { ticket, used, mark, done });
        if state.entries.len() == 1 {
            self.filled.notify_one();
        }
        Ok(Pending { ticket, durable })
    }

    /// Waits until everything pushed before is settled in the database.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let settled = {
            let (done, settled) = oneshot::channel();
            self.open_state()?.settlements.push(done);
            self.filled.notify_one();
            settled
        };
        settled.await.map_err(|_| self.failure())
    }

    /// Returns whether entries are accepted.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.open_state().map(|_| ())
    }

    /// Stops accepting entries. Of several failures, the most severe one counts.
    pub(super) fn poison(&self, failure: Failure) {
        let mut state = self.state();
        state.phase = Phase::Poisoned(match state.phase {
            Phase::Poisoned(before) => before.max(failure),
            Phase::Open | Phase::Closing { .. } => failure,
        });
        // Their waiters see that there will be no answer.
        state.entries.clear();
        state.settlements.clear();
        self.filled.notify_one();
    }

    /// Stops accepting entries; earlier ones are still committed.
    pub(super) fn close(&self, settle: bool) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing { settle };
        }
        self.filled.notify_one();
    }

    fn failure(&self) -> StoreError {
        match self.state().phase {
            Phase::Closing { .. } => StoreError::Closed,
            Phase::Poisoned(Failure::Full) => StoreError::Full,
            Phase::Open | Phase::Poisoned(Failure::Unknown) => StoreError::Poisoned,
        }
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        match state.phase {
            Phase::Open => Ok(state),
            Phase::Poisoned(Failure::Full) => Err(StoreError::Full),
            Phase::Poisoned(Failure::Unknown) => Err(StoreError::Poisoned),
            Phase::Closing { .. } => Err(StoreError::Closed),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; `None` if the store is poisoned.
    fn next(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            if !state.entries.is_empty() || !state.settlements.is_empty() {
                let entries = std::mem::take(&mut state.entries);
                return Some(Work::Commit(entries, std::mem::take(&mut state.settlements)));
            }
            match state.phase {
                Phase::Open => {
                    state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Phase::Closing { settle } => return Some(Work::Close { settle }),
                Phase::Poisoned(_) => return None,
            }
        }
    }
}

impl Pending {
    /// Waits until the entry is durable.
    pub(super) async fn durable(self, queue: &Queue) -> Result<(), StoreError> {
        self.durable.await.map_err(|_| queue.failure())
    }
}

/// The thread's state.
pub(super) struct Committer {
    pub(super) queue: Arc<Queue>,
    pub(super) store: StoreId,
    pub(super) segments: [Box<dyn JournalFile>; 2],
    pub(super) slots: u32,
    /// The generation being written.
    pub(super) generation: u64,
    pub(super) mark: Timestamp,
    pub(super) full: Sender<Full>,
    pub(super) progress: Arc<Progress>,
    pub(super) used_slots: u32,
    pub(super) group: u64,
    pub(super) records: Vec<Settling>,
    /// The progress of the store, for others to remember.
    pub(super) position: Arc<AtomicU64>,
}

/// Returns the position of a store that has written this many slots in this generation.
pub(super) const fn position(generation: u64, used_slots: u32) -> u64 {
    (generation << 32) | used_slots as u64
}

/// Poisons the store unless the thread ended properly, and logs that. It is unknown what the thread left
/// unfinished, so the store returns nothing more until the next start.
pub(super) struct Poisoner {
    queue: Option<Arc<Queue>>,
    thread: &'static str,
}

impl Poisoner {
    pub(super) fn of(queue: &Arc<Queue>, thread: &'static str) -> Poisoner {
        Poisoner { queue: Some(Arc::clone(queue)), thread }
    }

    /// The thread ended properly.
    pub(super) fn disarm(mut self) {
        self.queue = None;
    }
}

impl Drop for Poisoner {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            error!(
                thread = self.thread,
                "a thread of the used-token store panicked, and the store stops serving; restart the service"
            );
            queue.poison(Failure::Unknown);
        }
    }
}

impl Committer {
    /// Commits until the store is closed or fails.
    pub(super) fn run(mut self) {
        let poisoner = Poisoner::of(&self.queue, "used-tokens-commit");
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
            let settling = |entry: &Entry| entry.used.map(|used| Settling { ticket: entry.ticket, used });
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
        let _ = self.full.send(Full { generation, mark: self.mark, records, settlements });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use tracing_subscriber::util::SubscriberInitExt as _;

    use super::*;

    #[test]
    fn a_thread_that_panics_is_an_error_in_the_log_and_ends_the_store() {
        let (queue, lines) = (Arc::new(Queue::new(1)), Arc::new(tempfile::tempfile().unwrap()));
        for (panics, thread) in [(false, "one"), (true, "two")] {
            assert!(queue.check().is_ok(), "{thread}");
            let (queue, lines) = (Arc::clone(&queue), lines.clone());
            let ended = std::thread::spawn(move || {
                let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines);
                let _here = subscriber.set_default();
                let poisoner = Poisoner::of(&queue, thread);
                assert!(!panics, "as a test asked");
                poisoner.disarm();
            });
            assert_eq!(ended.join().is_err(), panics);
        }
        assert!(matches!(queue.check(), Err(StoreError::Poisoned)));
        (&*lines).rewind().unwrap();
        let lines = io::read_to_string(&*lines).unwrap();
        let told: Vec<&str> = lines.lines().filter(|line| line.contains("stops serving")).collect();
        assert_eq!(told.len(), 1, "{lines}");
        assert!(told[0].contains("ERROR") && told[0].contains("\"two\""), "{lines}");
    }
}
