//! Carries an act on files to its end, in this order, so that a crash between any two steps leaves
//! nothing that the next start can't settle: the intent is on record; the disk is changed in one step;
//! what the database says of it is changed, with the line in the audit log, and the intent is gone.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{FilePath, InvalidFilePath};
use crate::telemetry::chain;
use crate::web::audit::{self, AuditEvent};
use crate::web::shares::digests;
use crate::web::shares::disk::{WritableShares, WriteError};
use crate::web::shares::editor::intents::{self, Intent};
use crate::web::shares::editor::manage::ShareEditor;
use crate::web::shares::editor::trashed::{self, TrashEntry, trash_place};
use crate::web::shares::error::{StorageError, on_disk};

/// An intent that was found undone stays for so long: its process may still live, and do it.
const UNDONE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a look at the disk says of an act that may have been cut off.
enum DiskState {
    Done,
    NotDone,
}

impl ShareEditor {
    /// Carries an act out. `row` is what the trash is to say of it.
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
            // What lies in the trash without a row could never be had back.
            trashed::insert(&mut transaction, thrown).await?;
        }
        self.db.commit(transaction).await?;
        let (shares, act) = (self.shares.clone(), intent.clone());
        match on_disk(move || perform(&shares, &act)).await {
            Ok(()) => self.record(intent, now).await,
            Err(error) => {
                // It may have been done all the same, as when only the folder could not be put on disk.
                match self.inspect_disk(intent, false).await? {
                    DiskState::Done => self.record(intent, now).await?,
                    DiskState::NotDone => self.withdraw(intent).await?,
                }
                Err(error)
            }
        }
    }

    /// Finishes or undoes what was cut off; returns how much that was. What can't be settled now, as
    /// when a share is not there, is tried again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle(&self, now: Timestamp) -> Result<usize, StorageError> {
        self.intents.prune(now.minus(UNDONE_KEPT)).await?;
        let mut settled = 0;
        for intent in self.intents.unattended().await? {
            match self.settle_one(&intent, now).await {
                Ok(()) => settled += 1,
                Err(StorageError::Query(error)) => return Err(error.into()),
                Err(error) => {
                    let cause = chain(&error);
                    tracing::warn!(act = intent.event.as_str(), cause, "an act on files waits to be settled");
                }
            }
        }
        Ok(settled)
    }

    async fn settle_one(&self, intent: &Intent, now: Timestamp) -> Result<(), StorageError> {
        if intent.event == AuditEvent::FileForgotten {
            // Half of it may be gone: it can only be finished.
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

    /// Whether the act was done. One that was `cut_off` some time ago may have been followed by others.
    async fn inspect_disk(&self, intent: &Intent, cut_off: bool) -> Result<DiskState, StorageError> {
        let (shares, act) = (self.shares.clone(), intent.clone());
        on_disk(move || {
            let is_done = is_done(&shares, &act, cut_off)?;
            Ok::<_, WriteError>(if is_done { DiskState::Done } else { DiskState::NotDone })
        })
        .await
    }

    /// Nothing was done: nothing is to be seen of the intent either.
    async fn withdraw(&self, intent: &Intent) -> Result<(), StorageError> {
        let mut transaction = self.db.begin().await?;
        if intent.event == AuditEvent::FileTrashed {
            trashed::delete(&mut transaction, &intent.trash).await?;
        }
        intents::close(&mut transaction, &intent.id).await?;
        Ok(self.db.commit(transaction).await?)
    }

    /// Records what was done to the disk, once.
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
                    // Pressed twice: it is told of once.
                    return Ok(self.db.commit(transaction).await?);
                }
                source.to_owned()
            }
        };
        audit::append(&mut transaction, &intent.actor, intent.event, &subject, now).await?;
        Ok(self.db.commit(transaction).await?)
    }
}

/// Does to the disk what the intent says.
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
            // A share that is not served any more took its trash with it.
            Err(WriteError::Missing) => Ok(()),
            removed => removed,
        },
        _ => Ok(()),
    }
}

/// Whether the disk is as the act would leave it.
fn is_done(shares: &WritableShares, act: &Intent, cut_off: bool) -> Result<bool, WriteError> {
    let share = share_of(&act.source);
    match act.event {
        AuditEvent::FileRenamed | AuditEvent::FileMoved => {
            let (there, here) = (shares.inode(&path(&act.target)?)?, shares.inode(&path(&act.source)?)?);
            // What is no longer where it was has been moved, even if somebody has moved it on since.
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

/// The share of a file path in text form.
fn share_of(path: &str) -> &str {
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}
