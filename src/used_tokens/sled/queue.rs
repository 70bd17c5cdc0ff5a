//! The queue of entries to be made durable, until it is closed, or poisoned by a failure.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tracing::error;

use crate::clock::Timestamp;
use crate::used_tokens::{StoreError, UsedToken};

/// The entries that wait for the committer.
pub(super) struct CommitQueue {
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
pub(super) enum StoreFailure {
    /// The disk was full: durable entries are safe, and nothing else was confirmed.
    Full,
    /// The content of the disk is unknown.
    Unknown,
}

impl StoreFailure {
    /// Returns what an operator can do.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            StoreFailure::Full => {
                "free some space on the disk; the store then recovers by itself, and nothing is lost"
            }
            StoreFailure::Unknown => {
                "fix the disk (is it failing?), then restart; nothing was served on records that may be lost"
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Poisoned(StoreFailure),
    /// No more entries; `settle` says whether to settle the journal in the database before the end.
    Closing {
        settle: bool,
    },
}

/// A record that waits, or only a time.
pub(super) struct Entry {
    pub(super) ticket: u64,
    /// Without a record, the entry only records the time.
    pub(super) used: Option<UsedToken>,
    pub(super) mark: Timestamp,
    pub(super) done: oneshot::Sender<()>,
}

/// A future that resolves when an entry is durable.
pub(super) struct PendingCommit {
    pub(super) ticket: u64,
    durable: oneshot::Receiver<()>,
}

/// What the committer has to do next.
pub(super) enum Work {
    Commit(Vec<Entry>, Vec<oneshot::Sender<()>>),
    Close { settle: bool },
}

impl CommitQueue {
    pub(super) fn new(next_ticket: u64) -> CommitQueue {
        let state = State { phase: Phase::Open, next_ticket, entries: Vec::new(), settlements: Vec::new() };
        CommitQueue { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Sends a record to the committer; without one, only the time.
    pub(super) fn push(&self, used: Option<UsedToken>, mark: Timestamp) -> Result<PendingCommit, StoreError> {
        let mut state = self.open_state()?;
        let ticket = state.next_ticket;
        state.next_ticket = ticket.saturating_add(1);
        let (done, durable) = oneshot::channel();
        state.entries.push(Entry { ticket, used, mark, done });
        let is_first = state.entries.len() == 1;
        // The committer would wake up only to wait for the lock.
        drop(state);
        if is_first {
            self.filled.notify_one();
        }
        Ok(PendingCommit { ticket, durable })
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
    pub(super) fn poison(&self, failure: StoreFailure) {
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
            Phase::Poisoned(StoreFailure::Full) => StoreError::Full,
            Phase::Open | Phase::Poisoned(StoreFailure::Unknown) => StoreError::Poisoned,
        }
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        match state.phase {
            Phase::Open => Ok(state),
            Phase::Poisoned(StoreFailure::Full) => Err(StoreError::Full),
            Phase::Poisoned(StoreFailure::Unknown) => Err(StoreError::Poisoned),
            Phase::Closing { .. } => Err(StoreError::Closed),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; `None` if the store is poisoned.
    pub(super) fn next(&self) -> Option<Work> {
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

impl PendingCommit {
    /// Waits until the entry is durable.
    pub(super) async fn durable(self, queue: &CommitQueue) -> Result<(), StoreError> {
        self.durable.await.map_err(|_| queue.failure())
    }
}

/// Poisons the store unless the thread ended properly, and logs that. It is unknown what the thread left
/// unfinished, so the store returns nothing more until the next start.
pub(super) struct PoisonOnDrop {
    queue: Option<Arc<CommitQueue>>,
    thread: &'static str,
}

impl PoisonOnDrop {
    pub(super) fn of(queue: &Arc<CommitQueue>, thread: &'static str) -> PoisonOnDrop {
        PoisonOnDrop { queue: Some(Arc::clone(queue)), thread }
    }

    /// The thread ended properly.
    pub(super) fn disarm(mut self) {
        self.queue = None;
    }
}

impl Drop for PoisonOnDrop {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            error!(
                thread = self.thread,
                "a thread of the used-token store panicked, and the store stops serving; restart the service"
            );
            queue.poison(StoreFailure::Unknown);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Seek};

    use tracing_subscriber::util::SubscriberInitExt as _;

    use super::*;

    #[test]
    fn a_thread_that_panics_is_an_error_in_the_log_and_ends_the_store() {
        let (queue, lines) = (Arc::new(CommitQueue::new(1)), Arc::new(tempfile::tempfile().unwrap()));
        for (panics, thread) in [(false, "one"), (true, "two")] {
            assert!(queue.check().is_ok(), "{thread}");
            let (queue, lines) = (Arc::clone(&queue), lines.clone());
            let ended = std::thread::spawn(move || {
                let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines);
                let _here = subscriber.set_default();
                let poisoner = PoisonOnDrop::of(&queue, thread);
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
