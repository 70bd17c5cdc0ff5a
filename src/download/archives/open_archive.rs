//! An archive that is about to be sent: its manifest, and the files that it consists of.

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::archive::{ArchiveEntry, ArchiveError};
use crate::download::archives::error::ManifestError;
use crate::download::archives::kept::{Archives, KeptManifest};
use crate::files::identity::{FileFingerprint, FileMatch};
use crate::files::{EdgeDigest, FileError, FileVersion, OpenFile, Shares};
use crate::secret::Digest;

/// How long it is believed that no file has changed. Each is compared again when it is its turn.
const BELIEVED: Duration = Duration::from_secs(1);

/// How many files are compared before a download is continued. Those that follow are compared when it is
/// their turn.
const RESUMED_MAX: usize = 1_000;

/// An archive and its files. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OpenArchive {
    pub(super) kept: Arc<KeptManifest>,
    pub(super) shares: Shares,
}

/// A file of an archive can't be sent.
#[derive(Debug)]
pub(crate) enum EntryFault {
    /// It changed, or is gone.
    Changed,
    /// It can't be read now.
    Unreadable(FileError),
    /// The manifest can't be read.
    Manifest(ArchiveError),
}

impl From<ArchiveError> for EntryFault {
    fn from(error: ArchiveError) -> EntryFault {
        EntryFault::Manifest(error)
    }
}

impl Archives {
    /// Returns the archive whose manifest has this digest; `None` if there is none. Looks at no file yet.
    ///
    /// # Errors
    /// If this isn't known now.
    pub(crate) async fn open(
        &self,
        digest: &Digest,
        shares: &Shares,
    ) -> Result<Option<OpenArchive>, ManifestError> {
        let kept = self.find(digest).await?;
        Ok(kept.map(|kept| OpenArchive { kept, shares: shares.clone() }))
    }

    /// Checks that all files of an archive are the ones that are meant.
    ///
    /// # Errors
    /// See [`EntryFault`].
    pub(crate) async fn check(&self, archive: &OpenArchive) -> Result<(), EntryFault> {
        let whole = 0..archive.version().len;
        let is_believed = || {
            let checked_at = *archive.kept.checked_at.lock().unwrap_or_else(PoisonError::into_inner);
            checked_at.is_some_and(|at| at.elapsed() < BELIEVED)
        };
        // The semaphore is never closed.
        let _permit = self.checks.acquire().await.ok();
        if is_believed() {
            return Ok(());
        }
        let began = Instant::now();
        archive.check(whole, usize::MAX).await?;
        *archive.kept.checked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        Ok(())
    }

    /// Checks that the next files in a range of an archive are the ones that are meant.
    ///
    /// # Errors
    /// See [`EntryFault`].
    pub(crate) async fn check_part(
        &self,
        archive: &OpenArchive,
        range: Range<u64>,
    ) -> Result<(), EntryFault> {
        let _permit = self.checks.acquire().await.ok();
        archive.check(range, RESUMED_MAX).await
    }
}

impl OpenArchive {
    /// Returns the length of the archive, and when the newest of its files last changed.
    pub(crate) fn version(&self) -> FileVersion {
        self.kept.layout.version()
    }

    /// Returns what a lease knows about an archive: that it has no inode, and its manifest.
    pub(crate) fn fingerprint(&self) -> FileFingerprint {
        let mut edges = [0; 8];
        let digest = self.kept.layout.digest();
        // A digest is longer, so the zip fills all of them.
        edges.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        FileFingerprint { inode: 0, changed_ns: 0, edges: EdgeDigest::from_bytes(edges) }
    }

    async fn check(&self, range: Range<u64>, most: usize) -> Result<(), EntryFault> {
        let archive = self.clone();
        let checking = tokio::task::spawn_blocking(move || archive.check_now(range, most));
        // The task can only be lost together with the runtime.
        checking
            .await
            .map_err(|gone| EntryFault::Unreadable(FileError::Unreadable(io::Error::other(gone))))?
    }

    fn check_now(&self, range: Range<u64>, most: usize) -> Result<(), EntryFault> {
        let mut left = most;
        self.kept.layout.entries_in(range, &*self.kept, |entry| {
            if entry.is_folder() {
                return Ok(ControlFlow::Continue(()));
            }
            let Some(fewer) = left.checked_sub(1) else { return Ok(ControlFlow::Break(())) };
            left = fewer;
            if !matches!(self.shares.is_unchanged(&entry.path, &entry.version), Ok(true)) {
                self.file(entry)?;
            }
            Ok::<_, EntryFault>(ControlFlow::Continue(()))
        })
    }

    /// Opens the file of an entry, if it is the one that is meant. Blocks on the disk.
    ///
    /// # Errors
    /// See [`EntryFault`].
    pub(super) fn file(&self, entry: &ArchiveEntry) -> Result<OpenFile, EntryFault> {
        let file = match self.shares.file(&entry.path) {
            Ok(file) => file,
            Err(FileError::Missing) => return Err(EntryFault::Changed),
            Err(error) => return Err(EntryFault::Unreadable(error)),
        };
        let version = entry.version.version();
        let edges = || match file.edges(version.len) {
            Ok(edges) => Ok(edges),
            // It is shorter now.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(EntryFault::Changed),
            Err(error) => Err(EntryFault::Unreadable(FileError::Unreadable(error))),
        };
        let edges = match (entry.version.likeness(&file), entry.version.edges()) {
            (FileMatch::Same, Some(edges)) => edges,
            (FileMatch::Same, None) => edges()?,
            (FileMatch::IfEdges(meant), _) if edges()? == meant => meant,
            (FileMatch::IfEdges(_) | FileMatch::Other, _) => return Err(EntryFault::Changed),
        };
        Ok(file.served_as(version, edges))
    }
}
