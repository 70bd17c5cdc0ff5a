//! Entries of the trash, and their rows.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};

/// The columns that [`read`] needs.
pub(super) const COLUMNS: &str = "id, path, is_folder, account, trashed_at, forget_at";

/// A file or folder in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashEntry {
    /// The id of the entry.
    pub id: String,
    /// The original path.
    pub path: FilePath,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The id of the account that moved it to the trash.
    pub account: String,
    /// When it was moved to the trash.
    pub trashed_at: Timestamp,
    /// When it will be permanently removed.
    pub forget_at: Timestamp,
}

impl TrashEntry {
    /// Returns the share it belongs to.
    pub fn share(&self) -> &str {
        self.path.share()
    }
}

/// Returns the path under which the digests of a trash entry are recorded.
pub(super) fn trash_place(share: &str, id: &str) -> String {
    format!("/{share}/.oncelink/trash/{id}")
}

pub(super) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    thrown: &TrashEntry,
) -> Result<(), QueryError> {
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
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Deletes the row, and returns whether it existed.
pub(super) async fn delete(
    transaction: &mut Transaction<'static, Any>,
    id: &str,
) -> Result<bool, QueryError> {
    let gone = sqlx::query("DELETE FROM trash WHERE id = $1").bind(id).execute(&mut **transaction).await?;
    Ok(gone.rows_affected() > 0)
}

/// Returns `None` if its path is no longer valid.
pub(super) fn read(row: &AnyRow) -> Result<Option<TrashEntry>, sqlx::Error> {
    let Ok(path) = row.try_get::<String, _>("path")?.parse() else { return Ok(None) };
    Ok(Some(TrashEntry {
        id: row.try_get("id")?,
        path,
        is_folder: row.try_get::<i64, _>("is_folder")? != 0,
        account: row.try_get("account")?,
        trashed_at: from_column(row.try_get("trashed_at")?),
        forget_at: from_column(row.try_get("forget_at")?),
    }))
}
