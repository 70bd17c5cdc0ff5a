//! Creates folders, renames and moves. Nothing is ever replaced: a name is taken in one step
//! that fails if it is already taken. A success means that the change is on disk, because folders are
//! fsynced.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, RenameFlags};
use rustix::io::Errno;

use crate::files::renames;
use crate::id::FilePath;
use crate::web::shares::disk::error::WriteError;
use crate::web::shares::disk::writable::WritableShares;
use crate::web::shares::name::{FileName, fold_name};

impl WritableShares {
    /// Creates a folder.
    ///
    /// # Errors
    /// [`WriteError::Taken`] if the name, or a similar one, is taken.
    pub fn make_folder(&self, path: &FilePath) -> Result<(), WriteError> {
        let (parent, name) = self.place(path)?;
        let _turn = self.naming(&parent)?;
        if let Some(by) = find_confusable(&parent, name, None)? {
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
    pub fn make_folders(&self, path: &FilePath) -> Result<FilePath, WriteError> {
        let mut names = path.components();
        let mut folder: FilePath = format!("/{}", names.next().unwrap_or_default()).parse()?;
        for name in names {
            let next = folder.join(name)?;
            folder = match self.make_folder(&next) {
                Ok(()) => next,
                Err(WriteError::Taken { by }) => {
                    let there = folder.join(&by)?;
                    self.folder(&there).map_err(|_| WriteError::Taken { by })?;
                    there
                }
                Err(other) => return Err(other),
            };
        }
        Ok(folder)
    }

    /// Creates an account's own folder if it doesn't exist yet.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn make_home(&self, home: &FilePath) -> Result<(), WriteError> {
        match self.folder(home) {
            Err(WriteError::Missing) => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
        match self.make_folder(home) {
            // Another request was faster.
            Err(WriteError::Taken { by }) if by == home.name() => Ok(()),
            made => made,
        }
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
        if let Some(by) = find_confusable(&new, new_name, itself)? {
            return Err(WriteError::Taken { by });
        }
        move_without_replacing(&old, old_name, &new, new_name)
    }

    /// Returns `name`, or its first numbered variant that is free in `folder`.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn free_name(&self, folder: &FilePath, name: &FileName) -> Result<FileName, WriteError> {
        let handle = self.folder(folder)?;
        let looks = folded_names(&handle)?;
        let mut free = name.clone();
        let mut number = 1;
        while looks.contains(&fold_name(free.as_str())) {
            number += 1;
            free = name.numbered(number);
        }
        Ok(free)
    }
}

/// Renames in one step that fails if the new name is taken, and syncs both folders to disk.
pub(super) fn move_without_replacing(
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
pub(super) fn find_confusable(
    folder: &OwnedFd,
    name: &str,
    itself: Option<&str>,
) -> Result<Option<String>, WriteError> {
    let wanted = fold_name(name);
    for item in Dir::read_from(folder.as_fd())? {
        let item = item?;
        let Ok(there) = item.file_name().to_str() else { continue };
        if Some(there) != itself && fold_name(there) == wanted {
            return Ok(Some(there.to_owned()));
        }
    }
    Ok(None)
}

fn folded_names(folder: &OwnedFd) -> Result<std::collections::BTreeSet<String>, WriteError> {
    let mut looks = std::collections::BTreeSet::new();
    for item in Dir::read_from(folder.as_fd())? {
        looks.extend(item?.file_name().to_str().map(fold_name));
    }
    Ok(looks)
}
