//! New folders, other names and places, and the trash from which things come back until their time is over.
//! Sees nothing without a right from [`crate::web::shares::rights`].

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

/// How often another name is tried when one is taken between looking and taking.
const TRIES: usize = 10;

impl ShareEditor {
    /// Makes a folder in `folder`, and returns its path.
    ///
    /// # Errors
    /// [`StorageError::Taken`] where something of that name is there.
    pub async fn new_folder(
        &self,
        folder: &Writable,
        name: &FileName,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        let path = folder.path().join(name.as_str())?;
        let _turns = self.lock_shares([path.share()]).await?;
        // What is there already was not made by this act: its intent would not tell the two apart.
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

    /// Gives a file or folder another name, and returns its new path.
    ///
    /// # Errors
    /// [`StorageError::Taken`] where something of that name is there; nothing is ever replaced.
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

    /// Moves a file or folder into `folder` under the name that it has, and returns its new path.
    ///
    /// # Errors
    /// [`StorageError::Taken`] where something of that name is there; [`StorageError::OtherDisk`] where
    /// that would be a copy.
    pub async fn move_to(
        &self,
        what: &Manageable,
        folder: &Writable,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        self.change(what.path(), folder.path().join(what.path().name())?, AuditEvent::FileMoved, actor, now)
            .await
    }

    async fn change(
        &self,
        from: &FilePath,
        to: FilePath,
        deed: AuditEvent,
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
            ..Intent::new(deed, actor, now)?
        };
        self.carry_out(&intent, None, now).await?;
        Ok(to)
    }

    /// Throws a file or folder away. It can be had back until its time is over.
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
        let path = what.path().clone();
        let _turns = self.lock_shares([path.share()]).await?;
        let (shares, looked_at) = (self.shares.clone(), path.clone());
        let is_folder = on_disk(move || shares.is_folder(&looked_at)).await?;
        let thrown = TrashEntry {
            id: Secret::random::<16>()?.reveal().to_owned(),
            path,
            is_folder,
            account: who.id.as_str().to_owned(),
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

    /// Puts something back where it was, under another name if its own is taken by now; folders that
    /// led there are made again where they are gone. `right` is the right to where it was. Returns
    /// where it is.
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

    /// Removes something from the trash for good. `right` is the right to where it was.
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

/// Where something from the trash can go: to where it was, or beside it.
fn place_for(shares: &WritableShares, thrown: &TrashEntry) -> Result<FilePath, WriteError> {
    let folder = thrown.path.parent().ok_or(WriteError::Missing)?;
    let folder = shares.make_folders(&folder)?;
    // Names that the operator gave need not be ones that we would give.
    match FileName::typed(thrown.path.name()) {
        Ok(name) => Ok(folder.join(shares.free_name(&folder, &name)?.as_str())?),
        Err(_) => Ok(thrown.path.clone()),
    }
}

/// A right to one thing is none to another.
fn covers(right: &Manageable, thrown: &TrashEntry) -> Result<(), StorageError> {
    if *right.path() == thrown.path { Ok(()) } else { Err(StorageError::Missing) }
}
