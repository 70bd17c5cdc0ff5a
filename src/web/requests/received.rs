//! What has arrived: all of it for the owner of a request, and for a guest what they sent themselves.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::id::{FilePath, GuestId, RequestId};
use crate::web::db::QueryError;
use crate::web::db::columns::{bytes_from_column, from_column};
use crate::web::requests::request::{FileRequest, FileRequests};

/// Maximum number of files that a list shows.
pub const LISTED_MAX: u32 = 200;

/// A file that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedFile {
    /// What its sender calls themselves; may be empty.
    pub from: String,
    /// The name with folders, as its sender gave it.
    pub name: String,
    /// Where it was put; `None` if that is not a valid path any more.
    pub path: Option<FilePath>,
    /// Its size in bytes.
    pub size: u64,
    /// When it arrived.
    pub at: Timestamp,
}

/// How much has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedTotal {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

impl FileRequests {
    /// Returns the files that have arrived for a request, newest first, at most [`LISTED_MAX`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn received(&self, request: &FileRequest) -> Result<Vec<ReceivedFile>, QueryError> {
        self.files("request", request.id.as_str()).await
    }

    /// Returns the files that a guest has sent, newest first, at most [`LISTED_MAX`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sent_by(&self, guest: &GuestId) -> Result<Vec<ReceivedFile>, QueryError> {
        self.files("guest", guest.as_str()).await
    }

    async fn files(&self, column: &'static str, value: &str) -> Result<Vec<ReceivedFile>, QueryError> {
        let query = format!(
            "SELECT request_files.name, request_files.path, request_files.size, request_files.arrived_at, \
             COALESCE(request_guests.name, '') AS from_name FROM request_files \
             LEFT JOIN request_guests ON request_guests.id = request_files.guest \
             WHERE request_files.{column} = $1 ORDER BY arrived_at DESC, request_files.name, upload LIMIT $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(value)
            .bind(i64::from(LISTED_MAX))
            .fetch_all(self.db.reader())
            .await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Returns how much has arrived for a request.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn total(&self, request: &RequestId) -> Result<ReceivedTotal, QueryError> {
        let (files, bytes): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM request_files WHERE request = $1",
        )
        .bind(request.as_str())
        .fetch_one(self.db.reader())
        .await?;
        Ok(ReceivedTotal { files: bytes_from_column(files), bytes: bytes_from_column(bytes) })
    }

    /// Returns what the guests of a request call themselves, by their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn guest_name(&self, guest: &GuestId) -> Result<String, QueryError> {
        let name: Option<String> = sqlx::query_scalar("SELECT name FROM request_guests WHERE id = $1")
            .bind(guest.as_str())
            .fetch_optional(self.db.reader())
            .await?;
        Ok(name.unwrap_or_default())
    }
}

fn read(row: &AnyRow) -> Result<ReceivedFile, sqlx::Error> {
    Ok(ReceivedFile {
        from: row.try_get("from_name")?,
        name: row.try_get("name")?,
        path: row.try_get::<String, _>("path")?.parse().ok(),
        size: bytes_from_column(row.try_get("size")?),
        at: from_column(row.try_get("arrived_at")?),
    })
}
