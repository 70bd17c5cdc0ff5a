//! An archive that is being made: how far it is, and what came of it.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::id::FilePath;
use crate::web::archives::built_archive::BuiltArchive;
use crate::web::archives::error::ArchiveMakingError;

/// How long what came of a job is kept for whoever requested it. An archive that is fetched later would lack
/// files that were added meanwhile.
const KEPT: Duration = Duration::from_secs(30);

/// How many files of an archive are ready, and how many it will have; no files while that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveProgress {
    /// How many files are ready.
    pub ready: u64,
    /// How many files the archive will have.
    pub files: u64,
}

/// What came of a job.
#[derive(Debug)]
pub(super) enum JobResult {
    /// The archive can be downloaded.
    Ready(BuiltArchive),
    /// There are no files.
    Nothing,
    /// The checksums of these files and folders are being calculated in the background.
    Queued(Vec<FilePath>),
}

#[derive(Debug)]
enum Phase {
    Running,
    Finished { at: Instant, result: Result<JobResult, ArchiveMakingError> },
    Taken,
}

/// An archive that is being made, shared by its maker and those who wait for it.
pub(super) struct ArchiveJob {
    ready: AtomicU64,
    files: AtomicU64,
    phase: Mutex<Phase>,
    /// Closed when the job has ended.
    ended: watch::Receiver<()>,
}

impl ArchiveJob {
    /// Creates a job; it ends when the sender is dropped.
    pub(super) fn new() -> (ArchiveJob, watch::Sender<()>) {
        let (end, ended) = watch::channel(());
        let (ready, files) = (AtomicU64::new(0), AtomicU64::new(0));
        (ArchiveJob { ready, files, phase: Mutex::new(Phase::Running), ended }, end)
    }

    /// Records how many files the archive will have.
    pub(super) fn found(&self, files: usize) {
        self.files.store(files as u64, Ordering::Relaxed);
    }

    /// Records how many files are ready.
    pub(super) fn reached(&self, ready: u64) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    pub(super) fn progress(&self) -> ArchiveProgress {
        let (ready, files) = (self.ready.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed));
        ArchiveProgress { ready: ready.min(files), files }
    }

    /// Records what came of it.
    pub(super) fn finish(&self, result: Result<JobResult, ArchiveMakingError>) {
        *self.phase() = Phase::Finished { at: Instant::now(), result };
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        let _closed = self.ended.clone().changed().await;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Returns what is being prepared in the background, if it ended with that.
    pub(super) fn queued(&self) -> Option<Vec<FilePath>> {
        match &*self.phase() {
            Phase::Finished { result: Ok(JobResult::Queued(paths)), .. } => Some(paths.clone()),
            _ => None,
        }
    }

    /// Takes what came of it; `None` if another request was first, or if it was too long ago.
    pub(super) fn take(&self) -> Option<Result<JobResult, ArchiveMakingError>> {
        match mem::replace(&mut *self.phase(), Phase::Taken) {
            Phase::Finished { at, result } if at.elapsed() < KEPT => Some(result),
            _ => None,
        }
    }

    /// Returns whether nobody has asked for what came of it in time.
    pub(super) fn is_stale(&self) -> bool {
        match &*self.phase() {
            Phase::Running => self.has_ended(),
            Phase::Finished { result: Ok(JobResult::Queued(_)), .. } => false,
            Phase::Finished { at, .. } => at.elapsed() >= KEPT,
            Phase::Taken => true,
        }
    }

    fn phase(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
