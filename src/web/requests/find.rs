//! Finds file requests: by the code in an address, by id for their owner, and all requests of an owner.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::id::RequestId;
use crate::secret::Secret;
use crate::web::db::QueryError;
use crate::web::db::columns::{bytes_from_column, digest_to_column, from_column};
use crate::web::db::position::Position;
use crate::web::identity::AccountId;
use crate::web::identity::passwords::StoredPassword;
use crate::web::requests::request::{FileRequest, FileRequests};

/// Number of requests on one page of the list.
pub const PER_PAGE: u32 = 100;

/// A request as it appears in its owner's list.
#[derive(Clone, Debug)]
pub struct ListedRequest {
    /// The request.
    pub request: FileRequest,
    /// Number of files that have arrived.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

const LISTED: &str = "file_requests.*, \
    (SELECT COUNT(*) FROM request_files WHERE request_files.request = file_requests.id) AS files, \
    (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM request_files \
    WHERE request_files.request = file_requests.id) AS bytes";

impl FileRequests {
    /// Returns the request that a code belongs to. The code may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn by_code(&self, code: &str) -> Result<Option<FileRequest>, QueryError> {
        self.one("code_digest", &digest_to_column(&Secret::presented(code).digest())).await
    }

    /// Returns the request with this id. The id may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn by_id(&self, id: &RequestId) -> Result<Option<FileRequest>, QueryError> {
        // PostgreSQL would return an error for a NUL instead of no row.
        if id.as_str().contains('\0') {
            return Ok(None);
        }
        self.one("id", id.as_str()).await
    }

    async fn one(&self, column: &'static str, value: &str) -> Result<Option<FileRequest>, QueryError> {
        let query = format!("SELECT * FROM file_requests WHERE {column} = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(value).fetch_optional(self.db.reader()).await?;
        Ok(row.as_ref().map(read).transpose()?.flatten())
    }

    /// Returns the request with this id if `owner` created it. The id may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_owner(
        &self,
        owner: &AccountId,
        id: &RequestId,
    ) -> Result<Option<FileRequest>, QueryError> {
        Ok(self.by_id(id).await?.filter(|request| request.owner == *owner))
    }

    /// Returns one page of the requests that `owner` created, newest first, starting at `offset`, and whether
    /// there are more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        owner: &AccountId,
        offset: u32,
    ) -> Result<(Vec<ListedRequest>, bool), QueryError> {
        let query = format!(
            "SELECT {LISTED} FROM file_requests WHERE account = $1 ORDER BY created_at DESC, id \
             LIMIT $2 OFFSET $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(owner.as_str())
            .bind(i64::from(PER_PAGE) + 1)
            .bind(i64::from(offset))
            .fetch_all(self.db.reader())
            .await?;
        let more = rows.len() > PER_PAGE as usize;
        Ok((listed_of(rows.iter().take(PER_PAGE as usize))?, more))
    }

    /// Returns up to `most` requests of an account after `from`, newest first, and where the next page begins, if there
    /// is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page(
        &self,
        owner: &AccountId,
        from: &Position,
        most: u32,
    ) -> Result<(Vec<ListedRequest>, Option<Position>), QueryError> {
        let query = format!(
            "SELECT {LISTED} FROM file_requests WHERE account = $1 AND created_at <= $2 \
             AND (created_at < $2 OR id > $3) ORDER BY created_at DESC, id LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(owner.as_str())
            .bind(from.time())
            .bind(from.id())
            .bind(i64::from(most) + 1)
            .fetch_all(self.db.reader())
            .await?;
        let next = Position::after(&rows, most, "created_at", "id")?;
        Ok((listed_of(rows.iter().take(most as usize))?, next))
    }

    /// Returns the request with this id as in a list, if `owner` created it. The id may be any text.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn listed(
        &self,
        owner: &AccountId,
        id: &RequestId,
    ) -> Result<Option<ListedRequest>, QueryError> {
        let query = format!("SELECT {LISTED} FROM file_requests WHERE account = $1 AND id = $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(owner.as_str())
            .bind(id.as_str().replace('\0', ""))
            .fetch_all(self.db.reader())
            .await?;
        Ok(listed_of(rows.iter())?.pop())
    }
}

fn listed_of<'r>(rows: impl Iterator<Item = &'r AnyRow>) -> Result<Vec<ListedRequest>, sqlx::Error> {
    let mut listed = Vec::new();
    for row in rows {
        let Some(request) = read(row)? else { continue };
        let number = |column: &str| row.try_get::<i64, _>(column).map(bytes_from_column);
        listed.push(ListedRequest { request, files: number("files")?, bytes: number("bytes")? });
    }
    Ok(listed)
}

/// Returns `None` for a row of a release with other rules for paths.
pub(super) fn read(row: &AnyRow) -> Result<Option<FileRequest>, sqlx::Error> {
    let Ok(folder) = row.try_get::<String, _>("folder")?.parse() else { return Ok(None) };
    let number = |column: &str| row.try_get::<i64, _>(column);
    Ok(Some(FileRequest {
        id: RequestId::from_store(&row.try_get::<String, _>("id")?),
        owner: AccountId::from_store(&row.try_get::<String, _>("account")?),
        title: row.try_get("title")?,
        note: row.try_get("note")?,
        folder,
        max_bytes: bytes_from_column(number("max_bytes")?),
        max_files: bytes_from_column(number("max_files")?),
        ends_at: from_column(number("ends_at")?),
        password: row.try_get::<Option<String>, _>("password")?.map(StoredPassword::from_store),
        notify: number("notify")? != 0,
        created_at: from_column(number("created_at")?),
        stopped_at: row.try_get::<Option<i64>, _>("stopped_at")?.map(from_column),
    }))
}
