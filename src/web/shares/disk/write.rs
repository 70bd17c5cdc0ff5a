//! Changes shares: creates folders, renames and moves. Nothing is ever replaced: a name is taken in one step
//! that fails if it is already taken. A success means that the change is on disk, because folders are
//! fsynced.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::files::{FileError, Shares, open_beneath, renames};
use crate::id::{FilePath, InvalidFilePath};
use crate::web::shares::name::{FileName, look};

/// A change failed, and nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file or folder to change, or its destination, doesn't exist.
    #[error("there is no such file or folder")]
    Missing,
    /// The name, or a similar one, is taken.
    #[error("the name is taken")]
    Taken {
        /// The existing name.
        by: String,
    },
    /// The disk or its quota is full.
    #[error("there is no room on the disk")]
    NoRoom,
    /// The system doesn't let us write there.
    #[error("the folder cannot be written")]
    Forbidden(#[source] io::Error),
    /// The share's folder was removed or unmounted since the start.
    #[error("the share is gone")]
    ShareGone,
    /// Source and destination are on different file systems.
    #[error("the two places are on different disks")]
    OtherDisk,
    /// A folder can't be moved into itself.
    #[error("a folder cannot go into itself")]
    IntoItself,
    /// The path would be longer than the system allows.
    #[error("the path would be too long")]
    TooLong,
    /// Someone else is writing to it.
    #[error("it is in use")]
    Busy,
    /// The disk failed.
    #[error("the disk failed")]
    Failed(#[source] io::Error),
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> WriteError {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ISDIR => WriteError::Missing,
            // Only if another file with this name was seen; the callers say which.
            Errno::EXIST | Errno::NOTEMPTY => WriteError::Taken { by: String::new() },
            // FBIG: the file size limit of the process or the file system.
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => WriteError::NoRoom,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => WriteError::Forbidden(errno.into()),
            Errno::STALE | Errno::NODEV | Errno::NXIO | Errno::NOTCONN | Errno::HOSTDOWN => {
                WriteError::ShareGone
            }
            Errno::XDEV => WriteError::OtherDisk,
            Errno::NAMETOOLONG => WriteError::TooLong,
            Errno::WOULDBLOCK | Errno::BUSY => WriteError::Busy,
            other => WriteError::Failed(other.into()),
        }
    }
}

impl From<InvalidFilePath> for WriteError {
    fn from(error: InvalidFilePath) -> WriteError {
        match error {
            InvalidFilePath::Length => WriteError::TooLong,
            _ => WriteError::Missing,
        }
    }
}

impl From<FileError> for WriteError {
    fn from(error: FileError) -> WriteError {
        match error {
            FileError::Missing => WriteError::Missing,
            FileError::ShareGone => WriteError::ShareGone,
            FileError::Unreadable(source) => WriteError::Failed(source),
        }
    }
}

/// Free space on a share's disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What uploads may use.
    pub free: u64,
    /// The whole disk.
    pub total: u64,
}

/// Uploads leave this much free (or 5 % of a small disk), because the databases may be on the same disk, and
/// a service that can't record used tokens must stop.
const KEPT_FREE: u64 = 256 << 20;

impl Shares {
    /// Creates a folder.
    ///
    /// # Errors
    /// [`WriteError::Taken`] if the name, or a similar one, is taken.
    pub fn make_folder(&self, path: &FilePath) -> Result<(), WriteError> {
        let (parent, name) = self.place(path)?;
        let _turn = self.naming(&parent)?;
        if let Some(by) = look_alike(&parent, name, None)? {
            return Err(WriteError::Taken { by });
        }
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777)).map_err(|errno| taken(errno, name))?;
        Ok(rustix::fs::fsync(&parent)?)
    }

    /// Creates the folder `path` and its missing parents. If a folder with a similar name exists, that one is
    /// used, so the returned path may be spelled differently.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn folders_to(&self, path: &FilePath) -> Result<FilePath, WriteError> {
        let mut names = path.components();
        let mut folder: FilePath = format!("/{}", names.next().unwrap_or_default()).parse()?;
        for name in names {
            let next = folder.join(name)?;
            folder = match self.make_folder(&next) {
                Ok(()) => next,
                Err(WriteError::Taken { by }) => {
                    let there = folder.join(&by)?;
                    self.beneath(&there, OFlags::DIRECTORY, ResolveFlags::empty())
                        .map_err(|_| WriteError::Taken { by })?;
                    there
                }
                Err(other) => return Err(other),
            };
        }
        Ok(folder)
    }

    /// Renames or moves a file or folder, within this share or to another one.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn rename(&self, from: &FilePath, to: &FilePath) -> Result<(), WriteError> {
        if to == from {
            return Ok(());
        }
        let inside = to.as_str().strip_prefix(from.as_str());
        if inside.is_some_and(|rest| rest.starts_with('/')) {
            return Err(WriteError::IntoItself);
        }
        let (old, old_name) = self.place(from)?;
        let (new, new_name) = self.place(to)?;
        let _turn = self.naming(&new)?;
        // A file doesn't conflict with itself if only the case of its name changes.
        let itself = (from.parent() == to.parent()).then_some(old_name);
        if let Some(by) = look_alike(&new, new_name, itself)? {
            return Err(WriteError::Taken { by });
        }
        move_without_replacing(&old, old_name, &new, new_name)
    }

    /// Returns `name`, or its first numbered variant that is free in `folder`.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn free_name(&self, folder: &FilePath, name: &FileName) -> Result<FileName, WriteError> {
        let handle = self.beneath(folder, OFlags::DIRECTORY, ResolveFlags::empty())?;
        let looks = looks_in(&handle)?;
        let mut free = name.clone();
        let mut number = 1;
        while looks.contains(&look(free.as_str())) {
            number += 1;
            free = name.numbered(number);
        }
        Ok(free)
    }

    /// Returns the free space on a share's disk.
    ///
    /// # Errors
    /// If the file system doesn't respond.
    pub fn room(&self, share: &str) -> Result<Room, WriteError> {
        let stat = rustix::fs::fstatvfs(&self.root(share)?)?;
        let (free, total) =
            (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize));
        Ok(Room { free: free.saturating_sub(KEPT_FREE.min(total / 20)), total })
    }

    /// Returns whether a folder is on the same file system as its share's root. Only then can a file be moved
    /// there in one step.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn is_on_share_disk(&self, folder: &FilePath) -> Result<bool, WriteError> {
        let handle = self.beneath(folder, OFlags::DIRECTORY, ResolveFlags::empty())?;
        let root = rustix::fs::fstat(&self.root(folder.share())?)?;
        Ok(rustix::fs::fstat(handle)?.st_dev == root.st_dev)
    }

    /// Returns the names of all shares.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.by_name.keys().map(String::as_str)
    }

    /// Opens the folder of a share: the one that is served, so that written files can be found again.
    pub(crate) fn root(&self, share: &str) -> Result<OwnedFd, WriteError> {
        let root = self.0.by_name.get(share).ok_or(WriteError::Missing)?;
        root.open().map_err(|_| WriteError::ShareGone)
    }

    /// Opens the parent folder of `path`, and returns it with the name. A share's root has no parent.
    pub(crate) fn place<'p>(&self, path: &'p FilePath) -> Result<(OwnedFd, &'p str), WriteError> {
        let parent = path.parent().ok_or(WriteError::Missing)?;
        Ok((self.beneath(&parent, OFlags::DIRECTORY, ResolveFlags::empty())?, path.name()))
    }

    /// Takes the lock for names in `folder`.
    pub(crate) fn naming(
        &self,
        folder: &OwnedFd,
    ) -> Result<Option<std::sync::MutexGuard<'_, ()>>, WriteError> {
        Ok(self.0.naming.of(folder)?)
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
            Err(WriteError::Missing) if self.0.by_name.contains_key(path.share()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Opens the folder `.oncelink/{name}` of a share, creating it if it is missing. Never follows a symlink.
pub(crate) fn own_folder(root: &OwnedFd, name: &str) -> Result<OwnedFd, WriteError> {
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

/// Renames in one step that fails if the new name is taken, and syncs both folders to disk.
pub(crate) fn move_without_replacing(
    old: &OwnedFd,
    old_name: &str,
    new: &OwnedFd,
    new_name: &str,
) -> Result<(), WriteError> {
    let before = renames::look(old, old_name);
    match rustix::fs::renameat_with(old, old_name, new, new_name, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // On a file system without NOREPLACE, a hard link also fails if the name is taken, but folders can't
        // be linked.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(old, old_name, new, new_name, AtFlags::empty())
                .map_err(|errno| taken(errno, new_name))?;
            rustix::fs::unlinkat(old, old_name, AtFlags::empty())?;
        }
        Err(errno) => return Err(taken(errno, new_name)),
    }
    renames::remember(before, renames::look(new, new_name));
    rustix::fs::fsync(new)?;
    Ok(rustix::fs::fsync(old)?)
}

fn taken(errno: Errno, name: &str) -> WriteError {
    match WriteError::from(errno) {
        WriteError::Taken { .. } => WriteError::Taken { by: name.to_owned() },
        other => other,
    }
}

/// Returns an entry in `folder` that looks like `name`, except for `itself`.
pub(crate) fn look_alike(
    folder: &OwnedFd,
    name: &str,
    itself: Option<&str>,
) -> Result<Option<String>, WriteError> {
    let wanted = look(name);
    for item in Dir::read_from(folder.as_fd())? {
        let item = item?;
        let Ok(there) = item.file_name().to_str() else { continue };
        if Some(there) != itself && look(there) == wanted {
            return Ok(Some(there.to_owned()));
        }
    }
    Ok(None)
}

fn looks_in(folder: &OwnedFd) -> Result<std::collections::BTreeSet<String>, WriteError> {
    let mut looks = std::collections::BTreeSet::new();
    for item in Dir::read_from(folder.as_fd())? {
        looks.extend(item?.file_name().to_str().map(look));
    }
    Ok(looks)
}
