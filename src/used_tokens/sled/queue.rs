//! The queue of entries to be made durable, until it is closed, or poisoned by a failure.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tracing::error;

use crate::clock::Timestamp;
use crate::turn::turn;
use crate::used_tokens::{StoreError, UsedToken};

/// The entries that wait for the committer.
pub(super) struct CommitQueue {
    state: Mutex<State>,
    /// Wakes the committer's thread.
    awaited: Condvar,
}

struct State {
    phase: Phase,
    next_ticket: u64,
    entries: Vec<Entry>,
    /// Whether the next to hold the journal must commit the entries. Without it, each is committed by its own
    /// caller.
    marked: bool,
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

/// The result of an entry, which is still to come.
pub(super) struct PendingCommit {
    pub(super) ticket: u64,
    durable: oneshot::Receiver<()>,
    /// If the caller commits the entry itself.
    own: Option<OwnCommit>,
}

/// What the committer's thread has to do next.
pub(super) enum Work {
    Commit(Vec<Entry>, Vec<oneshot::Sender<()>>),
    Close { settle: bool },
}

impl CommitQueue {
    pub(super) fn new(next_ticket: u64) -> CommitQueue {
        let state = State {
            phase: Phase::Open,
            next_ticket,
            entries: Vec::new(),
            marked: false,
            settlements: Vec::new(),
        };
        CommitQueue { state: Mutex::new(state), awaited: Condvar::new() }
    }

    /// Adds a record; without one, only the time. It is committed by the thread, or by the caller.
    pub(super) fn push(
        self: &Arc<CommitQueue>,
        used: Option<UsedToken>,
        mark: Timestamp,
        by_caller: bool,
    ) -> Result<PendingCommit, StoreError> {
        let mut state = self.open_state()?;
        let ticket = state.next_ticket;
        state.next_ticket = ticket.saturating_add(1);
        let (done, durable) = oneshot::channel();
        state.entries.push(Entry { ticket, used, mark, done });
        // If it is marked already, the thread was woken, or somebody holds the journal and will look.
        let wakes = !by_caller && !std::mem::replace(&mut state.marked, true);
        // The thread would wake up only to wait for the lock.
        drop(state);
        if wakes {
            self.awaited.notify_one();
        }
        let own = by_caller.then(|| OwnCommit(Some(Arc::clone(self))));
        Ok(PendingCommit { ticket, durable, own })
    }

    /// Makes the next to hold the journal commit the entries. Returns whether there are any.
    pub(super) fn mark(&self) -> bool {
        let mut state = self.state();
        state.marked = !state.entries.is_empty();
        state.marked
    }

    /// Returns whether somebody waits for the holder of the journal to commit more.
    pub(super) fn is_marked(&self) -> bool {
        self.state().marked
    }

    /// Makes the thread commit the entries, if there are any.
    pub(super) fn wake_thread(&self) {
        if self.mark() {
            self.awaited.notify_one();
        }
    }

    /// Removes the first entries, for the holder of the journal. If some remain, they stay marked.
    pub(super) fn take(&self, count: usize) -> Vec<Entry> {
        let mut state = self.state();
        let taken = count.min(state.entries.len());
        let rest = state.entries.split_off(taken);
        state.marked = !rest.is_empty();
        std::mem::replace(&mut state.entries, rest)
    }

    /// Waits until everything pushed before is settled in the database.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let settled = {
            let (done, settled) = oneshot::channel();
            self.open_state()?.settlements.push(done);
            self.awaited.notify_one();
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
        self.awaited.notify_one();
    }

    /// Stops accepting entries; earlier ones are still committed.
    pub(super) fn close(&self, settle: bool) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing { settle };
        }
        self.awaited.notify_one();
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

    /// Waits until there is work for the thread; `false` if the store is poisoned.
    pub(super) fn wait(&self) -> bool {
        let idle =
            |state: &mut State| state.phase == Phase::Open && !state.marked && state.settlements.is_empty();
        let state = self.awaited.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        !matches!(state.phase, Phase::Poisoned(_))
    }

    /// Takes what the thread has to do, for the holder of the journal; `None` if a worker was faster.
    pub(super) fn take_work(&self) -> Option<Work> {
        let mut state = self.state();
        state.marked = false;
        if !state.entries.is_empty() || !state.settlements.is_empty() {
            let entries = std::mem::take(&mut state.entries);
            return Some(Work::Commit(entries, std::mem::take(&mut state.settlements)));
        }
        match state.phase {
            Phase::Closing { settle } => Some(Work::Close { settle }),
            Phase::Open | Phase::Poisoned(_) => None,
        }
    }
}

impl PendingCommit {
    /// Waits for one turn of the event loop if the caller commits the entry itself. Returns whether it must do that
    /// now, because nobody else did.
    pub(super) async fn is_still_waiting(&mut self) -> bool {
        let Some(own) = &mut self.own else { return false };
        turn().await;
        // No await follows before the caller commits.
        own.0 = None;
        self.durable.is_empty()
    }

    /// Waits until the entry is durable.
    pub(super) async fn durable(self, queue: &CommitQueue) -> Result<(), StoreError> {
        self.durable.await.map_err(|_| queue.failure())
    }
}

/// A promise to commit an entry. If the caller goes away before it did, the thread does it.
struct OwnCommit(Option<Arc<CommitQueue>>);

impl Drop for OwnCommit {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.wake_thread();
        }
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
