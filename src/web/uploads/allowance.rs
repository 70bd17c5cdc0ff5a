//! How much a file request still takes, and what its guests have sent.

use sqlx::{Any, AnyConnection, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{FilePath, RequestId};
use crate::web::db::columns::{bytes_from_column, bytes_to_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::shares::error::{RequestLimit, StorageError};
use crate::web::uploads::sender::UploadGuest;
use crate::web::uploads::upload::Upload;

/// Maximum number of parts of other uploads that all guests of a request may have at once.
const PARTS_MAX: i64 = 1_000;

/// How much a request still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) bytes: u64,
    files: u64,
    parts: i64,
}

impl Allowance {
    /// Checks that one more file, or one more part of a file, may begin.
    pub(crate) const fn admit_one_more(self, is_part: bool) -> Result<(), StorageError> {
        if self.files == 0 {
            return Err(StorageError::Request(RequestLimit::Files));
        }
        if is_part && self.parts >= PARTS_MAX {
            return Err(StorageError::TooMany);
        }
        Ok(())
    }

    /// Checks that `size` more bytes fit.
    pub(crate) const fn admit(self, size: u64) -> Result<(), StorageError> {
        // A file of unknown size has the size 0, and needs at least one byte.
        if size > self.bytes || self.bytes == 0 {
            return Err(StorageError::Request(RequestLimit::Bytes));
        }
        Ok(())
    }
}

/// Returns how much a request still takes, counting what has arrived and what was announced. The caller holds
/// the lock of the quotas, so that two uploads don't get the same space.
///
/// # Errors
/// [`RequestLimit::Over`] if the request was stopped or deleted.
pub(crate) async fn allowance(
    connection: &mut AnyConnection,
    request: &RequestId,
) -> Result<Allowance, StorageError> {
    let row = sqlx::query(
        "SELECT max_bytes, max_files, \
         (SELECT COUNT(*) FROM request_files WHERE request_files.request = file_requests.id) AS arrived, \
         (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM request_files \
         WHERE request_files.request = file_requests.id) AS bytes, \
         (SELECT COUNT(*) FROM uploads WHERE uploads.request = file_requests.id AND state <> 'done' \
         AND uploads.name <> '') AS coming, \
         (SELECT COUNT(*) FROM uploads WHERE uploads.request = file_requests.id AND state <> 'done' \
         AND uploads.name = '') AS parts, \
         (SELECT CAST(COALESCE(SUM(COALESCE(size, received)), 0) AS BIGINT) FROM uploads \
         WHERE uploads.request = file_requests.id AND state <> 'done') AS announced \
         FROM file_requests WHERE id = $1 AND stopped_at IS NULL",
    )
    .bind(request.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let row = row.ok_or(StorageError::Request(RequestLimit::Over))?;
    let number = |column: &str| row.try_get::<i64, _>(column).map(bytes_from_column);
    let bytes = number("bytes")?.saturating_add(number("announced")?);
    let files = number("arrived")?.saturating_add(number("coming")?);
    Ok(Allowance {
        bytes: number("max_bytes")?.saturating_sub(bytes),
        files: number("max_files")?.saturating_sub(files),
        parts: row.try_get("parts")?,
    })
}

/// Records that a guest's file has arrived, in the transaction that records that its upload is done.
pub(crate) async fn arrived(
    transaction: &mut Transaction<'static, Any>,
    guest: &UploadGuest,
    upload: &Upload,
    path: &FilePath,
    now: Timestamp,
) -> Result<(), QueryError> {
    sqlx::query(
        "INSERT INTO request_files (upload, request, guest, name, path, size, arrived_at, told) \
         SELECT $1, id, $2, $3, $4, CAST($5 AS BIGINT), CAST($6 AS BIGINT), 1 - notify FROM file_requests WHERE id = $7",
    )
    .bind(upload.id.as_str())
    .bind(guest.id.as_str())
    .bind(&upload.sent_as)
    .bind(path.as_str())
    .bind(bytes_to_column(upload.size.unwrap_or(upload.offset)))
    .bind(to_column(now))
    .bind(guest.request.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Returns where a guest's file goes now, and the folder of its request: both follow the folder when it is
/// renamed while bytes arrive. `None` for the upload of an account, or if the request was deleted.
pub(crate) async fn destination(
    db: &Database,
    upload: &Upload,
) -> Result<Option<(FilePath, FilePath)>, QueryError> {
    let Some(guest) = &upload.guest else { return Ok(None) };
    let row = sqlx::query(
        "SELECT uploads.folder AS target, file_requests.folder AS base FROM uploads \
         JOIN file_requests ON file_requests.id = uploads.request WHERE uploads.id = $1 AND uploads.request = $2",
    )
    .bind(upload.id.as_str())
    .bind(guest.request.as_str())
    .fetch_optional(db.reader())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let path = |column: &str| row.try_get::<String, _>(column).map(|path| path.parse::<FilePath>().ok());
    Ok(path("target")?.zip(path("base")?))
}
