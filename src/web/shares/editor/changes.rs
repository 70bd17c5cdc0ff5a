//! Creates, renames and moves files and folders, and moves them to the trash and back. Every function needs a
//! right from [`crate::web::shares::rights`].

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::secret::Secret;
use crate::web::audit::{Actor, AuditEvent};
use crate::web::identity::Account;
use crate::web::shares::disk::{WritableShares, WriteError};
use crate::web::shares::editor::intents::Intent;
use crate::web::shares::editor::manage::ShareEditor;
use crate::web::shares::editor::trashed::TrashEntry;
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::shares::name::FileName;
use crate::web::shares::rights::{Manageable, Writable};

/// How many names are tried if others keep taking them between the check and the change.
const TRIES: usize = 10;

impl ShareEditor {
    /// Creates a folder in `folder`, and returns its path.
    ///
    /// # Errors
    /// [`StorageError::Taken`] if the name is taken.
    pub async fn new_folder(
        &self,
        folder: &Writable,
        name: &FileName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        let path = folder.path().join(name.as_str())?;
        self.make_home(folder).await?;
        let _turns = self.lock_shares([path.share()]).await?;
        // A folder that already exists wasn't created by this operation, but its intent couldn't tell the
        // difference.
        let (shares, looked_at) = (self.shares.clone(), path.clone());
        if on_disk(move || shares.inode(&looked_at)).await?.is_some() {
            return Err(StorageError::Taken { by: name.as_str().to_owned() });
        }
        let target = path.as_str().to_owned();
        let intent =
            Intent { source: target.clone(), target, ..Intent::new(AuditEvent::FolderMade, actor, now)? };
        self.carry_out(&intent, None, now).await?;
        Ok(path)
    }

    /// Creates a folder in `folder` with this name, or the first numbered variant of it that is free, and returns
    /// its path.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn new_folder_like(
        &self,
        folder: &Writable,
        name: &FileName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        self.make_home(folder).await?;
        let mut taken = StorageError::Busy;
        for _ in 0..TRIES {
            let (shares, place, wanted) = (self.shares.clone(), folder.path().clone(), name.clone());
            let free = on_disk(move || shares.free_name(&place, &wanted)).await?;
            match self.new_folder(folder, &free, actor, now).await {
                Err(error @ StorageError::Taken { .. }) => taken = error,
                made => return made,
            }
        }
        Err(taken)
    }

    /// Renames a file or folder, and returns its new path.
    ///
    /// # Errors
    /// [`StorageError::Taken`] if the name is taken; nothing is ever replaced.
    pub async fn rename(
        &self,
        what: &Manageable,
        name: &FileName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        let folder = what.path().parent().ok_or(StorageError::Missing)?;
        self.change(what.path(), folder.join(name.as_str())?, AuditEvent::FileRenamed, actor, now).await
    }

    /// Moves a file or folder into `folder`, keeping its name, and returns its new path.
    ///
    /// # Errors
    /// [`StorageError::Taken`] if the name is taken there; [`StorageError::OtherDisk`] if it would have to be
    /// copied.
    pub async fn move_to(
        &self,
        what: &Manageable,
        folder: &Writable,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        self.make_home(folder).await?;
        self.change(what.path(), folder.path().join(what.path().name())?, AuditEvent::FileMoved, actor, now)
            .await
    }

    /// Creates the account's own folder if `folder` is in it and it doesn't exist yet.
    async fn make_home(&self, folder: &Writable) -> Result<(), StorageError> {
        let Some(home) = folder.home().cloned() else { return Ok(()) };
        let shares = self.shares.clone();
        on_disk(move || shares.make_home(&home)).await
    }

    async fn change(
        &self,
        from: &FilePath,
        to: FilePath,
        event: AuditEvent,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        if *from == to {
            return Ok(to);
        }
        let _turns = self.lock_shares([from.share(), to.share()]).await?;
        let (shares, source) = (self.shares.clone(), from.clone());
        let inode = on_disk(move || shares.inode(&source)).await?.ok_or(StorageError::Missing)?;
        let intent = Intent {
            source: from.as_str().to_owned(),
            target: to.as_str().to_owned(),
            inode: Some(inode),
            ..Intent::new(event, actor, now)?
        };
        self.carry_out(&intent, None, now).await?;
        Ok(to)
    }

    /// Moves a file or folder to the trash. It can be restored until its retention ends.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn trash(
        &self,
        what: &Manageable,
        who: &Account,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<TrashEntry, StorageError> {
        self.move_to_trash(what.path(), who.id.as_str(), actor, now).await
    }

    /// Moves what is at `path` to the trash, for `account`.
    pub(super) async fn move_to_trash(
        &self,
        path: &FilePath,
        account: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<TrashEntry, StorageError> {
        let path = path.clone();
        let _turns = self.lock_shares([path.share()]).await?;
        let (shares, looked_at) = (self.shares.clone(), path.clone());
        let is_folder = on_disk(move || shares.is_folder(&looked_at)).await?;
        let thrown = TrashEntry {
            id: Secret::random::<16>()?.reveal().to_owned(),
            path,
            is_folder,
            account: account.to_owned(),
            trashed_at: now,
            forget_at: now.plus(self.keep),
        };
        let intent = Intent {
            source: thrown.path.as_str().to_owned(),
            trash: thrown.id.clone(),
            ..Intent::new(AuditEvent::FileTrashed, actor, now)?
        };
        self.carry_out(&intent, Some(&thrown), now).await?;
        Ok(thrown)
    }

    /// Restores a file or folder from the trash to its original folder, and returns its path there. If its
    /// name is taken, it gets another one; missing parent folders are created again. `right` is the right to
    /// its original path.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn restore(
        &self,
        thrown: &TrashEntry,
        right: &Manageable,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        covers(right, thrown)?;
        let _turns = self.lock_shares([thrown.share()]).await?;
        let mut taken = StorageError::Busy;
        for _ in 0..TRIES {
            let (shares, back) = (self.shares.clone(), thrown.clone());
            let to = on_disk(move || place_for(&shares, &back)).await?;
            let intent = Intent {
                source: thrown.path.as_str().to_owned(),
                target: to.as_str().to_owned(),
                trash: thrown.id.clone(),
                ..Intent::new(AuditEvent::FileRestored, actor, now)?
            };
            match self.carry_out(&intent, None, now).await {
                Ok(()) => return Ok(to),
                Err(error @ StorageError::Taken { .. }) => taken = error,
                Err(error) => return Err(error),
            }
        }
        Err(taken)
    }

    /// Permanently removes a file or folder from the trash. `right` is the right to its original path.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn purge(
        &self,
        thrown: &TrashEntry,
        right: &Manageable,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        covers(right, thrown)?;
        let intent = Intent {
            source: thrown.path.as_str().to_owned(),
            trash: thrown.id.clone(),
            ..Intent::new(AuditEvent::FileForgotten, actor, now)?
        };
        self.carry_out(&intent, None, now).await
    }
}

/// Returns a path at which something from the trash can be restored: its original path, or a numbered name
/// next to it.
fn place_for(shares: &WritableShares, thrown: &TrashEntry) -> Result<FilePath, WriteError> {
    let folder = thrown.path.parent().ok_or(WriteError::Missing)?;
    let folder = shares.make_folders(&folder)?;
    // Files that the operator created may have names that we wouldn't allow.
    match FileName::typed(thrown.path.name()) {
        Ok(name) => Ok(folder.join(shares.free_name(&folder, &name)?.as_str())?),
        Err(_) => Ok(thrown.path.clone()),
    }
}

/// Refuses a right that was granted for another path.
fn covers(right: &Manageable, thrown: &TrashEntry) -> Result<(), StorageError> {
    if *right.path() == thrown.path { Ok(()) } else { Err(StorageError::Missing) }
}
