//! The files of deleted accounts: their own folders go to the trash, from which only the operator can still take
//! them before their retention ends.

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::telemetry::chain;
use crate::web::audit::Actor;
use crate::web::db::QueryError;
use crate::web::identity::{Account, AccountId};
use crate::web::shares::editor::manage::ShareEditor;
use crate::web::shares::error::{StorageError, on_disk};

/// Maximum number of folders that are moved in one round.
const AT_ONCE: i64 = 100;

/// Records, in the transaction that deletes an account, that its own folder must go to the trash.
///
/// # Errors
/// If the database fails.
pub(crate) async fn mark_departed(
    transaction: &mut Transaction<'static, Any>,
    account: &AccountId,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO departed_accounts (account) VALUES ($1) ON CONFLICT (account) DO NOTHING")
        .bind(account.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

impl ShareEditor {
    /// Moves the own folders of deleted accounts to the trash, and returns how many.
    ///
    /// # Errors
    /// If the database fails. A folder that can't be moved now is logged and tried again.
    pub async fn trash_departed(&self, now: Timestamp) -> Result<usize, StorageError> {
        // Without a personal share, the accounts are kept: their folders may be served again later.
        let Some(share) = self.shares.personal() else { return Ok(0) };
        let accounts: Vec<String> =
            sqlx::query_scalar("SELECT account FROM departed_accounts ORDER BY account LIMIT $1")
                .bind(AT_ONCE)
                .fetch_all(self.db.reader())
                .await?;
        let mut moved = 0;
        for account in accounts {
            let home = format!("/{share}").parse::<FilePath>()?.join(&account)?;
            match self.trash_home(&home, &account, now).await {
                Ok(was_there) => moved += usize::from(was_there),
                Err(StorageError::Query(error)) => return Err(error.into()),
                Err(error) => {
                    let cause = chain(&error);
                    tracing::warn!(account, cause, "cannot move the files of a deleted account to the trash");
                    continue;
                }
            }
            self.forget_departed(&account).await?;
        }
        Ok(moved)
    }

    /// Moves a file or folder in an account's own folder to the trash, because its owner once said so. It isn't an
    /// error if it is already gone.
    ///
    /// # Errors
    /// [`StorageError::Missing`] if it isn't in the account's own folder.
    pub async fn trash_own(
        &self,
        owner: &Account,
        path: &FilePath,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let home = self.rights.home(owner).ok_or(StorageError::Missing)?;
        if *path == home || !path.is_within(&home) {
            return Err(StorageError::Missing);
        }
        let (shares, looked_at) = (self.shares.clone(), path.clone());
        if on_disk(move || shares.inode(&looked_at)).await?.is_none() {
            return Ok(());
        }
        self.move_to_trash(path, owner.id.as_str(), &Actor::system(), now).await?;
        Ok(())
    }

    /// Returns whether the account had a folder.
    async fn trash_home(&self, home: &FilePath, account: &str, now: Timestamp) -> Result<bool, StorageError> {
        let (shares, looked_at) = (self.shares.clone(), home.clone());
        if on_disk(move || shares.inode(&looked_at)).await?.is_none() {
            return Ok(false);
        }
        self.move_to_trash(home, account, &Actor::system(), now).await?;
        Ok(true)
    }

    async fn forget_departed(&self, account: &str) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM departed_accounts WHERE account = $1")
            .bind(account)
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}
