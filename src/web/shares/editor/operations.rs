//! Carries out operations on files. The order of steps ensures that a crash between any two of them leaves
//! nothing that the next start can't settle:
//! 1. Record the intent.
//! 2. Change the disk in one step.
//! 3. In one transaction, update the database (the links to the file, too), append to the audit log and delete
//!    the intent.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{FilePath, InvalidFilePath};
use crate::telemetry::chain;
use crate::web::audit::{self, AuditEvent};
use crate::web::shares::digests;
use crate::web::shares::disk::{WritableShares, WriteError};
use crate::web::shares::editor::intents::{self, Intent};
use crate::web::shares::editor::link_paths;
use crate::web::shares::editor::manage::ShareEditor;
use crate::web::shares::editor::request_paths;
use crate::web::shares::editor::trashed::{self, TrashEntry, trash_place};
use crate::web::shares::error::{StorageError, on_disk};

/// How long intents are kept that were found not carried out, because their process may still be alive and
/// carry them out.
const UNDONE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What the disk says about an operation that may have been interrupted.
enum DiskState {
    Done,
    NotDone,
}

impl ShareEditor {
    /// Carries out an operation. `row` is the trash entry to insert.
    pub(crate) async fn carry_out(
        &self,
        intent: &Intent,
        row: Option<&TrashEntry>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let _running = self.intents.mark_running(intent);
        let mut transaction = self.db.begin().await?;
        intents::insert(&mut transaction, intent).await?;
        if let Some(thrown) = row {
            // Without a row, an entry in the trash could never be restored.
            trashed::insert(&mut transaction, thrown).await?;
        }
        self.db.commit(transaction).await?;
        let (shares, act) = (self.shares.clone(), intent.clone());
        match on_disk(move || perform(&shares, &act)).await {
            Ok(()) => self.record(intent, now).await,
            Err(error) => {
                // It may have been carried out despite the error, for example if only the sync of the folder
                // failed.
                match self.inspect_disk(intent, false).await? {
                    DiskState::Done => self.record(intent, now).await?,
                    DiskState::NotDone => self.withdraw(intent).await?,
                }
                Err(error)
            }
        }
    }

    /// Finishes or undoes interrupted operations, and returns how many. Those that can't be settled now, for
    /// example because a share is unavailable, are tried again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn settle(&self, now: Timestamp) -> Result<usize, StorageError> {
        self.intents.prune(now.minus(UNDONE_KEPT)).await?;
        let mut settled = 0;
        for intent in self.intents.unattended().await? {
            match self.settle_one(&intent, now).await {
                Ok(()) => settled += 1,
                Err(StorageError::Query(error)) => return Err(error.into()),
                Err(error) => {
                    let cause = chain(&error);
                    tracing::warn!(
                        act = intent.event.as_str(),
                        cause,
                        "an interrupted file operation can't be settled yet and will be tried again"
                    );
                }
            }
        }
        Ok(settled)
    }

    async fn settle_one(&self, intent: &Intent, now: Timestamp) -> Result<(), StorageError> {
        if intent.event == AuditEvent::FileForgotten {
            // It may be partly removed, so it can only be finished.
            let (shares, act) = (self.shares.clone(), intent.clone());
            on_disk(move || perform(&shares, &act)).await?;
            return self.record(intent, now).await;
        }
        match self.inspect_disk(intent, true).await? {
            DiskState::Done => self.record(intent, now).await,
            DiskState::NotDone => {
                let mut transaction = self.db.begin().await?;
                if intent.event == AuditEvent::FileTrashed {
                    trashed::delete(&mut transaction, &intent.trash).await?;
                }
                intents::mark_undone(&mut transaction, &intent.id).await?;
                Ok(self.db.commit(transaction).await?)
            }
        }
    }

    /// Returns whether the operation was carried out. If it was interrupted some time ago (`cut_off`), other
    /// operations may have followed it.
    async fn inspect_disk(&self, intent: &Intent, cut_off: bool) -> Result<DiskState, StorageError> {
        let (shares, act) = (self.shares.clone(), intent.clone());
        on_disk(move || {
            let is_done = is_done(&shares, &act, cut_off)?;
            Ok::<_, WriteError>(if is_done { DiskState::Done } else { DiskState::NotDone })
        })
        .await
    }

    /// Removes all records of an intent that wasn't carried out.
    async fn withdraw(&self, intent: &Intent) -> Result<(), StorageError> {
        let mut transaction = self.db.begin().await?;
        if intent.event == AuditEvent::FileTrashed {
            trashed::delete(&mut transaction, &intent.trash).await?;
        }
        intents::close(&mut transaction, &intent.id).await?;
        Ok(self.db.commit(transaction).await?)
    }

    /// Records the result of an operation, once.
    async fn record(&self, intent: &Intent, now: Timestamp) -> Result<(), StorageError> {
        let (source, target) = (intent.source.as_str(), intent.target.as_str());
        let in_trash = trash_place(share_of(source), &intent.trash);
        let mut transaction = self.db.begin().await?;
        if !intents::close(&mut transaction, &intent.id).await? {
            return Ok(());
        }
        let subject = match intent.event {
            AuditEvent::FileRenamed | AuditEvent::FileMoved => {
                digests::moved(&mut transaction, source, target, share_of(target)).await?;
                link_paths::follow(&mut transaction, &self.rights, source, &path(target)?).await?;
                request_paths::follow(&mut transaction, &self.rights, source, &path(target)?).await?;
                // Only its owner can move anything into their own folder, and only they could delete it there.
                if self.shares.personal().as_deref() == Some(share_of(target))
                    && share_of(source) != share_of(target)
                {
                    digests::charge(&mut transaction, target, &intent.actor.id).await?;
                }
                format!("{source} → {target}")
            }
            AuditEvent::FileTrashed => {
                digests::moved(&mut transaction, source, &in_trash, share_of(source)).await?;
                source.to_owned()
            }
            AuditEvent::FileRestored => {
                digests::moved(&mut transaction, &in_trash, target, share_of(target)).await?;
                trashed::delete(&mut transaction, &intent.trash).await?;
                target.to_owned()
            }
            AuditEvent::FolderMade => {
                let maker = crate::web::identity::AccountId::from_store(&intent.actor.id);
                digests::count_folder(&mut transaction, target, share_of(target), &maker).await?;
                target.to_owned()
            }
            _ => {
                digests::forget(&mut transaction, &in_trash).await?;
                if !trashed::delete(&mut transaction, &intent.trash).await? {
                    // The user clicked twice; the audit log gets one line.
                    return Ok(self.db.commit(transaction).await?);
                }
                source.to_owned()
            }
        };
        audit::append(&mut transaction, &intent.actor, intent.event, &subject, now).await?;
        Ok(self.db.commit(transaction).await?)
    }
}

/// Changes the disk as the intent says.
fn perform(shares: &WritableShares, act: &Intent) -> Result<(), WriteError> {
    match act.event {
        AuditEvent::FileRenamed | AuditEvent::FileMoved => {
            shares.rename(&path(&act.source)?, &path(&act.target)?)
        }
        AuditEvent::FileTrashed => shares.move_to_trash(&path(&act.source)?, &act.trash),
        AuditEvent::FileRestored => {
            shares.restore_from_trash(share_of(&act.source), &act.trash, &path(&act.target)?)
        }
        AuditEvent::FolderMade => shares.make_folder(&path(&act.target)?),
        AuditEvent::FileForgotten => match shares.purge(share_of(&act.source), &act.trash) {
            // The share is no longer served, and its trash is gone with it.
            Err(WriteError::Missing) => Ok(()),
            removed => removed,
        },
        _ => Ok(()),
    }
}

/// Returns whether the disk is in the state that the operation leads to.
fn is_done(shares: &WritableShares, act: &Intent, cut_off: bool) -> Result<bool, WriteError> {
    let share = share_of(&act.source);
    match act.event {
        AuditEvent::FileRenamed | AuditEvent::FileMoved => {
            let (there, here) = (shares.inode(&path(&act.target)?)?, shares.inode(&path(&act.source)?)?);
            // If it's no longer at its source, it was moved, even if someone has moved it again since.
            Ok((act.inode.is_some() && there == act.inode) || (cut_off && here.is_none()))
        }
        AuditEvent::FileTrashed => shares.is_in_trash(share, &act.trash),
        AuditEvent::FileRestored => {
            Ok(!shares.is_in_trash(share, &act.trash)? && shares.inode(&path(&act.target)?)?.is_some())
        }
        AuditEvent::FolderMade => match shares.is_folder(&path(&act.target)?) {
            Err(WriteError::Missing) => Ok(false),
            answer => answer,
        },
        _ => Ok(false),
    }
}

fn path(text: &str) -> Result<FilePath, InvalidFilePath> {
    text.parse()
}

/// Returns the share of a file path in text form.
fn share_of(path: &str) -> &str {
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}
