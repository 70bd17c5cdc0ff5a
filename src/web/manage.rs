//! Changing what lies in the shares: new folders, other names and places, and the trash from which
//! things come back until their time is over. Sees nothing without a right from [`crate::web::rights`].

use std::time::Duration;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::files::Shares;
use crate::files::name::FileName;
use crate::files::write::WriteError;
use crate::id::FilePath;
use crate::secret::Secret;
use crate::web::account::Account;
use crate::web::accounts::{from_column, to_column};
use crate::web::audit::{self, Actor, Deed};
use crate::web::db::Database;
use crate::web::rights::{Manageable, Writable};
use crate::web::storage::{StorageError, on_disk};
use crate::web::uploads::digests;

/// Most lines of a trash that are shown.
const MOST_SHOWN: i64 = 1_000;

/// What is forgotten in one round.
const AT_ONCE: i64 = 200;

/// Changes what lies in the shares. Cheap to clone.
#[derive(Clone)]
pub struct Manage {
    db: Database,
    shares: Shares,
    keep: Duration,
}

/// Something that was thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// Its id.
    pub id: String,
    /// Where it was.
    pub path: FilePath,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The id of the account that threw it away.
    pub account: String,
    /// When it was thrown away.
    pub trashed_at: Timestamp,
    /// When it will be gone for good.
    pub forget_at: Timestamp,
}

impl Trashed {
    /// The share it belongs to.
    pub fn share(&self) -> &str {
        self.path.share()
    }

    /// Where its digests are kept meanwhile.
    fn place(&self) -> String {
        format!("/{}/.oncelink/trash/{}", self.path.share(), self.id)
    }
}

impl Manage {
    /// Changes `shares`; what is thrown away is kept for `keep`.
    pub const fn new(db: Database, shares: Shares, keep: Duration) -> Manage {
        Manage { db, shares, keep }
    }

    /// For how long what is thrown away can be had back.
    pub const fn kept(&self) -> Duration {
        self.keep
    }

    /// Makes a folder in `folder`, and answers its path.
    ///
    /// # Errors
    /// [`StorageError::Taken`] where something of that name is there.
    pub async fn new_folder(&self, folder: &Writable, name: &FileName) -> Result<FilePath, StorageError> {
        let path = folder.path().join(name.as_str())?;
        let (shares, made) = (self.shares.clone(), path.clone());
        on_disk(move || shares.make_folder(&made)).await?;
        Ok(path)
    }

    /// Gives a file or folder another name, and answers its new path.
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
        self.change(what.path(), folder.join(name.as_str())?, Deed::FileRenamed, actor, now).await
    }

    /// Moves a file or folder into `folder` under the name that it has, and answers its new path.
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
        self.change(what.path(), folder.path().join(what.path().name())?, Deed::FileMoved, actor, now).await
    }

    async fn change(
        &self,
        from: &FilePath,
        to: FilePath,
        deed: Deed,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        if *from == to {
            return Ok(to);
        }
        let (shares, old, new) = (self.shares.clone(), from.clone(), to.clone());
        on_disk(move || shares.rename(&old, &new)).await?;
        let mut transaction = self.db.begin().await?;
        digests::moved(&mut transaction, from.as_str(), to.as_str(), to.share()).await?;
        audit::append(&mut transaction, actor, deed, &format!("{from} → {to}"), now).await?;
        self.db.commit(transaction).await?;
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
    ) -> Result<Trashed, StorageError> {
        let path = what.path().clone();
        let (shares, looked_at) = (self.shares.clone(), path.clone());
        let is_folder = on_disk(move || shares.is_folder(&looked_at)).await?;
        let thrown = Trashed {
            id: Secret::random::<16>()?.reveal().to_owned(),
            path,
            is_folder,
            account: who.id.as_str().to_owned(),
            trashed_at: now,
            forget_at: now.plus(self.keep),
        };
        // The row first: what lies in the trash without one could never be had back.
        self.insert(&thrown).await?;
        let (shares, path, id) = (self.shares.clone(), thrown.path.clone(), thrown.id.clone());
        if let Err(error) = on_disk(move || shares.throw_away(&path, &id)).await {
            self.delete(&thrown.id).await?;
            return Err(error);
        }
        let (from, to) = (thrown.path.as_str(), thrown.place());
        self.note(from, &to, thrown.share(), actor, Deed::FileTrashed, from, now).await?;
        Ok(thrown)
    }

    /// What lies in the trashes of these shares, the latest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn trashed(&self, shares: &[String]) -> Result<Vec<Trashed>, StorageError> {
        let mut all = Vec::new();
        for share in shares {
            let rows = sqlx::query(
                "SELECT id, path, is_folder, account, trashed_at, forget_at FROM trash WHERE share = $1 \
                 ORDER BY trashed_at DESC, id LIMIT $2",
            )
            .bind(share)
            .bind(MOST_SHOWN)
            .fetch_all(self.db.reader())
            .await?;
            for row in &rows {
                all.extend(read(row)?);
            }
        }
        let files = self.shares.clone();
        let mut all = on_disk(move || {
            // A crash may have left a row of something that never got there.
            all.retain(|thrown: &Trashed| files.is_thrown(thrown.share(), &thrown.id).unwrap_or(false));
            Ok::<_, WriteError>(all)
        })
        .await?;
        all.sort_by(|one, other| other.trashed_at.cmp(&one.trashed_at).then_with(|| one.id.cmp(&other.id)));
        Ok(all)
    }

    /// Something in the trash, by its id. Whether the person may manage its share is for the caller to
    /// ask: `rights.manageable(account, thrown.path)`.
    ///
    /// # Errors
    /// [`StorageError::Missing`] where there is nothing of that id.
    pub async fn thrown(&self, id: &str) -> Result<Trashed, StorageError> {
        let row = sqlx::query(
            "SELECT id, path, is_folder, account, trashed_at, forget_at FROM trash WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(self.db.reader())
        .await?;
        row.as_ref().map(read).transpose()?.flatten().ok_or(StorageError::Missing)
    }

    /// Puts something back where it was, under another name if its own is taken by now; folders that
    /// led there are made anew where they are gone. `right` is the right to where it was. Answers
    /// where it is.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn restore(
        &self,
        thrown: &Trashed,
        right: &Manageable,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<FilePath, StorageError> {
        covers(right, thrown)?;
        let (shares, back) = (self.shares.clone(), thrown.clone());
        let path = on_disk(move || {
            let folder = back.path.parent().ok_or(WriteError::Missing)?;
            let folder = shares.folders_to(&folder)?;
            // Names that the operator gave need not be ones that we would give.
            let to = match FileName::typed(back.path.name()) {
                Ok(name) => folder.join(shares.free_name(&folder, &name)?.as_str())?,
                Err(_) => back.path.clone(),
            };
            shares.put_back(back.share(), &back.id, &to)?;
            Ok::<FilePath, WriteError>(to)
        })
        .await?;
        self.note(
            &thrown.place(),
            path.as_str(),
            path.share(),
            actor,
            Deed::FileRestored,
            path.as_str(),
            now,
        )
        .await?;
        self.delete(&thrown.id).await?;
        Ok(path)
    }

    /// Removes something from the trash for good. `right` is the right to where it was.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn forget(
        &self,
        thrown: &Trashed,
        right: &Manageable,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        covers(right, thrown)?;
        self.remove(thrown).await?;
        let mut transaction = self.db.begin().await?;
        audit::append(&mut transaction, actor, Deed::FileForgotten, thrown.path.as_str(), now).await?;
        Ok(self.db.commit(transaction).await?)
    }

    /// Removes what was thrown away and whose time is over; answers how much that was.
    ///
    /// # Errors
    /// When the database fails. A share that fails is logged and tried again.
    pub async fn forget_expired(&self, now: Timestamp) -> Result<usize, StorageError> {
        let rows = sqlx::query(
            "SELECT id, path, is_folder, account, trashed_at, forget_at FROM trash WHERE forget_at <= $1 \
             ORDER BY forget_at LIMIT $2",
        )
        .bind(to_column(now))
        .bind(AT_ONCE)
        .fetch_all(self.db.reader())
        .await?;
        let mut gone = 0;
        for row in &rows {
            let Some(thrown) = read(row)? else { continue };
            match self.remove(&thrown).await {
                Ok(()) => gone += 1,
                Err(StorageError::Query(error)) => return Err(error.into()),
                Err(error) => {
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(
                        trash = thrown.id,
                        share = thrown.share(),
                        cause,
                        "cannot empty the trash"
                    );
                }
            }
        }
        Ok(gone)
    }

    async fn remove(&self, thrown: &Trashed) -> Result<(), StorageError> {
        let (shares, share, id) = (self.shares.clone(), thrown.share().to_owned(), thrown.id.clone());
        match on_disk(move || shares.remove_thrown(&share, &id)).await {
            // A share that is not served any more.
            Ok(()) | Err(StorageError::Missing) => {}
            Err(error) => return Err(error),
        }
        let mut transaction = self.db.begin().await?;
        digests::forget(&mut transaction, &thrown.place()).await?;
        self.db.commit(transaction).await?;
        self.delete(&thrown.id).await
    }

    async fn insert(&self, thrown: &Trashed) -> Result<(), StorageError> {
        sqlx::query(
            "INSERT INTO trash (id, share, path, is_folder, account, trashed_at, forget_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&thrown.id)
        .bind(thrown.share())
        .bind(thrown.path.as_str())
        .bind(i64::from(thrown.is_folder))
        .bind(&thrown.account)
        .bind(to_column(thrown.trashed_at))
        .bind(to_column(thrown.forget_at))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), StorageError> {
        sqlx::query("DELETE FROM trash WHERE id = $1").bind(id).execute(self.db.writer()).await?;
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what moved where, and who did it when, in one transaction"
    )]
    async fn note(
        &self,
        from: &str,
        to: &str,
        share: &str,
        actor: &Actor,
        deed: Deed,
        subject: &str,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let mut transaction = self.db.begin().await?;
        digests::moved(&mut transaction, from, to, share).await?;
        audit::append(&mut transaction, actor, deed, subject, now).await?;
        Ok(self.db.commit(transaction).await?)
    }
}

/// A right to one thing is none to another.
fn covers(right: &Manageable, thrown: &Trashed) -> Result<(), StorageError> {
    if *right.path() == thrown.path { Ok(()) } else { Err(StorageError::Missing) }
}

fn read(row: &AnyRow) -> Result<Option<Trashed>, sqlx::Error> {
    let Ok(path) = row.try_get::<String, _>("path")?.parse() else { return Ok(None) };
    Ok(Some(Trashed {
        id: row.try_get("id")?,
        path,
        is_folder: row.try_get::<i64, _>("is_folder")? != 0,
        account: row.try_get("account")?,
        trashed_at: from_column(row.try_get("trashed_at")?),
        forget_at: from_column(row.try_get("forget_at")?),
    }))
}
