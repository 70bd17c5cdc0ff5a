//! Makes archives: finds their files, puts the known checksums together, and records the manifest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

use crate::archive::{
    ArchiveEntry, ArchiveError, Layout, ManifestBuilder, ManifestProvider, ProviderError, digest_text,
};
use crate::clock::Timestamp;
use crate::files::{FileError, Shares};
use crate::id::FilePath;
use crate::secret::Digest;
use crate::web::archives::built_archive::BuiltArchive;
use crate::web::archives::contents::{self, ArchivedFile, ArchivedPlace, FindError, HiddenFiles};
use crate::web::archives::error::ArchiveMakingError;
use crate::web::archives::{manifests, queue};
use crate::web::db::{Database, QueryError};
use crate::web::shares::checksums::{self, FileChecksum};
use crate::web::shares::rights::Readable;

/// How many archives are made at once, each of which takes some 60 MB if it is as large as it may be …
const AT_ONCE: usize = 2;
/// … and how long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many bytes are read at once to complete an archive. What takes longer is prepared in the background.
const READ_AT_ONCE: u64 = 16 << 20;

/// How long a manifest is kept after it was last used: longer than any token or lease.
const MANIFESTS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long checksums are kept. They can be calculated again.
const CHECKSUMS_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// Makes archives. Cheap to clone.
#[derive(Clone)]
pub struct ArchiveMaker {
    pub(super) db: Database,
    pub(super) shares: Shares,
    turns: Arc<Semaphore>,
    /// Wakes the preparation.
    pub(super) wake: Arc<Notify>,
}

/// What became of a request for an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveOutcome {
    /// It can be downloaded.
    Ready(BuiltArchive),
    /// The checksums of some of its files are being calculated.
    Preparing {
        /// How many files are ready.
        ready: u64,
        /// How many files the archive will have.
        files: u64,
    },
    /// There are no files.
    Nothing,
}

/// What was put together.
#[derive(Default)]
struct Assembled {
    text: String,
    files: u64,
    missing: u64,
    /// Checksums that were calculated now.
    new: Vec<(FilePath, FileChecksum)>,
}

impl ArchiveMaker {
    /// Creates it for the files in `shares`.
    pub fn new(db: Database, shares: Shares) -> ArchiveMaker {
        ArchiveMaker { db, shares, turns: Arc::new(Semaphore::new(AT_ONCE)), wake: Arc::default() }
    }

    /// Makes an archive of these files and folders, as they are now.
    ///
    /// # Errors
    /// See [`ArchiveMakingError`].
    pub async fn make(
        &self,
        places: &[Readable],
        hidden: HiddenFiles,
        now: Timestamp,
    ) -> Result<ArchiveOutcome, ArchiveMakingError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| ArchiveMakingError::Busy)?;
        let found = self.find(places.iter().map(ArchivedPlace::from).collect(), hidden).await?;
        let paths = found.iter().filter(|file| file.folder_modified_ns.is_none()).map(|file| &file.path);
        let known = checksums::of(&self.db, &paths.collect::<Vec<_>>()).await?;
        let shares = self.shares.clone();
        let assembling = move || {
            let known = |path: &FilePath| known.get(path.as_str()).copied();
            assemble(&shares, &found, known)
        };
        let assembled = tokio::task::spawn_blocking(assembling).await??;
        self.record(&assembled.new, now).await?;
        if assembled.missing > 0 {
            let paths: Vec<FilePath> = places.iter().map(|place| place.path().clone()).collect();
            self.prepare(&paths, now).await?;
            let ready = assembled.files - assembled.missing;
            return Ok(ArchiveOutcome::Preparing { ready, files: assembled.files });
        }
        if assembled.files == 0 {
            return Ok(ArchiveOutcome::Nothing);
        }
        let text = assembled.text;
        let laying_out = move || (Layout::of(&text), text);
        let (layout, text) = tokio::task::spawn_blocking(laying_out).await?;
        let layout = layout?;
        let archive = BuiltArchive {
            digest: digest_text(&layout.digest()),
            size: layout.version().len,
            files: assembled.files,
        };
        manifests::put(&self.db, &archive, &text, now).await?;
        Ok(ArchiveOutcome::Ready(archive))
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
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
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
        queue::queue_files(&mut transaction, paths, now).await?;
        self.db.commit(transaction).await?;
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
        if new.is_empty() {
            return Ok(());
        }
        let mut transaction = self.db.begin().await?;
        for (path, checksum) in new {
            checksums::put(&mut transaction, path, *checksum, now).await?;
        }
        self.db.commit(transaction).await
    }

    async fn find(
        &self,
        places: Vec<ArchivedPlace>,
        hidden: HiddenFiles,
    ) -> Result<Vec<ArchivedFile>, ArchiveMakingError> {
        let shares = self.shares.clone();
        let finding = move || contents::find(&shares, &places, hidden);
        match tokio::task::spawn_blocking(finding).await? {
            Ok(found) => Ok(found),
            Err(FindError::File(error)) => Err(error.into()),
            Err(FindError::Limit(error)) => Err(error.into()),
        }
    }
}

/// Puts the manifest together. Small files without a checksum are read now.
fn assemble(
    shares: &Shares,
    found: &[ArchivedFile],
    known: impl Fn(&FilePath) -> Option<FileChecksum>,
) -> Result<Assembled, ArchiveMakingError> {
    let (mut builder, mut assembled) = (ManifestBuilder::default(), Assembled::default());
    let mut budget = READ_AT_ONCE;
    for ArchivedFile { path, name, folder_modified_ns } in found {
        if let Some(modified_ns) = folder_modified_ns {
            builder.add(&ArchiveEntry::folder(path.clone(), name.clone(), *modified_ns))?;
            continue;
        }
        let current = match known(path).map(|sum| (sum, shares.is_unchanged(path, &sum.version))) {
            Some((sum, Ok(true))) => Some(sum),
            Some((_, Err(FileError::ShareGone))) => return Err(FileError::ShareGone.into()),
            Some((_, Ok(false) | Err(_))) | None => match shares.file(path) {
                Ok(file) => {
                    let len = file.version().len;
                    let mut sum = None;
                    if let Some(left) = budget.checked_sub(len) {
                        budget = left;
                        // A file that can't be read to its end is tried again in the background.
                        sum = FileChecksum::compute(&file).ok().flatten();
                    }
                    assembled.new.extend(sum.map(|sum| (path.clone(), sum)));
                    sum
                }
                Err(FileError::ShareGone) => return Err(FileError::ShareGone.into()),
                // It disappeared since it was found, or can't be read: it is left out, as on the page.
                Err(_) => continue,
            },
        };
        assembled.files += 1;
        match current {
            Some(FileChecksum { version, crc32 }) => {
                builder.add(&ArchiveEntry { path: path.clone(), name: name.clone(), version, crc32 })?;
            }
            None => assembled.missing += 1,
        }
    }
    assembled.text = builder.finish();
    Ok(assembled)
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
