//! Links that are there before their files: how many files each still waits for. Uploads report here what
//! arrives, and links read it; neither knows the other.
//!
//! Invariant: a link that waits for files gives nothing, and stops waiting only once. So nothing that leaves
//! this state needs the lock of the owner's account: no token can have been issued before.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{FilePath, LinkId};
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::webhooks::event::{LinkEnd, WebhookEvent};
use crate::web::webhooks::outbox;
use crate::words::words;

/// Maximum number of files that a link can wait for.
pub const FILES_MAX: u32 = 100_000;

words! {
    /// How far the files of a link have come.
    pub enum ArrivalState {
        /// Some are still being uploaded.
        Uploading = "uploading",
        /// All of them have arrived.
        Complete = "complete",
        /// An upload was canceled or not finished in time, so the link has ended.
        Abandoned = "abandoned",
    }
}

/// The files that a link waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How far they have come.
    pub state: ArrivalState,
    /// How many have arrived.
    pub arrived: u32,
    /// How many there are to be.
    pub expected: u32,
}

/// A file that a link waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedFile {
    /// The link.
    pub link: LinkId,
    /// Which of its files; each has one upload at a time.
    pub item: u32,
}

/// What happens to the link that waits for an upload when the upload is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFate {
    /// It keeps waiting, because the file will be sent again.
    Waits,
    /// It does without this file, because its owner said so.
    GoesWithout,
    /// It ends: nobody would ever get what it promises.
    Ends,
}

/// Returns the state in a row of `links`; `None` if the link's files were there first.
pub(crate) fn read(row: &AnyRow) -> Result<Option<Arrival>, sqlx::Error> {
    let Some(state) = row.try_get::<Option<String>, _>("arrival")? else { return Ok(None) };
    let count =
        |column: &str| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0));
    Ok(Some(Arrival {
        // An unknown state of a later release gives nothing.
        state: state.parse().unwrap_or(ArrivalState::Abandoned),
        arrived: count("files_arrived")?,
        expected: count("files_expected")?,
    }))
}

/// Makes a new link wait for `files` files, in the transaction that creates it.
pub(crate) async fn expect(
    transaction: &mut Transaction<'static, Any>,
    link: &LinkId,
    files: u32,
    until: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE links SET arrival = 'uploading', files_expected = $1, arrival_until = $2 WHERE id = $3",
    )
    .bind(i64::from(files))
    .bind(to_column(until))
    .bind(link.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Returns whether this account's link waits for the file, which is to be put into `folder`, and makes it wait
/// until `until` at least. The link must lead to the folder, if it leads to any.
pub(crate) async fn admit(
    transaction: &mut Transaction<'static, Any>,
    account: &AccountId,
    file: &ExpectedFile,
    folder: &FilePath,
    until: Timestamp,
) -> Result<bool, sqlx::Error> {
    let admitted = sqlx::query(
        "UPDATE links SET arrival_until = $1 WHERE id = $2 AND account = $3 AND arrival = 'uploading' \
         AND withdrawn_at IS NULL AND NOT EXISTS (SELECT 1 FROM link_files WHERE link_files.link = links.id \
         AND path <> $4 AND SUBSTR($4, 1, LENGTH(path) + 1) <> path || '/')",
    )
    .bind(to_column(until))
    .bind(file.link.as_str())
    .bind(account.as_str())
    .bind(folder.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(admitted.rows_affected() > 0)
}

/// Counts a file that has arrived at `path`, in the transaction that records it. With the last one, the link
/// is complete. A link on a single file learns its path here, because only now the file has its name.
pub(crate) async fn arrived(
    transaction: &mut Transaction<'static, Any>,
    file: &ExpectedFile,
    path: &FilePath,
    until: Timestamp,
) -> Result<(), sqlx::Error> {
    let counted = sqlx::query(
        "UPDATE links SET files_arrived = files_arrived + 1, arrival_until = $1, \
         arrival = CASE WHEN files_arrived + 1 >= files_expected THEN 'complete' ELSE arrival END \
         WHERE id = $2 AND arrival = 'uploading'",
    )
    .bind(to_column(until))
    .bind(file.link.as_str())
    .execute(&mut **transaction)
    .await?;
    if counted.rows_affected() > 0 {
        sqlx::query(
            "INSERT INTO link_files (link, position, path) SELECT id, 0, $1 FROM links WHERE id = $2 \
             AND NOT EXISTS (SELECT 1 FROM link_files WHERE link_files.link = links.id)",
        )
        .bind(path.as_str())
        .bind(file.link.as_str())
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Records that a file doesn't arrive, in the transaction that removes its upload. Call it last: it may be that
/// webhooks are told.
pub(crate) async fn removed(
    transaction: &mut Transaction<'static, Any>,
    link: &LinkId,
    fate: LinkFate,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let update = match fate {
        LinkFate::Waits => return Ok(()),
        LinkFate::Ends => {
            "UPDATE links SET arrival = 'abandoned' WHERE id = $1 AND arrival = 'uploading' RETURNING arrival"
        }
        // Without any file, there is nothing to share.
        LinkFate::GoesWithout => {
            "UPDATE links SET files_expected = files_expected - 1, \
             arrival = CASE WHEN files_expected <= 1 THEN 'abandoned' \
             WHEN files_arrived >= files_expected - 1 THEN 'complete' ELSE arrival END \
             WHERE id = $1 AND arrival = 'uploading' RETURNING arrival"
        }
    };
    let state: Option<String> =
        sqlx::query_scalar(update).bind(link.as_str()).fetch_optional(&mut **transaction).await?;
    if state.as_deref() == Some(ArrivalState::Abandoned.as_str()) {
        let ended = WebhookEvent::link_ended(link, LinkEnd::Abandoned);
        outbox::record(transaction, &[ended], now).await?;
    }
    Ok(())
}

/// Makes a link complete with what has arrived. Returns false if it doesn't wait, or if nothing has arrived.
pub(crate) async fn settle_for_less(
    transaction: &mut Transaction<'static, Any>,
    link: &LinkId,
) -> Result<bool, sqlx::Error> {
    let settled = sqlx::query(
        "UPDATE links SET files_expected = files_arrived, arrival = 'complete' \
         WHERE id = $1 AND arrival = 'uploading' AND files_arrived > 0",
    )
    .bind(link.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(settled.rows_affected() > 0)
}

/// Ends the links for which nothing was uploaded for so long that nothing more can be expected, and returns
/// how many.
///
/// # Errors
/// When the database fails.
pub async fn end_stale(db: &Database, now: Timestamp) -> Result<usize, QueryError> {
    let stale: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM links WHERE arrival = 'uploading' AND arrival_until <= $1 LIMIT 1")
            .bind(to_column(now))
            .fetch_optional(db.reader())
            .await?;
    if stale.is_none() {
        return Ok(0);
    }
    let mut transaction = db.begin().await?;
    let ended: Vec<String> = sqlx::query_scalar(
        "UPDATE links SET arrival = 'abandoned' WHERE arrival = 'uploading' AND arrival_until <= $1 \
         AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.link = links.id AND uploads.state <> 'done') \
         RETURNING id",
    )
    .bind(to_column(now))
    .fetch_all(&mut *transaction)
    .await?;
    let event = |id: &String| WebhookEvent::link_ended(&LinkId::from_store(id), LinkEnd::Abandoned);
    let events: Vec<WebhookEvent> = ended.iter().map(event).collect();
    outbox::record(&mut transaction, &events, now).await?;
    db.commit(transaction).await?;
    Ok(ended.len())
}
