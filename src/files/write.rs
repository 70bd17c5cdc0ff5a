//! Changing what lies in a share: new folders, other names, other places. Nothing is ever replaced:
//! a name is taken in one step that fails where it is taken already. What was answered with success is
//! on the disk: folders are fsynced.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::name::{FileName, look};
use super::{FileError, Shares, open_beneath};
use crate::id::{FilePath, InvalidFilePath};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What is to be changed, or the folder that it is to go to, is not there.
    #[error("there is no such file or folder")]
    Missing,
    /// Something stands there under this name, or one that looks alike.
    #[error("the name is taken")]
    Taken {
        /// What stands there.
        by: String,
    },
    /// The disk is full, or its quota.
    #[error("there is no room on the disk")]
    NoRoom,
    /// The system does not let us write there.
    #[error("the folder cannot be written")]
    Forbidden(#[source] io::Error),
    /// The share's folder was removed or unmounted since the start.
    #[error("the share is gone")]
    ShareGone,
    /// The two places are not on the same file system.
    #[error("the two places are on different disks")]
    OtherDisk,
    /// A folder can't be moved into itself.
    #[error("a folder cannot go into itself")]
    IntoItself,
    /// The path would be longer than the system allows.
    #[error("the path would be too long")]
    TooLong,
    /// Somebody else writes to it right now.
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
            // Only where another file of that name was seen; the callers say which.
            Errno::EXIST | Errno::NOTEMPTY => WriteError::Taken { by: String::new() },
            // FBIG: a limit on the size of files, of the process or the file system.
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => WriteError::NoRoom,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => WriteError::Forbidden(errno.into()),
            Errno::STALE | Errno::NODEV | Errno::NXIO => WriteError::ShareGone,
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
            FileError::Unreadable(source) => WriteError::Failed(source),
        }
    }
}

/// What is left on a share's disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What uploads may take.
    pub free: u64,
    /// The whole disk.
    pub total: u64,
}

/// Uploads leave so much free, or a twentieth of a small disk: databases may lie there too, and a
/// service that can't write down what was used must stop.
const KEPT_FREE: u64 = 256 << 20;

impl Shares {
    /// Makes a folder.
    ///
    /// # Errors
    /// [`WriteError::Taken`] where something of that name, or one that looks alike, is there.
    pub fn make_folder(&self, path: &FilePath) -> Result<(), WriteError> {
        let (parent, name) = self.place(path)?;
        let _turn = self.naming(&parent)?;
        if let Some(by) = look_alike(&parent, name, None)? {
            return Err(WriteError::Taken { by });
        }
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777)).map_err(|errno| taken(errno, name))?;
        Ok(rustix::fs::fsync(&parent)?)
    }

    /// The folder `path`, made with all that lead to it where they are missing. Where a folder that
    /// looks alike is there already, that one is meant; so the answer may be spelt differently.
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

    /// Gives a file or folder another name or place, in this share or another one.
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
        // Somebody who only changes the case of a name is not in his own way.
        let itself = (from.parent() == to.parent()).then_some(old_name);
        if let Some(by) = look_alike(&new, new_name, itself)? {
            return Err(WriteError::Taken { by });
        }
        move_without_replacing(&old, old_name, &new, new_name)
    }

    /// `name`, or the first of its numbered forms that is free in `folder`.
    ///
    /// # Errors
    /// When the folder can't be read.
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

    /// What is left on the disk of a share.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn room(&self, share: &str) -> Result<Room, WriteError> {
        let stat = rustix::fs::fstatvfs(self.root(share)?)?;
        let (free, total) =
            (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize));
        Ok(Room { free: free.saturating_sub(KEPT_FREE.min(total / 20)), total })
    }

    /// Whether a folder is on the same file system as its share's root: only then can a file be put
    /// there in one step.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn is_on_share_disk(&self, folder: &FilePath) -> Result<bool, WriteError> {
        let handle = self.beneath(folder, OFlags::DIRECTORY, ResolveFlags::empty())?;
        let root = rustix::fs::fstat(self.root(folder.share())?)?;
        Ok(rustix::fs::fstat(handle)?.st_dev == root.st_dev)
    }

    /// The names of all shares.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.by_name.keys().map(String::as_str)
    }

    pub(super) fn root(&self, share: &str) -> Result<&OwnedFd, WriteError> {
        let root = self.0.by_name.get(share).ok_or(WriteError::Missing)?;
        // A folder that was removed, replaced or unmounted lives on for who holds it, and so does one
        // that a disk was mounted over; but nobody would find again what is put in.
        let held = rustix::fs::fstat(&root.handle)?;
        match rustix::fs::stat(&root.path) {
            Ok(there) if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino) => Ok(&root.handle),
            _ => Err(WriteError::ShareGone),
        }
    }

    /// The folder that holds `path`, opened, and the name there. A share's root has none.
    pub(super) fn place<'p>(&self, path: &'p FilePath) -> Result<(OwnedFd, &'p str), WriteError> {
        self.root(path.share())?;
        let parent = path.parent().ok_or(WriteError::Missing)?;
        Ok((self.beneath(&parent, OFlags::DIRECTORY, ResolveFlags::empty())?, path.name()))
    }

    /// The turn to take a name in `folder`.
    pub(super) fn naming(
        &self,
        folder: &OwnedFd,
    ) -> Result<Option<std::sync::MutexGuard<'_, ()>>, WriteError> {
        Ok(self.0.naming.of(folder)?)
    }

    /// Whether something stands at `path`, and which inode it has; `None` where nothing does. A symlink
    /// counts by itself.
    ///
    /// # Errors
    /// When the share or its disk does not answer.
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

/// The folder `.oncelink/{name}` of a share, made where it is missing. Never by a symlink, whoever
/// may have put one there.
pub(super) fn own_folder(root: &OwnedFd, name: &str) -> Result<OwnedFd, WriteError> {
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

/// Renames in one step that fails where the new name is taken, and puts both folders on the disk.
pub(super) fn move_without_replacing(
    old: &OwnedFd,
    old_name: &str,
    new: &OwnedFd,
    new_name: &str,
) -> Result<(), WriteError> {
    match rustix::fs::renameat_with(old, old_name, new, new_name, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // A file system without NOREPLACE: a second name fails where it is taken, too, but folders
        // can't have one.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(old, old_name, new, new_name, AtFlags::empty())
                .map_err(|errno| taken(errno, new_name))?;
            rustix::fs::unlinkat(old, old_name, AtFlags::empty())?;
        }
        Err(errno) => return Err(taken(errno, new_name)),
    }
    rustix::fs::fsync(new)?;
    Ok(rustix::fs::fsync(old)?)
}

fn taken(errno: Errno, name: &str) -> WriteError {
    match WriteError::from(errno) {
        WriteError::Taken { .. } => WriteError::Taken { by: name.to_owned() },
        other => other,
    }
}

/// What is in `folder` that looks like `name`, but for `itself`.
pub(super) fn look_alike(
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
