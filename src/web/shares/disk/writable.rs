//! The permission to change shares, and what every change needs: the places, and the room on their disks.

use std::os::fd::OwnedFd;
use std::sync::{Arc, MutexGuard};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::files::{ShareFolders, Shares, open_beneath};
use crate::id::FilePath;
use crate::web::shares::disk::error::WriteError;
use crate::web::shares::disk::naming::NameLocks;

/// Free space on a share's disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// What uploads may use.
    pub free: u64,
    /// The whole disk.
    pub total: u64,
}

/// Uploads leave this much free (or 5 % of a small disk), because the databases may be on the same disk, and
/// a service that can't record used tokens must stop.
const KEPT_FREE: u64 = 256 << 20;

/// All shares by name, for reading and for changing what is in them. Cheap to clone.
#[derive(Clone)]
pub struct WritableShares {
    folders: ShareFolders,
    readable: Shares,
    naming: Arc<NameLocks>,
}

impl WritableShares {
    /// Changes what is in these folders.
    pub fn new(folders: ShareFolders) -> WritableShares {
        WritableShares { readable: Shares::new(folders.clone()), folders, naming: Arc::default() }
    }

    /// Returns the same shares, for reading only.
    pub const fn readable(&self) -> &Shares {
        &self.readable
    }

    /// Returns the names of all shares.
    pub fn names(&self) -> Vec<String> {
        self.folders.names()
    }

    /// Returns the name of the share in which each account has its own folder, if there is one.
    pub fn personal(&self) -> Option<String> {
        self.folders.names().into_iter().find(|share| self.folders.is_personal(share))
    }

    /// Returns whether there is a share of this name, available or not.
    pub fn has(&self, share: &str) -> bool {
        self.folders.has(share)
    }

    /// Returns the free space on a share's disk.
    ///
    /// # Errors
    /// If the file system doesn't respond.
    pub fn disk_space(&self, share: &str) -> Result<DiskSpace, WriteError> {
        let stat = rustix::fs::fstatvfs(&self.root(share)?)?;
        let (free, total) =
            (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize));
        Ok(DiskSpace { free: free.saturating_sub(KEPT_FREE.min(total / 20)), total })
    }

    /// Returns whether a folder is on the same file system as its share's root. Only then can a file be moved
    /// there in one step.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn is_on_share_disk(&self, folder: &FilePath) -> Result<bool, WriteError> {
        let handle = self.folder(folder)?;
        let root = rustix::fs::fstat(&self.root(folder.share())?)?;
        Ok(rustix::fs::fstat(handle)?.st_dev == root.st_dev)
    }

    /// Returns the inode of `path`; `None` if it doesn't exist. Doesn't follow symlinks.
    ///
    /// # Errors
    /// If the share or its disk doesn't respond.
    pub fn inode(&self, path: &FilePath) -> Result<Option<u64>, WriteError> {
        let found = self.place(path).and_then(|(place, name)| {
            Ok(rustix::fs::statat(&place, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino)
        });
        match found {
            Ok(inode) => Ok(Some(inode)),
            Err(WriteError::Missing) if self.folders.has(path.share()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether `path` is a folder, not a symlink to one.
    ///
    /// # Errors
    /// [`WriteError::Missing`] if it doesn't exist.
    pub fn is_folder(&self, path: &FilePath) -> Result<bool, WriteError> {
        let (place, name) = self.place(path)?;
        let stat = rustix::fs::statat(&place, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Opens the folder of a share: the one that is served, so that written files can be found again.
    pub(super) fn root(&self, share: &str) -> Result<OwnedFd, WriteError> {
        Ok(self.folders.root(share)?)
    }

    /// Opens a folder.
    pub(super) fn folder(&self, path: &FilePath) -> Result<OwnedFd, WriteError> {
        Ok(self.folders.folder(path)?)
    }

    /// Opens the parent folder of `path`, and returns it with the name. A share's root has no parent.
    pub(super) fn place<'p>(&self, path: &'p FilePath) -> Result<(OwnedFd, &'p str), WriteError> {
        let parent = path.parent().ok_or(WriteError::Missing)?;
        Ok((self.folder(&parent)?, path.name()))
    }

    /// Takes the lock for names in `folder`.
    pub(super) fn naming(&self, folder: &OwnedFd) -> Result<Option<MutexGuard<'_, ()>>, WriteError> {
        Ok(self.naming.of(folder)?)
    }
}

/// Opens the folder `.oncelink/{name}` of a share, creating it if it is missing. Never follows a symlink.
pub(super) fn service_folder(root: &OwnedFd, name: &str) -> Result<OwnedFd, WriteError> {
    let mut folder = None;
    for name in [".oncelink", name] {
        let parent: &OwnedFd = folder.as_ref().unwrap_or(root);
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => rustix::fs::fsync(parent)?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        folder = Some(open_beneath(parent, name, OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS)?);
    }
    folder.ok_or(WriteError::Missing)
}
