//! One opening of the store, from recovery to the end of its threads. After a failure it returns nothing
//! more; another engine may replace it.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tracing::error;

use super::committer::Committer;
use super::database::{SledDatabase, SledDatabaseError, is_full};
use super::files::StoreLock;
use super::index::{JtiIndex, RecordLocation};
use super::journal::segment_path;
use super::manifest::StoreManifest;
use super::opening::{StoreOpenError, Tuning, failed};
use super::queue::{CommitQueue, StoreFailure};
use super::recovery::{RecoveredStore, recover};
use super::settler::{SettleProgress, Settler};
use super::writer::{JournalWriter, position};
use crate::clock::{Clock, Timestamp};
use crate::id::Jti;
use crate::secret::Secret;
use crate::standing::{BRANCHES, Branch, Standing, replace};
use crate::used_tokens::known::next_second;
use crate::used_tokens::memory::{reserved, revoked};
use crate::used_tokens::{Reservation, StoreError, Use, UsedToken, UsedTokens};

/// An open store, until it is closed or fails.
pub(super) struct StoreEngine {
    id: String,
    fence: AtomicU64,
    epoch: AtomicU64,
    position: Arc<AtomicU64>,
    /// All known branches; the last one belongs to this opening.
    branches: Vec<Branch>,
    opened_mark: Timestamp,
    queue: Arc<CommitQueue>,
    committer: Arc<Committer>,
    index: Arc<JtiIndex>,
    open: RwLock<Option<Open>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a store releases when it is closed.
struct Open {
    database: Arc<SledDatabase>,
    _lock: StoreLock,
}

impl StoreEngine {
    /// Opens or creates the store in the folder `dir`; see [`super::SledUsedTokens::open`].
    pub(super) fn open(
        dir: &Path,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
        tuning: &Tuning,
    ) -> Result<StoreEngine, StoreOpenError> {
        let RecoveredStore { lock, database, index, slots, next_ticket, witness } =
            recover(dir, clock, nothing_issued_before, tuning.slots.max(1))?;
        let segment = |number| {
            let file = OpenOptions::new().write(true).open(segment_path(dir, number));
            file.map(|file| (tuning.journal_file)(file)).map_err(failed("open its journal"))
        };
        let manifest = database.manifest();
        let queue = Arc::new(CommitQueue::new(next_ticket));
        let progress = Arc::new(SettleProgress::new(manifest.generation));
        let generation = manifest.generation.saturating_add(1);
        let first = position(generation, 0);
        let branches = begin_branch(&dir.join("branches"), first)?;
        let position = Arc::new(AtomicU64::new(first));
        let (full, to_settle) = std::sync::mpsc::channel();
        let journal = JournalWriter {
            store: manifest.store,
            segments: [segment(0)?, segment(1)?],
            slots,
            generation,
            mark: manifest.mark,
            full,
            progress: Arc::clone(&progress),
            used_slots: 0,
            group: 0,
            records: Vec::new(),
            position: Arc::clone(&position),
        };
        let committer = Arc::new(Committer::new(Arc::clone(&queue), journal, tuning));
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
        let commits = Arc::clone(&committer);
        let committing = thread("used-tokens-commit").spawn(move || commits.run());
        let start = failed("start its threads");
        Ok(StoreEngine {
            id: format!("sled-{:032x}", u128::from_be_bytes(manifest.store)),
            fence: AtomicU64::new(manifest.fence.secs()),
            epoch: AtomicU64::new(manifest.epoch),
            position,
            branches,
            opened_mark: manifest.mark,
            queue,
            committer,
            index,
            open: RwLock::new(Some(Open { database, _lock: lock })),
            threads: Mutex::new(vec![committing.map_err(&start)?, settling.map_err(&start)?]),
        })
    }

    /// Returns whether it ended because the disk was full, and not because the content of the disk is
    /// unknown.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.queue.check(), Err(StoreError::Full))
    }

    /// Ends for good, whatever the earlier reason.
    pub(super) fn fail(&self) {
        self.queue.poison(StoreFailure::Unknown);
    }

    /// Ends its threads and releases its files, so that another engine can open them. Blocks.
    pub(super) fn shut_down(&self) {
        self.queue.close(true);
        StoreEngine::join(self.take_threads());
        drop(self.open.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn database(&self) -> Result<Arc<SledDatabase>, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|open| Arc::clone(&open.database)).ok_or(StoreError::Closed)
    }

    /// Runs `work` with the database on a thread that may block.
    async fn with_database<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&SledDatabase, &JtiIndex) -> Result<T, SledDatabaseError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (database, index) = (self.database()?, Arc::clone(&self.index));
        let done = tokio::task::spawn_blocking(move || work(&database, &index)).await;
        done.map_err(|e| StoreError::Backend { action, source: Box::new(e) })?
            .map_err(|e| StoreError::Backend { action, source: Box::new(e) })
    }

    /// Returns the number of records.
    pub(super) fn records(&self) -> usize {
        self.index.len()
    }

    /// Returns the record of `jti` in `block`, according to the index; `None` if it was purged in the
    /// meantime.
    async fn read(&self, jti: Jti, block: u32) -> Result<Option<UsedToken>, StoreError> {
        self.with_database("look up a jti", move |database, index| database.find(jti, block, index)).await
    }

    /// Durably replaces the record of `jti` with the result of `change`, if there is one. Returns what
    /// `change` returns for the replaced record.
    async fn replace<T: Send>(
        &self,
        jti: Jti,
        now: Timestamp,
        change: impl Fn(Option<UsedToken>) -> (T, Option<UsedToken>) + Send,
    ) -> Result<T, StoreError> {
        loop {
            self.queue.check()?;
            let place = self.index.shard(jti).location(jti);
            let record = match place {
                RecordLocation::Nowhere => None,
                RecordLocation::Journal(record) => Some(record),
                RecordLocation::Block(block) => self.read(jti, block).await?,
            };
            let (answer, pending) = {
                let mut shard = self.index.shard(jti);
                // It was claimed, settled, replaced or purged in the meantime: check again.
                if shard.location(jti) != place {
                    continue;
                }
                match change(record) {
                    (answer, None) => return Ok(answer),
                    (answer, Some(record)) => {
                        let pending = self.committer.push(Some(record), now)?;
                        shard.put_recent(pending.ticket, record);
                        (answer, pending)
                    }
                }
            };
            return self.committer.durable(pending).await.map(|()| answer);
        }
    }

    /// Purges what is due, portion by portion.
    async fn forget_due(&self, now: Timestamp) -> Result<u64, StoreError> {
        let (mut forgotten, mut after) = (0_u64, 0);
        loop {
            let portion = move |database: &SledDatabase, index: &JtiIndex| database.forget(now, after, index);
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
            // A thread that panicked has poisoned the store.
            let _ = thread.join();
        }
    }

    fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Durably begins a branch in the file `path`, and returns all known branches. A damaged file starts over, so
/// that any remembered standing is in doubt.
fn begin_branch(path: &Path, from: u64) -> Result<Vec<Branch>, StoreOpenError> {
    let action = "begin its branch";
    let mut branches: Vec<Branch> = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(failed(action)(e)),
    };
    let name = Secret::random::<12>().map_err(failed(action))?.reveal().to_owned();
    branches.push(Branch { name, from });
    branches.drain(..branches.len().saturating_sub(BRANCHES));
    let text = serde_json::to_vec(&branches).map_err(failed(action))?;
    replace(path, &text).map_err(failed(action))?;
    Ok(branches)
}

#[async_trait]
impl UsedTokens for StoreEngine {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        loop {
            let claimed = {
                let mut shard = self.index.shard(used.jti);
                self.queue.check()?;
                match shard.location(used.jti) {
                    RecordLocation::Journal(record) => return Ok(Use::Replay(record)),
                    RecordLocation::Block(block) => Err(block),
                    RecordLocation::Nowhere => {
                        // Under the shard's lock, so that journal and index have the same order.
                        let pending = self.committer.push(Some(used), used.marked_at)?;
                        shard.put_recent(pending.ticket, used);
                        Ok(pending)
                    }
                }
            };
            match claimed {
                Ok(pending) => return self.committer.durable(pending).await.map(|()| Use::First),
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
        let place = self.index.shard(jti).location(jti);
        match place {
            RecordLocation::Nowhere => Ok(None),
            RecordLocation::Journal(record) => Ok(Some(record)),
            RecordLocation::Block(block) => self.read(jti, block).await,
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

    /// The mark of time is durable before anything is purged: whatever the clock shows later, a purged token
    /// can't become valid again.
    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.record_time(now).await?;
        if self.index.journal_holds_due(now) {
            self.queue.settle().await?;
        }
        let forgotten = self.forget_due(now).await;
        if let Err(e) = &forgotten
            && !matches!(e, StoreError::Closed)
        {
            let failure = match e {
                StoreError::Backend { source, .. } if is_full(source.as_ref()) => StoreFailure::Full,
                _ => StoreFailure::Unknown,
            };
            error!(
                error = e as &dyn std::error::Error,
                "the used-token store cannot purge its database and stops serving; {}",
                failure.remedy()
            );
            self.queue.poison(failure);
        }
        forgotten
    }

    async fn record_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.committer.durable(self.committer.push(None, now)?).await
    }

    fn fence(&self) -> Timestamp {
        Timestamp::from_secs(self.fence.load(Ordering::Acquire))
    }

    fn opened_mark(&self) -> Timestamp {
        self.opened_mark
    }

    async fn standing(&self, _now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.queue.check()?;
        let number = |value: &AtomicU64| value.load(Ordering::Acquire);
        let (epoch, position) = (number(&self.epoch), number(&self.position));
        let branch = self.branches.last().map(|branch| branch.name.clone()).unwrap_or_default();
        Ok(Some(Standing { id: self.id.clone(), epoch, branch, position }))
    }

    /// The evidence is elsewhere: a disk that was reset below the file system, or the original files of an
    /// earlier time, look like the latest ones from here.
    async fn raise_fence_if_restored(
        &self,
        remembered: &Standing,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let here = self.standing(now).await?;
        if !here.is_some_and(|here| here.was_put_back(&self.branches, remembered)) {
            return Ok(false);
        }
        let fence = self.fence().max(next_second(now));
        let epoch = self.epoch.load(Ordering::Acquire).max(remembered.epoch).saturating_add(1);
        // Done immediately, in case the disk is slow.
        self.fence.store(fence.secs(), Ordering::Release);
        let note = move |manifest: &mut StoreManifest| (manifest.fence, manifest.epoch) = (fence, epoch);
        self.with_database("raise its fence", move |database, _| database.settle(Vec::new(), note)).await?;
        self.epoch.store(epoch, Ordering::Release);
        error!(
            "the used-token store was restored from a backup: links issued before {fence} are refused, so that none \
             works twice; issue new links"
        );
        Ok(true)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.queue.check()
    }

    async fn close(&self) {
        self.queue.close(true);
        let threads = self.take_threads();
        // Joining waits for the disk. If the runtime is gone, dropping the handles is harmless.
        let _ = tokio::task::spawn_blocking(move || StoreEngine::join(threads)).await;
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        let _ = tokio::task::spawn_blocking(move || drop(open)).await;
    }
}

/// Without [`UsedTokens::close`], the journal stays as it is, and the next start reads it.
impl Drop for StoreEngine {
    fn drop(&mut self) {
        self.queue.close(false);
        StoreEngine::join(self.take_threads());
    }
}
