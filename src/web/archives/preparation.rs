//! Calculates the checksums of queued files in the background: one file at a time, and of what is queued each
//! gets its turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::files::{EntryKind, FileError, OpenFile, Shares};
use crate::id::FilePath;
use crate::telemetry::chain;
use crate::web::archives::archive_maker::ArchiveMaker;
use crate::web::archives::contents::{self, ArchivedPlace};
use crate::web::archives::error::ArchiveMakingError;
use crate::web::archives::order::HiddenFiles;
use crate::web::archives::queue::{self, QueuedPath};
use crate::web::shares::checksums::{self, FileChecksum};

/// How long one entry of the queue is worked on before others get their turn. A large file takes longer.
const SLICE: Duration = Duration::from_secs(2);

/// How often the queue is looked at without being woken, because another process may have added something.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(5);

impl ArchiveMaker {
    /// Prepares what is queued. Never returns.
    pub async fn run(&self, now: impl Fn() -> Timestamp) {
        loop {
            match self.prepare_next(now()).await {
                Ok(true) => {}
                Ok(false) => {
                    let _late = tokio::time::timeout(LOOK_EVERY, self.wake.notified()).await;
                }
                Err(error) => {
                    tracing::warn!(cause = chain(&error), "cannot prepare files for archives");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Works on the next entry of the queue. Returns false if the queue is empty.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prepare_next(&self, now: Timestamp) -> Result<bool, ArchiveMakingError> {
        let Some(next) = queue::next(&self.db).await? else {
            // Another process may have prepared what was queued here.
            self.jobs.prepared(None);
            return Ok(false);
        };
        if self.work_on(&next, now).await? {
            queue::remove(&self.db, next.path.as_str()).await?;
            self.jobs.prepared(Some(&next.path));
        } else {
            queue::postpone(&self.db, &next.path, now).await?;
        }
        Ok(true)
    }

    /// Returns whether nothing is left to do.
    async fn work_on(&self, next: &QueuedPath, now: Timestamp) -> Result<bool, ArchiveMakingError> {
        let (shares, folder_only) = (self.shares.clone(), next.folder_only);
        let place = ArchivedPlace { path: next.path.clone(), name: next.path.name().to_owned() };
        let finding = move || match shares.entry(&place.path).map(|entry| entry.kind) {
            Ok(EntryKind::File(_)) if folder_only => Ok(Vec::new()),
            _ => contents::find(&shares, &[place], HiddenFiles::Included),
        };
        let files = match tokio::task::spawn_blocking(finding).await? {
            Ok(found) => found.into_iter().filter(|file| file.folder_modified_ns.is_none()),
            // When its disk is back, the next press of a button queues it again.
            Err(_) => return Ok(true),
        };
        let files: Vec<FilePath> = files.map(|file| file.path).collect();
        let known = checksums::of(&self.db, &files.iter().collect::<Vec<_>>()).await?;
        let (mut files, known) = (VecDeque::from(files), Arc::new(known));
        loop {
            let (shares, known) = (self.shares.clone(), Arc::clone(&known));
            let calculating = move || {
                let known = |path: &FilePath| known.get(path.as_str()).copied();
                let new = calculate(&shares, &mut files, known);
                (new, files)
            };
            let (new, left) = tokio::task::spawn_blocking(calculating).await?;
            self.record(&new, now).await?;
            self.jobs.calculated(&next.path, new.len());
            // If nothing else waits, its files need not be found again.
            if left.is_empty() || queue::has_other(&self.db, &next.path).await? {
                return Ok(left.is_empty());
            }
            files = left;
        }
    }
}

/// Calculates missing checksums for a while, of the first of `files`, which are then removed.
fn calculate(
    shares: &Shares,
    files: &mut VecDeque<FilePath>,
    known: impl Fn(&FilePath) -> Option<FileChecksum>,
) -> Vec<(FilePath, FileChecksum)> {
    let (began, mut new) = (Instant::now(), Vec::new());
    while let Some(path) = files.pop_front() {
        let is_known = known(&path)
            .is_some_and(|sum| matches!(shares.is_unchanged(&path, &sum.version), Ok(true) | Err(_)));
        if is_known {
            continue;
        }
        // A file that can't be read, or changes now, gets its checksum when an archive of it is wanted.
        let sum = shares.file(&path).map_err(drop).and_then(|file| read(&file).map_err(drop));
        if let Ok(Some(sum)) = sum {
            new.push((path, sum));
        }
        if began.elapsed() >= SLICE {
            break;
        }
    }
    new
}

fn read(file: &OpenFile) -> Result<Option<FileChecksum>, FileError> {
    FileChecksum::compute(file).map_err(FileError::Unreadable)
}
