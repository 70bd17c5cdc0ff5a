//! The editor that changes shares, and its lock for each share.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::web::db::Database;
use crate::web::shares::disk::WritableShares;
use crate::web::shares::editor::intents::Intents;
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::Rights;

/// How long an operation waits for others in the same share.
const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// Changes what is in shares. Cheap to clone.
#[derive(Clone)]
pub struct ShareEditor {
    pub(super) db: Database,
    pub(super) shares: WritableShares,
    pub(super) rights: Arc<Rights>,
    pub(super) keep: Duration,
    pub(super) intents: Intents,
    /// Operations in a share run one after another, so that the database records them in the order in which
    /// the disk was changed.
    locks: Arc<DashMap<String, Arc<Mutex<()>>>>,
}

impl ShareEditor {
    /// Changes `shares`, and keeps what is moved to the trash for `keep`. `rights` say which links may follow a
    /// file that is moved.
    pub fn new(db: Database, shares: WritableShares, rights: Rights, keep: Duration) -> ShareEditor {
        ShareEditor {
            intents: Intents::new(db.clone()),
            db,
            shares,
            rights: Arc::new(rights),
            keep,
            locks: Arc::default(),
        }
    }

    /// Returns how long entries in the trash can be restored.
    pub const fn retention(&self) -> Duration {
        self.keep
    }

    /// Returns the shares that it changes.
    pub const fn shares(&self) -> &WritableShares {
        &self.shares
    }

    /// Locks these shares for changes.
    pub(super) async fn lock_shares<const N: usize>(
        &self,
        shares: [&str; N],
    ) -> Result<Vec<OwnedMutexGuard<()>>, StorageError> {
        // Always in the same order, so that no two operations wait for each other.
        let mut names = shares.to_vec();
        names.sort_unstable();
        names.dedup();
        let mut held = Vec::new();
        for name in names {
            if !self.shares.has(name) {
                return Err(StorageError::Missing);
            }
            let turn = Arc::clone(&self.locks.entry(name.to_owned()).or_default());
            let waiting = tokio::time::timeout(TURN_PATIENCE, turn.lock_owned());
            held.push(waiting.await.map_err(|_| StorageError::Busy)?);
        }
        Ok(held)
    }
}
