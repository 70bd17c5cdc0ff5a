//! What was thrown away, and its row.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::FilePath;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};

/// What [`read`] reads.
pub(super) const COLUMNS: &str = "id, path, is_folder, account, trashed_at, forget_at";

/// Something that was thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashEntry {
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

impl TrashEntry {
    /// The share it belongs to.
    pub fn share(&self) -> &str {
        self.path.share()
    }
}

/// Where the digests of what lies in the trash are kept.
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

/// Removes the row; returns whether it was there.
pub(super) async fn delete(
    transaction: &mut Transaction<'static, Any>,
    id: &str,
) -> Result<bool, QueryError> {
    let gone = sqlx::query("DELETE FROM trash WHERE id = $1").bind(id).execute(&mut **transaction).await?;
    Ok(gone.rows_affected() > 0)
}

/// `None` where its path is not one any more.
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
