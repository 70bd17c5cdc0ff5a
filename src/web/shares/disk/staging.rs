//! Unfinished uploads: files in `.oncelink/uploads` of a share that grow by appending, and get their place
//! and name in one step when they are complete. A writer locks its file exclusively, across processes.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::files::{FileStat, FileVersion, open_beneath};
use crate::id::FilePath;
use crate::web::shares::disk::error::WriteError;
use crate::web::shares::disk::inherit;
use crate::web::shares::disk::writable::{WritableShares, service_folder};
use crate::web::shares::disk::write::{find_confusable, move_without_replacing};

/// The folder's name.
const UPLOADS: &str = "uploads";

/// Maximum number of pieces in one write; the system accepts no more than 1,024.
const PIECES: usize = 512;

/// The file of an upload, locked until this is dropped.
#[derive(Debug)]
pub struct Staged {
    handle: OwnedFd,
}

impl WritableShares {
    /// Creates a file. `id` is a name that nobody else can choose.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn stage(&self, share: &str, id: &str) -> Result<Staged, WriteError> {
        let folder = service_folder(&self.root(share)?, UPLOADS)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The usual mode; the folder keeps others out until the file has its name.
        let handle = rustix::fs::openat(&folder, id, flags, Mode::from_raw_mode(0o666))?;
        rustix::fs::fsync(&folder)?;
        Staged::held(handle)
    }

    /// Opens an existing file.
    ///
    /// # Errors
    /// [`WriteError::Busy`] while someone else has locked it.
    pub fn staged(&self, share: &str, id: &str) -> Result<Staged, WriteError> {
        let staged = Staged::held(self.open_staged(share, id, OFlags::RDWR)?)?;
        // It may have been published or removed before we locked it.
        match rustix::fs::fstat(&staged.handle)?.st_nlink {
            0 => Err(WriteError::Missing),
            _ => self.staged_len(share, id).map(|_| staged),
        }
    }

    /// Returns how many bytes of an upload have arrived, even if it is locked.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn staged_len(&self, share: &str, id: &str) -> Result<u64, WriteError> {
        let stat = rustix::fs::fstat(self.open_staged(share, id, OFlags::RDONLY)?)?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn open_staged(&self, share: &str, id: &str, flags: OFlags) -> Result<OwnedFd, WriteError> {
        let folder = service_folder(&self.root(share)?, UPLOADS)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&folder, id, flags, Mode::empty())?)
    }

    /// Gives a complete upload its place and name, in one step and without replacing anything, with the group
    /// and the access control list of new files in that folder. The caller has synced its content to disk
    /// ([`Staged::sync`]).
    ///
    /// # Errors
    /// [`WriteError::Taken`] if the name is taken; the upload then stays.
    pub fn publish(&self, share: &str, id: &str, to: &FilePath) -> Result<(), WriteError> {
        let folder = service_folder(&self.root(share)?, UPLOADS)?;
        let (place, name) = self.place(to)?;
        inherit::from_folder(&place, &folder, id)?;
        let _turn = self.naming(&place)?;
        if let Some(by) = find_confusable(&place, name, None)? {
            return Err(WriteError::Taken { by });
        }
        move_without_replacing(&folder, id, &place, name)
    }

    /// Removes an upload that won't continue. It isn't an error if it is already gone.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn remove_staged(&self, share: &str, id: &str) -> Result<(), WriteError> {
        let folder = service_folder(&self.root(share)?, UPLOADS)?;
        match rustix::fs::unlinkat(&folder, id, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns the total size of the unfinished uploads in a share.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn staged_bytes(&self, share: &str) -> Result<u64, WriteError> {
        Ok(self.all_staged(share)?.iter().map(|(_, version)| version.len).sum())
    }

    /// Returns the uploads of a share by id, each with its length and the time of its last byte. Creates
    /// nothing.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn all_staged(&self, share: &str) -> Result<Vec<(String, FileVersion)>, WriteError> {
        let path = format!(".oncelink/{UPLOADS}");
        let opened = open_beneath(&self.root(share)?, &path, OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS);
        let folder = match opened {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            folder => folder?,
        };
        let mut all = Vec::new();
        for item in Dir::read_from(folder.as_fd())? {
            let item = item?;
            let Ok(id) = item.file_name().to_str() else { continue };
            if matches!(id, "." | "..") {
                continue;
            }
            if let Ok(stat) = rustix::fs::statat(&folder, id, AtFlags::SYMLINK_NOFOLLOW) {
                all.push((id.to_owned(), FileStat::of(&stat).version()));
            }
        }
        Ok(all)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Closing would be enough if there were no other handle: a child process that was just forked has one
        // until it executes its program. If unlocking fails, the lock ends with the last handle.
        let _let_go = rustix::fs::flock(&self.handle, FlockOperation::Unlock);
    }
}

impl Staged {
    fn held(handle: OwnedFd) -> Result<Staged, WriteError> {
        rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Staged { handle })
    }

    /// Returns its length and the time of its last change.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn version(&self) -> Result<FileVersion, WriteError> {
        Ok(FileStat::of(&rustix::fs::fstat(&self.handle)?).version())
    }

    /// Writes all pieces, the first one at `offset`, and returns their total size. What was written before a
    /// failure stays.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&self, offset: u64, pieces: &[Bytes]) -> Result<u64, WriteError> {
        let mut written = 0;
        for some in pieces.chunks(PIECES) {
            let mut slices: Vec<IoSlice<'_>> = some.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut left = slices.as_mut_slice();
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                match rustix::io::pwritev(&self.handle, left, offset + written) {
                    Ok(0) => return Err(WriteError::NoRoom),
                    Ok(count) => {
                        written += count as u64;
                        IoSlice::advance_slices(&mut left, count);
                    }
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        Ok(written)
    }

    /// Reads from `offset`, and returns the number of bytes read, which is zero at the end.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize, WriteError> {
        loop {
            match rustix::io::pread(&self.handle, &mut *buffer, offset) {
                Err(Errno::INTR) => {}
                answer => return Ok(answer?),
            }
        }
    }

    /// Truncates the file to `len`.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn shorten(&self, len: u64) -> Result<(), WriteError> {
        Ok(rustix::fs::ftruncate(&self.handle, len)?)
    }

    /// Syncs the content to disk.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn sync(&self) -> Result<(), WriteError> {
        Ok(rustix::fs::fdatasync(&self.handle)?)
    }
}
