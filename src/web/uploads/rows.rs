//! The table of uploads.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{GuestId, LinkId, RequestId};
use crate::web::arrivals::ExpectedFile;
use crate::web::audit::Actor;
use crate::web::db::columns::{bytes_from_column, bytes_to_column, from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::shares::name::FileName;
use crate::web::uploads::id::UploadId;
use crate::web::uploads::sender::UploadGuest;
use crate::web::uploads::upload::{Upload, UploadStage};

const COLUMNS: &str = "id, account, share, folder, name, size, metadata, concat, state, unchecked_from, path, \
                       version, sha256, expires_at, who, address, link, item, guest, request, sent_as";

pub(crate) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    upload: &Upload,
    now: Timestamp,
) -> Result<(), QueryError> {
    sqlx::query(
        "INSERT INTO uploads (id, account, share, folder, name, size, metadata, concat, state, created_at, \
         expires_at, who, address, link, item, guest, request, sent_as) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(upload.id.as_str())
    .bind(upload.account.as_str())
    .bind(&upload.share)
    .bind(upload.folder.as_str())
    .bind(upload.name.as_ref().map_or("", FileName::as_str))
    .bind(upload.size.map(bytes_to_column))
    .bind(&upload.metadata)
    .bind(upload.joining.as_str())
    .bind(to_column(now))
    .bind(to_column(upload.expires_at))
    .bind(&upload.sender.who)
    .bind(upload.sender.address.map(|address| address.to_string()).unwrap_or_default())
    .bind(upload.expected.as_ref().map(|file| file.link.as_str()))
    .bind(upload.expected.as_ref().map(|file| i64::from(file.item)))
    .bind(upload.guest.as_ref().map_or("", |guest| guest.id.as_str()))
    .bind(upload.guest.as_ref().map_or("", |guest| guest.request.as_str()))
    .bind(&upload.sent_as)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(crate) async fn find(db: &Database, id: &UploadId) -> Result<Option<Upload>, QueryError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM uploads WHERE id = $1")))
        .bind(id.as_str())
        .fetch_optional(db.reader())
        .await?;
    Ok(row.as_ref().map(read).transpose()?.flatten())
}

/// Returns the upload of a file that a link waits for.
pub(crate) async fn of_expected(db: &Database, file: &ExpectedFile) -> Result<Option<Upload>, QueryError> {
    let query = format!("SELECT {COLUMNS} FROM uploads WHERE link = $1 AND item = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(file.link.as_str())
        .bind(i64::from(file.item))
        .fetch_optional(db.reader())
        .await?;
    Ok(row.as_ref().map(read).transpose()?.flatten())
}

/// Returns the uploads that an account sends itself.
pub(crate) async fn of_account(db: &Database, account: &AccountId) -> Result<Vec<Upload>, QueryError> {
    let query =
        format!("SELECT {COLUMNS} FROM uploads WHERE account = $1 AND guest = '' ORDER BY created_at, id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(account.as_str()).fetch_all(db.reader()).await?;
    let uploads = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(uploads.into_iter().flatten().collect())
}

/// Returns the unfinished uploads of a request's guests, oldest first, at most `limit`.
pub(crate) async fn of_request(
    db: &Database,
    request: &RequestId,
    limit: i64,
) -> Result<Vec<Upload>, QueryError> {
    let query = format!(
        "SELECT {COLUMNS} FROM uploads WHERE request = $1 AND request <> '' AND state <> 'done' \
         ORDER BY created_at, id LIMIT $2"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(request.as_str())
        .bind(limit)
        .fetch_all(db.reader())
        .await?;
    let uploads = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(uploads.into_iter().flatten().collect())
}

/// Returns uploads that have expired, at most `limit`.
pub(crate) async fn over(db: &Database, now: Timestamp, limit: i64) -> Result<Vec<Upload>, QueryError> {
    let query = format!("SELECT {COLUMNS} FROM uploads WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(to_column(now))
        .bind(limit)
        .fetch_all(db.reader())
        .await?;
    let uploads = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(uploads.into_iter().flatten().collect())
}

/// Returns files of known size that aren't recorded as done, at most `limit`; those being published come
/// first.
pub(crate) async fn unfinished(db: &Database, limit: i64) -> Result<Vec<Upload>, QueryError> {
    let query = format!(
        "SELECT {COLUMNS} FROM uploads WHERE state <> 'done' AND name <> '' AND size IS NOT NULL \
         ORDER BY state, RANDOM() LIMIT $1"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(limit).fetch_all(db.reader()).await?;
    let uploads = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(uploads.into_iter().flatten().collect())
}

/// Returns the ids of all uploads to a share.
pub(crate) async fn ids_in(db: &Database, share: &str) -> Result<Vec<String>, QueryError> {
    let ids = sqlx::query_scalar("SELECT id FROM uploads WHERE share = $1")
        .bind(share)
        .fetch_all(db.reader())
        .await?;
    Ok(ids)
}

pub(crate) async fn delete(db: &Database, id: &UploadId) -> Result<(), QueryError> {
    sqlx::query("DELETE FROM uploads WHERE id = $1").bind(id.as_str()).execute(db.writer()).await?;
    Ok(())
}

pub(crate) async fn delete_in(
    transaction: &mut Transaction<'static, Any>,
    id: &UploadId,
) -> Result<(), QueryError> {
    sqlx::query("DELETE FROM uploads WHERE id = $1").bind(id.as_str()).execute(&mut **transaction).await?;
    Ok(())
}

pub(crate) async fn set_size(
    transaction: &mut Transaction<'static, Any>,
    id: &UploadId,
    size: u64,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE uploads SET size = $1 WHERE id = $2")
        .bind(bytes_to_column(size))
        .bind(id.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Records that bytes have arrived or are about to: extends the upload's life, and sets from which offset
/// bytes don't count until their checksum has been verified.
pub(crate) async fn touch(
    db: &Database,
    id: &UploadId,
    unchecked_from: Option<u64>,
    expires_at: Timestamp,
) -> Result<(), QueryError> {
    sqlx::query("UPDATE uploads SET unchecked_from = $1, expires_at = $2 WHERE id = $3")
        .bind(unchecked_from.map(bytes_to_column))
        .bind(to_column(expires_at))
        .bind(id.as_str())
        .execute(db.writer())
        .await?;
    Ok(())
}

/// Records the path that the file is about to get, so that it is found there after a crash.
pub(crate) async fn publishing(
    db: &Database,
    id: &UploadId,
    path: &str,
    version: &str,
    sha256: &str,
) -> Result<(), QueryError> {
    sqlx::query(
        "UPDATE uploads SET state = 'publishing', path = $1, version = $2, sha256 = $3 WHERE id = $4",
    )
    .bind(path)
    .bind(version)
    .bind(sha256)
    .bind(id.as_str())
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Records that the file has its name. Returns `false` if that was already recorded.
pub(crate) async fn done(
    transaction: &mut Transaction<'static, Any>,
    id: &UploadId,
    expires_at: Timestamp,
) -> Result<bool, QueryError> {
    let done =
        sqlx::query("UPDATE uploads SET state = 'done', expires_at = $1 WHERE id = $2 AND state <> 'done'")
            .bind(to_column(expires_at))
            .bind(id.as_str())
            .execute(&mut **transaction)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Returns `None` for a row of an older release with other rules for names.
fn read(row: &AnyRow) -> Result<Option<Upload>, sqlx::Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let maybe = |column: &str| row.try_get::<Option<String>, _>(column);
    let bytes = |column: &str| -> Result<Option<u64>, sqlx::Error> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(bytes_from_column))
    };
    let (Ok(id), Ok(folder)) = (text("id")?.parse(), text("folder")?.parse()) else { return Ok(None) };
    let name = text("name")?;
    let name = match name.as_str() {
        "" => None,
        name => match FileName::uploaded(name) {
            Ok(name) => Some(name),
            Err(_) => return Ok(None),
        },
    };
    let (account, guest) = (text("account")?, text("guest")?);
    let guest = match guest.as_str() {
        "" => None,
        id => Some(UploadGuest {
            id: GuestId::from_store(id),
            request: RequestId::from_store(&text("request")?),
        }),
    };
    let address = text("address")?.parse().ok();
    let sender = match (&guest, address) {
        (Some(_), Some(address)) => Actor::guest(address),
        _ => Actor { id: account.clone(), who: text("who")?, address },
    };
    Ok(Some(Upload {
        id,
        account: AccountId::from_store(&account),
        guest,
        sent_as: text("sent_as")?,
        sender,
        share: text("share")?,
        folder,
        name,
        size: bytes("size")?,
        offset: 0,
        metadata: text("metadata")?,
        joining: text("concat")?.into(),
        stage: text("state")?.parse().unwrap_or(UploadStage::Running),
        path: maybe("path")?.and_then(|path| path.parse().ok()),
        expires_at: from_column(row.try_get("expires_at")?),
        expected: expected(row)?,
        unchecked_from: bytes("unchecked_from")?,
        version: maybe("version")?,
        sha256: maybe("sha256")?,
    }))
}

fn expected(row: &AnyRow) -> Result<Option<ExpectedFile>, sqlx::Error> {
    let link = row.try_get::<Option<String>, _>("link")?;
    let item = row.try_get::<Option<i64>, _>("item")?.and_then(|item| u32::try_from(item).ok());
    Ok(link.zip(item).map(|(link, item)| ExpectedFile { link: LinkId::from_store(&link), item }))
}
