//! What was thrown away: moved into `.oncelink/trash` of its share under an id, from where it can come
//! back, or be gone for good.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::write::{WriteError, move_without_replacing, own_folder};
use super::{Shares, open_beneath};
use crate::clock::Timestamp;
use crate::id::FilePath;

/// The folder's name.
const TRASH: &str = "trash";

impl Shares {
    /// Takes a file or folder out of its share.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn throw_away(&self, path: &FilePath, id: &str) -> Result<(), WriteError> {
        let (place, name) = self.place(path)?;
        let trash = own_folder(self.root(path.share())?, TRASH)?;
        move_without_replacing(&place, name, &trash, id)
    }

    /// Puts back what was thrown away.
    ///
    /// # Errors
    /// [`WriteError::Taken`] where the name is taken; it stays in the trash then.
    pub fn put_back(&self, share: &str, id: &str, to: &FilePath) -> Result<(), WriteError> {
        let trash = own_folder(self.root(share)?, TRASH)?;
        let (place, name) = self.place(to)?;
        let _turn = self.naming(&place)?;
        if let Some(by) = super::write::look_alike(&place, name, None)? {
            return Err(WriteError::Taken { by });
        }
        move_without_replacing(&trash, id, &place, name)
    }

    /// Removes what was thrown away for good, with all in it. Symlinks are removed, never followed.
    /// What is gone already is no error.
    ///
    /// # Errors
    /// See [`WriteError`]; what is left can be removed by another call.
    pub fn remove_thrown(&self, share: &str, id: &str) -> Result<(), WriteError> {
        let trash = own_folder(self.root(share)?, TRASH)?;
        // Folders within are moved up beside it before they are emptied, so that the deepest tree
        // takes no more handles than a flat one.
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

    /// The names of all that lies in a share's trash, each with the moment at which it got there. Makes
    /// nothing.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn all_thrown(&self, share: &str) -> Result<Vec<(String, Timestamp)>, WriteError> {
        let Some(trash) = self.trash_if_any(share)? else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for item in Dir::read_from(trash.as_fd())? {
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            // A rename changes an inode's change time, and nothing but a rename brings anything here.
            if let Ok(stat) = rustix::fs::statat(&trash, name, AtFlags::SYMLINK_NOFOLLOW) {
                let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
                all.push((name.to_owned(), Timestamp::from_secs(seconds)));
            }
        }
        Ok(all)
    }

    /// Whether something of that id lies in the trash.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn is_thrown(&self, share: &str, id: &str) -> Result<bool, WriteError> {
        let Some(trash) = self.trash_if_any(share)? else { return Ok(false) };
        match rustix::fs::statat(&trash, id, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether `path` is a folder itself, not a symlink to one.
    ///
    /// # Errors
    /// [`WriteError::Missing`] where nothing is there.
    pub fn is_folder(&self, path: &FilePath) -> Result<bool, WriteError> {
        let (place, name) = self.place(path)?;
        let stat = rustix::fs::statat(&place, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    fn trash_if_any(&self, share: &str) -> Result<Option<OwnedFd>, WriteError> {
        let path = format!(".oncelink/{TRASH}");
        match open_beneath(self.root(share)?, &path, OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS) {
            Ok(trash) => Ok(Some(trash)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
