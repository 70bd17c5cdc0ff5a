//! A regular file, opened for reading: its content, and whether it is still the same file.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::{Errno, ReadWriteFlags};

use crate::config::Identity;
use crate::files::edges::EdgeDigest;
use crate::files::folders::ShareFolders;
use crate::files::seen::{FileStat, may_go_on};
use crate::files::version::FileVersion;
use crate::id::FilePath;

/// A regular file, opened for reading. Clones share the handle.
#[derive(Clone)]
pub struct OpenFile {
    opened: Arc<Opened>,
    version: FileVersion,
    /// The edges of the served part, if known.
    edges: Option<EdgeDigest>,
}

struct Opened {
    handle: OwnedFd,
    folders: ShareFolders,
    path: FilePath,
    /// Its metadata when it was opened.
    first: FileStat,
    /// Its metadata when it was last found to be the same.
    last: Mutex<FileStat>,
}

/// The result of a quick check of a file that is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuickCheck {
    /// It is unchanged.
    Unchanged,
    /// Something changed; [`OpenFile::is_the_same`] says whether that matters.
    Unclear,
    /// It is another file.
    Changed,
}

impl OpenFile {
    pub(super) fn new(handle: OwnedFd, seen: FileStat, folders: ShareFolders, path: FilePath) -> OpenFile {
        let opened = Opened { handle, folders, path, first: seen, last: Mutex::new(seen) };
        OpenFile { opened: Arc::new(opened), version: seen.version(), edges: None }
    }

    /// Returns the version that is served: the one found when it was opened, unless [`OpenFile::served_as`]
    /// says otherwise.
    pub const fn version(&self) -> FileVersion {
        self.version
    }

    /// Returns the same file as it was at `version`, with the edges it had then. Used for a file that has
    /// grown since: no byte beyond the old length is served.
    pub fn served_as(&self, version: FileVersion, edges: EdgeDigest) -> OpenFile {
        OpenFile { opened: self.opened.clone(), version, edges: Some(edges) }
    }

    /// Returns the inode number and the time of the inode's last change, when it was opened.
    pub fn origin(&self) -> (u64, u64) {
        (self.opened.first.inode, self.opened.first.changed_ns)
    }

    pub(super) fn seen(&self) -> &FileStat {
        &self.opened.first
    }

    /// Returns whether its content may change while it is open. Otherwise it can only be replaced by another file.
    pub fn changes_in_place(&self) -> bool {
        self.opened.folders.changes_in_place(&self.opened.path)
    }

    pub(super) fn identity(&self) -> Identity {
        self.opened.folders.identity(&self.opened.path)
    }

    /// Fills `buffer` from `offset`, only from the page cache. Returns the number of bytes read, or `None` if
    /// it would have to wait for the disk. Zero means the end of the file.
    ///
    /// # Errors
    /// If the read fails.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut slices = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(self.opened.handle.as_fd(), &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok(Some(count)),
            // OPNOTSUPP: a file system without RWF_NOWAIT.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns whether `count` bytes from `offset` are probably in the page cache: one in every 128 KiB is.
    ///
    /// # Errors
    /// If the read fails.
    pub fn is_cached(&self, offset: u64, count: u64) -> io::Result<bool> {
        const STEP: usize = 128 * 1024;
        let last = offset.saturating_add(count.saturating_sub(1));
        for at in (offset..last).step_by(STEP).chain([last]) {
            if self.read_cached(&mut [0], at)? != Some(1) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets the kernel send up to `count` bytes from `offset` to a socket that doesn't block. Returns how many
    /// were sent; zero means the end of the file. Bytes that aren't in the page cache are waited for.
    ///
    /// The socket refers to the pages of the file until they were acknowledged: if the file changes until then,
    /// so does what is sent.
    ///
    /// # Errors
    /// If the socket is full or broken, or if the kernel can't send from this file.
    pub fn send(&self, socket: impl AsFd, mut offset: u64, count: usize) -> io::Result<usize> {
        Ok(rustix::fs::sendfile(socket, &self.opened.handle, Some(&mut offset), count)?)
    }

    /// Fills `buffer` from `offset`, waiting for the disk. Returns the number of bytes read, which is smaller
    /// than the buffer only at the end of the file.
    ///
    /// # Errors
    /// If the read fails.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(self.opened.handle.as_fd(), rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(filled)
    }

    /// Returns the edges of the first `len` bytes. Waits for the disk.
    ///
    /// # Errors
    /// If the file can't be read, or is shorter.
    pub fn edges(&self, len: u64) -> io::Result<EdgeDigest> {
        EdgeDigest::read(len, |part, offset| self.read(part, offset))
    }

    /// Like [`OpenFile::edges`], but without waiting for the disk: returns `None` if it would have to wait.
    pub fn edges_if_cached(&self, len: u64) -> io::Result<Option<EdgeDigest>> {
        EdgeDigest::read_if_cached(len, |part, offset| self.read_cached(part, offset))
    }

    /// Checks whether the file has changed since the last check. Doesn't wait for the disk.
    ///
    /// # Errors
    /// If the file system doesn't respond.
    pub fn quick_check(&self) -> io::Result<QuickCheck> {
        let (now, last) = (self.look()?, *self.last());
        let same = match self.identity() {
            Identity::Inode => now == last,
            Identity::Time => now.version() == last.version(),
        };
        Ok(match same {
            true => QuickCheck::Unchanged,
            false if now.len < self.version.len => QuickCheck::Changed,
            false => QuickCheck::Unclear,
        })
    }

    /// Returns whether a changed file is still the same as far as it is served: it only grew, was renamed or
    /// got other permissions. Waits for the disk.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn is_the_same(&self) -> io::Result<bool> {
        let (now, last) = (self.look()?, *self.last());
        if now == last {
            return Ok(true);
        }
        let moved = || {
            let found = self.opened.folders.seen(&self.opened.path);
            found.is_none_or(|found| found.inode != now.inode)
        };
        let may = now.len >= self.version.len
            && (may_go_on(&last, &now, moved)
                || (self.identity() == Identity::Time && now.version() == last.version()));
        let same = may && self.edges == Some(self.edges(self.version.len)?);
        if same {
            *self.last() = now;
        }
        Ok(same)
    }

    fn look(&self) -> io::Result<FileStat> {
        Ok(FileStat::of(&rustix::fs::fstat(&self.opened.handle)?))
    }

    // A poisoned lock means a panic elsewhere; the guarded value is always replaced as a whole.
    fn last(&self) -> MutexGuard<'_, FileStat> {
        self.opened.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
