//! Reads portions of a file or archive. Bytes of a file that has changed in the meantime aren't returned, because
//! the client would mix two versions.
//!
//! Data in the page cache is read directly (`preadv2` with `RWF_NOWAIT` doesn't wait for the disk); only the rest
//! goes to the blocking pool. An archive is read like a file as long as one of its files has the whole portion.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::download::archives::ArchiveSource;
use crate::download::body::error::BodyError;
use crate::download::content::Content;
use crate::download::portion::Portion;
use crate::files::{OpenFile, QuickCheck};

/// What is read.
pub(super) enum Source {
    File(OpenFile),
    Archive(Box<ArchiveSource>),
    /// An archive that is being read on the blocking pool.
    Lent,
}

/// A portion that is being read.
pub(super) enum Reading {
    /// It is read; `None` once it was returned.
    Done(Option<Portion>),
    /// Waiting for the disk; `None` if the file has changed.
    File(JoinHandle<io::Result<Option<Portion>>>),
    /// Waiting for files of an archive.
    Archive(JoinHandle<(Box<ArchiveSource>, io::Result<Option<Portion>>)>),
}

impl Source {
    /// Begins to read `content`.
    pub(super) fn new(content: Content) -> Source {
        match content {
            Content::File(file) => Source::File(file),
            Content::Archive(archive) => Source::Archive(Box::new(ArchiveSource::new(archive))),
        }
    }

    /// Returns the file, unless this is an archive.
    pub(super) const fn file(&self) -> Option<&OpenFile> {
        match self {
            Source::File(file) => Some(file),
            Source::Archive(_) | Source::Lent => None,
        }
    }

    /// Fills `portion` from `offset`.
    pub(super) fn read(&mut self, mut portion: Portion, offset: u64) -> Result<Reading, BodyError> {
        let count = portion.as_ref().len() as u64;
        let Some((file, offset)) = self.file_at(offset, count) else {
            return self.fill(portion, offset);
        };
        let have = match file.read_cached(portion.as_mut(), offset)? {
            Some(0) => return Err(BodyError::Changed),
            Some(have) => have,
            None => 0,
        };
        // A file that only grew is examined more closely.
        if have == portion.as_ref().len() {
            match file.quick_check()? {
                QuickCheck::Unchanged => return Ok(Reading::Done(Some(portion))),
                QuickCheck::Changed => return Err(BodyError::Changed),
                QuickCheck::Unclear => {}
            }
        }
        let file = file.clone();
        Ok(Reading::File(spawn_blocking(move || {
            let rest = portion.as_mut().get_mut(have..).unwrap_or_default();
            let wanted = rest.len();
            let whole = file.read(rest, offset + have as u64)? == wanted;
            Ok((whole && file.is_the_same()?).then_some(portion))
        })))
    }

    /// Ready with a portion that was read.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        reading: &mut Reading,
    ) -> Poll<Result<Portion, BodyError>> {
        let read = match reading {
            Reading::Done(portion) => Ok(portion.take()),
            Reading::File(task) => ready!(Pin::new(task).poll(cx))?,
            Reading::Archive(task) => {
                let (archive, read) = ready!(Pin::new(task).poll(cx))?;
                *self = Source::Archive(archive);
                read
            }
        };
        Poll::Ready(read?.ok_or(BodyError::Changed))
    }

    /// Returns the file that contains all of `count` bytes from `offset`, and where in it they begin.
    fn file_at(&self, offset: u64, count: u64) -> Option<(&OpenFile, u64)> {
        match self {
            Source::File(file) => Some((file, offset)),
            Source::Archive(archive) => archive.file_at(offset, count),
            Source::Lent => None,
        }
    }

    /// Reads bytes of an archive that are not all of one open file.
    fn fill(&mut self, mut portion: Portion, offset: u64) -> Result<Reading, BodyError> {
        match std::mem::replace(self, Source::Lent) {
            Source::Archive(mut archive) => Ok(Reading::Archive(spawn_blocking(move || {
                let filled = archive.fill(portion.as_mut(), offset);
                (archive, filled.map(|unchanged| unchanged.then_some(portion)))
            }))),
            // A file has all of its bytes, and what was lent is back before the next portion.
            Source::File(_) | Source::Lent => Err(BodyError::Changed),
        }
    }
}
