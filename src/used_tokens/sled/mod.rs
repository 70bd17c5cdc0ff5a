//! The used-token store on the local disk: one process, no server, durable.
//!
//! A claim is three steps: an insert into the [`index`], which decides who is first; a slot in the
//! [`journal`], which the [`committer`] makes durable together with everything that waits; the
//! answer. The [`settler`] moves full segments of the journal into the [`database`] (sled) in the
//! background, and [`recovery`] puts all of it together again at start.
//!
//! Never here: sled on a worker's thread, a lock across an `.await`, an fsync tried twice.
//!
//! Limits. A copy of the whole disk below the file system (a snapshot of a virtual machine) put
//! back cannot be told from the original; nor can files written over in place, witness included,
//! when the store was neither restarted nor settled in between; nor can the very files of an earlier
//! time, witness included, that were moved away, replaced by a copy for a while and moved back. The
//! store must not be on a network file system.

mod books;
mod committer;
mod database;
mod files;
mod found;
mod index;
mod journal;
mod record;
mod recovery;
mod settler;

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tracing::error;

use self::committer::{Committer, Queue};
use self::database::{Database, DatabaseError};
use self::files::Lock;
use self::index::{Index, Place};
pub use self::journal::JournalFile;
use self::journal::segment_path;
use self::recovery::{Recovered, recover};
use self::settler::{Progress, Settler};
use crate::clock::{Clock, Timestamp};
use crate::id::Jti;
use crate::used_tokens::memory::{reserved, revoked};
use crate::used_tokens::{Reservation, StoreError, Use, UsedToken, UsedTokens};

/// The store could not be opened. Nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves from it.
    #[error("the used-token store in {} is already in use by another process", dir.display())]
    InUse {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The system did not let us.
    #[error("cannot open the used-token store: failed to {action}")]
    Failed {
        /// What was tried, as in "failed to …".
        action: &'static str,
        /// Why it did not work.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn failed<E: std::error::Error + Send + Sync + 'static>(action: &'static str) -> impl Fn(E) -> OpenError {
    move |e| OpenError::Failed { action, source: Box::new(e) }
}

/// How the store is made; the defaults are what was measured to be good. For tests and benches.
pub struct Tuning {
    /// Slots of 256 bytes in each of the journal's two files, when they are made.
    pub slots: u32,
    /// What stands between the committer and a file of the journal.
    pub journal_file: Arc<dyn Fn(File) -> Box<dyn JournalFile> + Send + Sync>,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning { slots: 16_384, journal_file: Arc::new(|file| Box::new(file)) }
    }
}

/// The used-token store on the local disk.
pub struct SledUsedTokens {
    fence: Timestamp,
    opened_mark: Timestamp,
    queue: Arc<Queue>,
    index: Arc<Index>,
    open: RwLock<Option<Open>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a closed store lets go of.
struct Open {
    database: Arc<Database>,
    _lock: Lock,
}

impl SledUsedTokens {
    /// Opens the store in the folder `dir`, or makes it. Raises `clock` to the store's high-water
    /// mark. Blocks: checks all that is on disk first.
    ///
    /// A new store refuses tokens issued before now, unless the caller knows that none that was
    /// issued before `nothing_issued_before` can have been redeemed: then that is its fence. A store
    /// in doubt raises its fence to the next second, whatever the caller knows.
    ///
    /// # Errors
    /// When another process uses it, or the disk does not let us read or write.
    pub fn open(
        dir: &Path,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
    ) -> Result<SledUsedTokens, OpenError> {
        SledUsedTokens::open_tuned(dir, clock, nothing_issued_before, &Tuning::default())
    }

    /// The same with other sizes or another journal.
    ///
    /// # Errors
    /// As [`SledUsedTokens::open`].
    pub fn open_tuned(
        dir: &Path,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
        tuning: &Tuning,
    ) -> Result<SledUsedTokens, OpenError> {
        let Recovered { lock, database, index, slots, next_ticket, witness } =
            recover(dir, clock, nothing_issued_before, tuning.slots.max(1))?;
        let segment = |number| {
            let file = OpenOptions::new().write(true).open(segment_path(dir, number));
            file.map(|file| (tuning.journal_file)(file)).map_err(failed("open its journal"))
        };
        let books = database.books();
        let queue = Arc::new(Queue::new(next_ticket));
        let progress = Arc::new(Progress::new(books.generation));
        let (full, to_settle) = std::sync::mpsc::channel();
        let committer = Committer {
            queue: Arc::clone(&queue),
            store: books.store,
            segments: [segment(0)?, segment(1)?],
            slots,
            generation: books.generation.saturating_add(1),
            mark: books.mark,
            full,
            progress: Arc::clone(&progress),
            used_slots: 0,
            group: 0,
            records: Vec::new(),
        };
        let settler = Settler {
            queue: Arc::clone(&queue),
            database: Arc::clone(&database),
            index: Arc::clone(&index),
            witness,
            progress,
            full: to_settle,
        };
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let settling = thread("used-tokens-settle").spawn(move || settler.run());
        let committing = thread("used-tokens-commit").spawn(move || committer.run());
        let start = failed("start its threads");
        Ok(SledUsedTokens {
            fence: books.fence,
            opened_mark: books.mark,
            queue,
            index,
            open: RwLock::new(Some(Open { database, _lock: lock })),
            threads: Mutex::new(vec![committing.map_err(&start)?, settling.map_err(&start)?]),
        })
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|open| Arc::clone(&open.database)).ok_or(StoreError::Closed)
    }

    /// Runs `work` on the database, on a thread that may block.
    async fn with_database<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Database, &Index) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (database, index) = (self.database()?, Arc::clone(&self.index));
        let done = tokio::task::spawn_blocking(move || work(&database, &index)).await;
        done.map_err(|e| StoreError::Backend { action, source: Box::new(e) })?
            .map_err(|e| StoreError::Backend { action, source: Box::new(e) })
    }

    /// The record of `jti`, which the index has in `block`; `None` when it was forgotten meanwhile.
    async fn read(&self, jti: Jti, block: u32) -> Result<Option<UsedToken>, StoreError> {
        self.with_database("look up a jti", move |database, index| database.find(jti, block, index)).await
    }

    /// Replaces the record of `jti` by the one that `change` makes of it, durably; where it makes none,
    /// nothing changes. What `change` says of the record that was replaced is the answer.
    async fn replace<T: Send>(
        &self,
        jti: Jti,
        now: Timestamp,
        change: impl Fn(Option<UsedToken>) -> (T, Option<UsedToken>) + Send,
    ) -> Result<T, StoreError> {
        loop {
            self.queue.check()?;
            let place = self.index.shard(jti).place(jti);
            let record = match place {
                Place::Nowhere => None,
                Place::Journal(record) => Some(record),
                Place::Block(block) => self.read(jti, block).await?,
            };
            let (answer, pending) = {
                let mut shard = self.index.shard(jti);
                // Claimed, settled, replaced or forgotten meanwhile: look again.
                if shard.place(jti) != place {
                    continue;
                }
                match change(record) {
                    (answer, None) => return Ok(answer),
                    (answer, Some(record)) => {
                        let pending = self.queue.push(Some(record), now)?;
                        shard.put_recent(pending.ticket, record);
                        (answer, pending)
                    }
                }
            };
            return pending.durable(&self.queue).await.map(|()| answer);
        }
    }

    /// Forgets what is due, portion by portion.
    async fn forget_due(&self, now: Timestamp) -> Result<u64, StoreError> {
        let (mut forgotten, mut after) = (0_u64, 0);
        loop {
            let portion = move |database: &Database, index: &Index| database.forget(now, after, index);
            let (count, next) = self.with_database("purge", portion).await?;
            forgotten = forgotten.saturating_add(count);
            match next {
                Some(next) => after = next,
                None if after == 0 => return Ok(0),
                None => break,
            }
        }
        self.with_database("fsync after a purge", |database, _| database.sync()).await?;
        Ok(forgotten)
    }

    fn join(threads: Vec<JoinHandle<()>>) {
        for thread in threads {
            // A thread that panicked has poisoned the store on its way out.
            let _ = thread.join();
        }
    }

    fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl UsedTokens for SledUsedTokens {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        loop {
            let claimed = {
                let mut shard = self.index.shard(used.jti);
                self.queue.check()?;
                match shard.place(used.jti) {
                    Place::Journal(record) => return Ok(Use::Replay(record)),
                    Place::Block(block) => Err(block),
                    Place::Nowhere => {
                        // Under the shard's lock, so that journal and index agree on the order.
                        let pending = self.queue.push(Some(used), used.marked_at)?;
                        shard.put_recent(pending.ticket, used);
                        Ok(pending)
                    }
                }
            };
            match claimed {
                Ok(pending) => return pending.durable(&self.queue).await.map(|()| Use::First),
                Err(block) => {
                    if let Some(record) = self.read(used.jti, block).await? {
                        return Ok(Use::Replay(record));
                    }
                }
            }
        }
    }

    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError> {
        self.queue.check()?;
        let place = self.index.shard(jti).place(jti);
        match place {
            Place::Nowhere => Ok(None),
            Place::Journal(record) => Ok(Some(record)),
            Place::Block(block) => self.read(jti, block).await,
        }
    }

    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        self.replace(jti, now, |record| reserved(record, bytes, most, now)).await
    }

    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError> {
        self.replace(jti, now, |record| ((), Some(revoked(jti, now, forget_at, record)))).await
    }

    /// The mark of time is durable before anything is forgotten: whatever the clock shows later,
    /// no token that was forgotten here can be within its times again.
    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.keep_time(now).await?;
        if self.index.journal_holds_due(now) {
            self.queue.settle().await?;
        }
        let forgotten = self.forget_due(now).await;
        if let Err(e) = &forgotten
            && !matches!(e, StoreError::Closed)
        {
            error!(
                error = e as &dyn std::error::Error,
                "the used-token store cannot purge its database and stops serving: mend the disk, then restart"
            );
            self.queue.poison();
        }
        forgotten
    }

    async fn keep_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.queue.push(None, now)?.durable(&self.queue).await
    }

    fn fence(&self) -> Timestamp {
        self.fence
    }

    fn opened_mark(&self) -> Timestamp {
        self.opened_mark
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.queue.check()
    }

    async fn close(&self) {
        self.queue.close(true);
        let threads = self.take_threads();
        // Joining waits for the disk. If the runtime is gone, dropping the handles is no harm.
        let _ = tokio::task::spawn_blocking(move || SledUsedTokens::join(threads)).await;
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        let _ = tokio::task::spawn_blocking(move || drop(open)).await;
    }
}

/// Without [`UsedTokens::close`] the journal stays as it is, and the next start reads it.
impl Drop for SledUsedTokens {
    fn drop(&mut self) {
        self.queue.close(false);
        SledUsedTokens::join(self.take_threads());
    }
}
