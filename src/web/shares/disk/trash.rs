//! Deleted files: moved to `.oncelink/trash` of their share under an id, from where they can be restored or
//! purged.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::clock::Timestamp;
use crate::files::open_beneath;
use crate::id::FilePath;
use crate::web::shares::disk::error::WriteError;
use crate::web::shares::disk::writable::{WritableShares, service_folder};
use crate::web::shares::disk::write::{find_confusable, move_without_replacing};

/// The folder's name.
const TRASH: &str = "trash";

impl WritableShares {
    /// Moves a file or folder to the trash.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn move_to_trash(&self, path: &FilePath, id: &str) -> Result<(), WriteError> {
        let (place, name) = self.place(path)?;
        let trash = service_folder(&self.root(path.share())?, TRASH)?;
        move_without_replacing(&place, name, &trash, id)
    }

    /// Restores a file or folder from the trash.
    ///
    /// # Errors
    /// [`WriteError::Taken`] if the name is taken; it then stays in the trash.
    pub fn restore_from_trash(&self, share: &str, id: &str, to: &FilePath) -> Result<(), WriteError> {
        let trash = service_folder(&self.root(share)?, TRASH)?;
        let (place, name) = self.place(to)?;
        let _turn = self.naming(&place)?;
        if let Some(by) = find_confusable(&place, name, None)? {
            return Err(WriteError::Taken { by });
        }
        move_without_replacing(&trash, id, &place, name)
    }

    /// Permanently removes an entry with everything in it. Symlinks are removed, never followed. It isn't an
    /// error if it is already gone.
    ///
    /// # Errors
    /// See [`WriteError`]; another call can remove the rest.
    pub fn purge(&self, share: &str, id: &str) -> Result<(), WriteError> {
        let trash = service_folder(&self.root(share)?, TRASH)?;
        // Subfolders are moved up next to it before they are emptied, so that a deep tree needs no more
        // handles than a flat one.
        let mut folders = VecDeque::from([id.to_owned()]);
        let mut moved = 0_u64;
        while let Some(name) = folders.pop_front() {
            match rustix::fs::unlinkat(&trash, name.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(errno) => return Err(errno.into()),
            }
            let folder = open_beneath(&trash, &name, OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS)?;
            for item in Dir::read_from(folder.as_fd())? {
                let item = item?;
                let inner = item.file_name();
                if matches!(inner.to_bytes(), b"." | b"..") {
                    continue;
                }
                match rustix::fs::unlinkat(&folder, inner, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(Errno::ISDIR | Errno::PERM) => {
                        let beside = loop {
                            moved += 1;
                            let beside = format!("{id}.{moved}");
                            match rustix::fs::statat(&trash, beside.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                                Err(Errno::NOENT) => break beside,
                                _ => folders.push_back(beside),
                            }
                        };
                        rustix::fs::renameat(&folder, inner, &trash, beside.as_str())?;
                        folders.push_back(beside);
                    }
                    Err(errno) => return Err(errno.into()),
                }
            }
            rustix::fs::unlinkat(&trash, name.as_str(), AtFlags::REMOVEDIR)?;
        }
        Ok(rustix::fs::fsync(&trash)?)
    }

    /// Returns the ids of all entries in a share's trash, each with the time when it was deleted. Creates
    /// nothing.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn trash_ids(&self, share: &str) -> Result<Vec<(String, Timestamp)>, WriteError> {
        let Some(trash) = self.trash_if_any(share)? else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for item in Dir::read_from(trash.as_fd())? {
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            // A rename changes an inode's change time, and entries get here only by a rename.
            if let Ok(stat) = rustix::fs::statat(&trash, name, AtFlags::SYMLINK_NOFOLLOW) {
                let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
                all.push((name.to_owned(), Timestamp::from_secs(seconds)));
            }
        }
        Ok(all)
    }

    /// Returns whether the trash contains this id.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn is_in_trash(&self, share: &str, id: &str) -> Result<bool, WriteError> {
        let Some(trash) = self.trash_if_any(share)? else { return Ok(false) };
        match rustix::fs::statat(&trash, id, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn trash_if_any(&self, share: &str) -> Result<Option<OwnedFd>, WriteError> {
        let path = format!(".oncelink/{TRASH}");
        match open_beneath(&self.root(share)?, &path, OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS) {
            Ok(trash) => Ok(Some(trash)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
