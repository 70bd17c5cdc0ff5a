//! The committer makes claims durable in groups: one write, one fdatasync, then all get their results.
//!
//! On a quick disk, whoever claims also commits: after one turn of its event loop, when the other requests that
//! were ready have claimed too, it takes the journal's lock and commits for all that wait. On a slow disk, or when
//! that doesn't keep up, a thread commits, so that no worker stops sending while the disk works. No other delay is
//! added; a group grows while the previous one is being written.
//!
//! After any error the store is poisoned: until there is room if the disk was full, otherwise until the next start,
//! because the content of the disk is unknown. An fsync is never retried.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::metrics::histogram::Histogram;
use tracing::error;

use crate::clock::Timestamp;
use crate::used_tokens::sled::opening::Tuning;
use crate::used_tokens::sled::pace::CommitPace;
use crate::used_tokens::sled::queue::{CommitQueue, Entry, PendingCommit, PoisonOnDrop, Work};
use crate::used_tokens::sled::writer::{CommitError, JournalWriter};
use crate::used_tokens::{StoreError, UsedToken};

/// How many groups a worker commits in a row before the thread takes over.
const GROUPS_ON_WORKER: usize = 2;

const THREAD: &str = "used-tokens-commit";

/// Commits entries of the queue, on any thread.
pub(super) struct Committer {
    queue: Arc<CommitQueue>,
    /// `None` after the thread has ended: nothing more is written. Locked before the queue, never after it.
    journal: Mutex<Option<JournalWriter>>,
    pace: CommitPace,
    flush_seconds: Histogram,
}

impl Committer {
    /// Creates a committer of a store with these parameters.
    pub(super) fn new(queue: Arc<CommitQueue>, journal: JournalWriter, tuning: &Tuning) -> Committer {
        let (pace, flush_seconds) = (CommitPace::new(tuning.worker_limit), tuning.flush_seconds.clone());
        Committer { queue, journal: Mutex::new(Some(journal)), pace, flush_seconds }
    }

    /// Adds a record to the queue; without one, only the time. It is committed even if the caller goes away.
    pub(super) fn push(&self, used: Option<UsedToken>, mark: Timestamp) -> Result<PendingCommit, StoreError> {
        self.queue.push(used, mark, self.pace.is_quick())
    }

    /// Waits until the entry is durable, and commits it if nobody else does.
    pub(super) async fn durable(&self, mut pending: PendingCommit) -> Result<(), StoreError> {
        if pending.is_still_waiting().await {
            self.commit_here();
        }
        pending.durable(&self.queue).await
    }

    /// Commits what waits, unless somebody else is doing that. Blocks for as long as the disk takes, which is why
    /// it is only called while the disk is quick.
    fn commit_here(&self) {
        for _ in 0..GROUPS_ON_WORKER {
            // Invariant: the queue is marked before the lock is tried, and its holder looks for the mark after
            // unlocking. So no entry is left behind.
            if !self.queue.mark() {
                return;
            }
            match self.commit_marked() {
                Committed::Done => return,
                Committed::MoreWaits => {}
                Committed::NeedsThread => break,
            }
        }
        self.queue.wake_thread();
    }

    /// Commits one group, if nobody else holds the journal.
    fn commit_marked(&self) -> Committed {
        // After a panic in a commit the queue is poisoned and empty, so there is nothing to do either.
        let Ok(mut journal) = self.journal.try_lock() else { return Committed::Done };
        let room = journal.as_ref().map_or(0, JournalWriter::room);
        // The thread waits for room, or has ended.
        let Some(writer) = journal.as_mut().filter(|_| room > 0) else { return Committed::NeedsThread };
        let group = self.queue.take(room);
        // Somebody else took them in the meantime. An empty group would be a gap in the numbers of groups, and at
        // the next start look like a lost one.
        if group.is_empty() {
            return Committed::Done;
        }
        let poisoner = PoisonOnDrop::of(&self.queue, "worker");
        let written = self.write(writer, &group);
        poisoner.disarm();
        if let Err(e) = written {
            self.fail(&e);
            return Committed::Done;
        }
        drop(journal);
        answer(group);
        match self.queue.is_marked() {
            false => Committed::Done,
            true if self.pace.is_quick() => Committed::MoreWaits,
            true => Committed::NeedsThread,
        }
    }

    /// The thread: commits until the store is closed or fails.
    pub(super) fn run(&self) {
        // Dropped last; the store is poisoned by then.
        let _ended = Ended(self);
        let poisoner = PoisonOnDrop::of(&self.queue, THREAD);
        let ended = self.commit_all();
        poisoner.disarm();
        if let Err(e) = ended {
            self.fail(&e);
        }
    }

    fn commit_all(&self) -> Result<(), CommitError> {
        while self.queue.wait() {
            let mut journal = self.journal();
            let Some(writer) = journal.as_mut() else { return Ok(()) };
            // Taken under the journal's lock, so that the journal has the order of the queue.
            match self.queue.take_work() {
                Some(Work::Commit(entries, settlements)) => {
                    let last = self.commit(writer, entries)?;
                    if !settlements.is_empty() {
                        writer.hand_over(settlements);
                    }
                    // Whoever gets an answer may claim again, and finds the lock free.
                    drop(journal);
                    answer(last);
                }
                Some(Work::Close { settle }) => {
                    if settle {
                        writer.hand_over(Vec::new());
                    }
                    return Ok(());
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Commits all entries, and answers all but the last group, which it returns.
    fn commit(&self, writer: &mut JournalWriter, entries: Vec<Entry>) -> Result<Vec<Entry>, CommitError> {
        let mut waiting = entries.into_iter();
        let mut last = Vec::new();
        while waiting.len() > 0 {
            answer(last);
            writer.wait_for_room()?;
            last = waiting.by_ref().take(writer.room()).collect();
            self.write(writer, &last)?;
        }
        Ok(last)
    }

    fn write(&self, writer: &mut JournalWriter, group: &[Entry]) -> Result<(), CommitError> {
        let begun = Instant::now();
        let written = writer.write(group);
        if let Err(e) = &written {
            // Done before the waiters see that there will be no answer.
            self.queue.poison(e.failure());
        }
        let took = begun.elapsed();
        self.pace.record(took);
        self.flush_seconds.observe(took.as_secs_f64());
        written
    }

    fn fail(&self, e: &CommitError) {
        // The settler logs its own error.
        if !matches!(e, CommitError::Settler) {
            error!(
                error = e as &dyn std::error::Error,
                "the used-token store cannot write its journal and stops serving; {}",
                e.failure().remedy()
            );
        }
        self.queue.poison(e.failure());
    }

    fn journal(&self) -> MutexGuard<'_, Option<JournalWriter>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left after a worker committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committed {
    /// Nothing, or somebody else commits it.
    Done,
    MoreWaits,
    NeedsThread,
}

fn answer(group: Vec<Entry>) {
    for entry in group {
        // A caller that no longer waits doesn't care.
        let _ = entry.done.send(());
    }
}

/// Closes the journal when the thread ends, even by a panic: waits for a worker that is writing, lets nobody else
/// write, and ends the settler, which waits for segments.
struct Ended<'a>(&'a Committer);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        *self.0.journal() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::used_tokens::sled::journal::JournalFile;
    use crate::used_tokens::sled::settler::SettleProgress;

    struct Counted(Arc<AtomicUsize>);

    impl JournalFile for Counted {
        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[test]
    fn a_worker_whose_entry_somebody_else_took_writes_nothing() {
        let (queue, syncs) = (Arc::new(CommitQueue::new(1)), Arc::new(AtomicUsize::new(0)));
        let file = || -> Box<dyn JournalFile> { Box::new(Counted(Arc::clone(&syncs))) };
        let (full, to_settle) = channel();
        let journal = JournalWriter {
            store: [7; 16],
            segments: [file(), file()],
            slots: 2,
            generation: 1,
            mark: Timestamp::EPOCH,
            full,
            progress: Arc::new(SettleProgress::new(0)),
            used_slots: 0,
            group: 0,
            records: Vec::new(),
            position: Arc::new(AtomicU64::new(0)),
        };
        let tuning = Tuning { worker_limit: Duration::MAX, ..Tuning::default() };
        let committer = Committer::new(Arc::clone(&queue), journal, &tuning);
        let groups = |committer: &Committer| committer.journal().as_ref().map(|writer| writer.group);
        assert_eq!(committer.commit_marked(), Committed::Done);
        assert_eq!((syncs.load(Ordering::SeqCst), groups(&committer)), (0, Some(0)));
        let pending = queue.push(None, Timestamp::EPOCH, true);
        assert_eq!(committer.commit_marked(), Committed::Done);
        assert_eq!((syncs.load(Ordering::SeqCst), groups(&committer)), (1, Some(1)));
        // The segment becomes full, and the next but one may be overwritten only after it was settled.
        let more: Vec<_> = (0..3).map(|_| queue.push(None, Timestamp::EPOCH, true)).collect();
        assert_eq!(committer.commit_marked(), Committed::MoreWaits);
        assert_eq!(committer.commit_marked(), Committed::Done);
        assert_eq!(to_settle.try_iter().count(), 2);
        let last = queue.push(None, Timestamp::EPOCH, true);
        assert_eq!(committer.commit_marked(), Committed::NeedsThread);
        assert_eq!(syncs.load(Ordering::SeqCst), 3);
        drop((pending, more, last));
    }
}
