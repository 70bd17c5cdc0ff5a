//! Makes archives: finds their files, puts the known checksums together, and records the manifest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

use crate::archive::{ArchiveEntry, ArchiveError, Layout, ManifestProvider, ProviderError, digest_text};
use crate::clock::Timestamp;
use crate::files::Shares;
use crate::id::FilePath;
use crate::secret::Digest;
use crate::tasks::InRuntime;
use crate::web::archives::assembly::{Assembly, PER_TRANSACTION};
use crate::web::archives::built_archive::BuiltArchive;
use crate::web::archives::contents::{self, ArchivedFile, ArchivedPlace, FindError};
use crate::web::archives::error::ArchiveMakingError;
use crate::web::archives::job::{ArchiveJob, ArchiveProgress, JobResult};
use crate::web::archives::jobs::{ArchiveJobs, JoinedJob};
use crate::web::archives::order::{ArchiveJobId, ArchiveOrder};
use crate::web::archives::{manifests, queue};
use crate::web::db::{Database, QueryError};
use crate::web::shares::checksums::{self, FileChecksum};

/// How long a request waits for its archive before it says how far that is.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a continued download waits for its turn.
const PATIENCE_TO_CONTINUE: Duration = Duration::from_secs(10);

/// How long a manifest is kept after it was last used: longer than any token or lease.
const MANIFESTS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long checksums are kept. They can be calculated again.
const CHECKSUMS_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// Makes archives. Cheap to clone.
#[derive(Clone)]
pub struct ArchiveMaker {
    pub(super) db: Database,
    pub(super) shares: Shares,
    pub(super) jobs: ArchiveJobs,
    /// Wakes the preparation.
    pub(super) wake: Arc<Notify>,
}

/// What became of a request for an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveOutcome {
    /// It can be downloaded.
    Ready(BuiltArchive),
    /// It is being made; the same request gets it when it is ready.
    Preparing(ArchiveProgress),
    /// There are no files.
    Nothing,
}

impl ArchiveMaker {
    /// Creates it for the files in `shares`.
    pub fn new(db: Database, shares: Shares) -> ArchiveMaker {
        ArchiveMaker { db, shares, jobs: ArchiveJobs::new(), wake: Arc::default() }
    }

    /// Makes an archive of files and folders, as they are now. One that takes longer than a moment is made in the
    /// background.
    ///
    /// # Errors
    /// See [`ArchiveMakingError`].
    pub async fn make(
        &self,
        order: &ArchiveOrder,
        now: Timestamp,
    ) -> Result<ArchiveOutcome, ArchiveMakingError> {
        let id = order.id();
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let job = match self.jobs.join(&id, order) {
                JoinedJob::Known(job) => job,
                JoinedJob::New(job, running, client) => {
                    let making = {
                        let (maker, order, job) = (self.clone(), order.clone(), Arc::clone(&job));
                        async move {
                            let result = maker.work(&order, &job, client, now).await;
                            job.finish(result);
                            drop(running);
                        }
                    };
                    drop(tokio::spawn(InRuntime::here(making)));
                    job
                }
                JoinedJob::Full => return Err(ArchiveMakingError::Busy),
            };
            if tokio::time::timeout_at(end, job.ended()).await.is_err() {
                return Ok(ArchiveOutcome::Preparing(job.progress()));
            }
            if let Some(progress) = self.jobs.progress_of_queued(&job) {
                return Ok(ArchiveOutcome::Preparing(progress));
            }
            let result = job.take();
            self.jobs.remove(&id, &job);
            match result {
                Some(Ok(JobResult::Ready(archive))) => return Ok(ArchiveOutcome::Ready(archive)),
                Some(Ok(JobResult::Nothing)) => return Ok(ArchiveOutcome::Nothing),
                Some(Err(error)) => return Err(error),
                // Prepared, or another request with the same order was first: it begins again, with the checksums.
                Some(Ok(JobResult::Queued(_))) | None => {}
            }
        }
    }

    /// Returns how far an archive is; `None` if it isn't being made, or is ready.
    pub fn progress(&self, id: &ArchiveJobId) -> Option<ArchiveProgress> {
        self.jobs.progress(id)
    }

    async fn work(
        &self,
        order: &ArchiveOrder,
        job: &Arc<ArchiveJob>,
        client: Arc<Semaphore>,
        now: Timestamp,
    ) -> Result<JobResult, ArchiveMakingError> {
        let _turn = self.jobs.turn(client).await.ok_or(ArchiveMakingError::Busy)?;
        let found = self.find(order).await?;
        let files = found.iter().filter(|file| file.folder_modified_ns.is_none()).map(|file| &file.path);
        let files: Vec<&FilePath> = files.collect();
        job.found(files.len());
        let known = checksums::of(&self.db, &files).await?;
        let mut assembly = Assembly::new(found, known);
        loop {
            let (shares, of) = (self.shares.clone(), Arc::clone(job));
            let going_on = move || assembly.go_on(&shares, &of).map(|is_done| (assembly, is_done));
            let (advanced, is_done) = tokio::task::spawn_blocking(going_on).await??;
            assembly = advanced;
            self.record(&assembly.take_new(), now).await?;
            if is_done {
                break;
            }
        }
        if assembly.missing > 0 {
            let paths: Vec<FilePath> = order.places.iter().map(|place| place.path().clone()).collect();
            self.prepare(&paths, now).await?;
            return Ok(JobResult::Queued(paths));
        }
        if assembly.files == 0 {
            return Ok(JobResult::Nothing);
        }
        let files = assembly.files;
        let laying_out = move || {
            let text = assembly.finish();
            (Layout::of(&text), text)
        };
        let (layout, text) = tokio::task::spawn_blocking(laying_out).await?;
        let layout = layout?;
        let archive =
            BuiltArchive { digest: digest_text(&layout.digest()), size: layout.version().len, files };
        manifests::put(&self.db, &archive, &text, now).await?;
        Ok(JobResult::Ready(archive))
    }

    /// Returns an archive that was made before, if none of its files has changed since.
    ///
    /// # Errors
    /// See [`ArchiveMakingError`].
    pub async fn unchanged(
        &self,
        digest: &str,
        now: Timestamp,
    ) -> Result<Option<BuiltArchive>, ArchiveMakingError> {
        let turn = tokio::time::timeout(PATIENCE_TO_CONTINUE, self.jobs.turns.acquire()).await;
        let _turn = turn.map_err(|_| ArchiveMakingError::Busy)?;
        let Some((archive, text)) = manifests::find(&self.db, digest).await? else { return Ok(None) };
        let shares = self.shares.clone();
        let looking = move || is_unchanged(&shares, &text);
        if !tokio::task::spawn_blocking(looking).await? {
            return Ok(None);
        }
        manifests::used(&self.db, digest, now).await?;
        Ok(Some(archive))
    }

    /// Has the missing checksums of these files and folders calculated in the background.
    async fn prepare(&self, paths: &[FilePath], now: Timestamp) -> Result<(), QueryError> {
        let mut transaction = self.db.begin().await?;
        queue::queue_wanted(&mut transaction, paths, now).await?;
        self.db.commit(transaction).await?;
        self.jobs.queue(paths);
        self.wake();
        Ok(())
    }

    /// Has what was queued prepared now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Deletes manifests and checksums that have not been needed for a long time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, QueryError> {
        let pruned = manifests::prune(&self.db, now.minus(MANIFESTS_KEPT)).await?;
        Ok(pruned + checksums::prune(&self.db, now.minus(CHECKSUMS_KEPT)).await?)
    }

    /// Records checksums.
    pub(super) async fn record(
        &self,
        new: &[(FilePath, FileChecksum)],
        now: Timestamp,
    ) -> Result<(), QueryError> {
        for new in new.chunks(PER_TRANSACTION) {
            let mut transaction = self.db.begin().await?;
            for (path, checksum) in new {
                checksums::put(&mut transaction, path, *checksum, now).await?;
            }
            self.db.commit(transaction).await?;
        }
        Ok(())
    }

    async fn find(&self, order: &ArchiveOrder) -> Result<Vec<ArchivedFile>, ArchiveMakingError> {
        let (shares, places, hidden) = (self.shares.clone(), ArchivedPlace::of(order), order.hidden);
        let finding = move || contents::find(&shares, &places, hidden);
        match tokio::task::spawn_blocking(finding).await? {
            Ok(found) => Ok(found),
            Err(FindError::File(error)) => Err(error.into()),
            Err(FindError::Limit(error)) => Err(error.into()),
        }
    }
}

fn is_unchanged(shares: &Shares, text: &str) -> bool {
    let lines = text.lines().skip(1);
    lines.map(ArchiveEntry::parse).all(|entry| {
        entry.is_some_and(|entry| {
            entry.is_folder() || matches!(shares.is_unchanged(&entry.path, &entry.version), Ok(true))
        })
    })
}

/// Gives manifests to a download service in the same process.
#[async_trait]
impl ManifestProvider for ArchiveMaker {
    async fn manifest(&self, digest: &Digest) -> Result<Option<String>, ProviderError> {
        let found = manifests::find(&self.db, &digest_text(digest)).await;
        found.map(|found| found.map(|(_, text)| text)).map_err(|error| ProviderError(error.into()))
    }
}

impl ArchiveMakingError {
    /// Returns whether the files are too many, or too large, for an archive.
    pub fn is_too_large(&self) -> bool {
        matches!(self, ArchiveMakingError::Limit(ArchiveError::TooMany | ArchiveError::TooLong))
    }
}
