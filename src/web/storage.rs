//! What is in the shares, for operators: who may do what, how much uploads take, and whether the folder is there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::db::columns::{bytes_from_column, bytes_to_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::shares::disk::WritableShares;
use crate::web::shares::error::{StorageError, on_disk};
use crate::web::shares::rights::{Rights, ShareRights};

const DAY: u64 = 24 * 60 * 60;
/// The period over which growth is shown, in days.
const GROWTH_DAYS: u64 = 30;
/// How long the daily numbers are kept.
const KEEP: Duration = Duration::from_secs(400 * DAY);

/// One share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShareState {
    /// Its name.
    pub name: String,
    /// Whether each account has a folder of its own in it.
    pub personal: bool,
    /// Who may do what: `everyone`, a group or an address, with the highest right.
    pub rights: Vec<ShareRight>,
    /// The number of files that were uploaded, including those in the trash.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// How many bytes they have grown by within the last 30 days, negative if they have shrunk; `None` until it is
    /// known for a day.
    pub growth: Option<i64>,
    /// Maximum size of all uploads in bytes; `None` for no limit.
    pub quota: Option<u64>,
    /// The free space on its disk in bytes; `None` if it isn't available.
    pub free: Option<u64>,
    /// Why it can't be used now; `None` if it can.
    pub unavailable: Option<String>,
}

/// A right to a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShareRight {
    /// Who has it.
    pub who: String,
    /// `read`, `write` or `manage`; each includes those before it.
    pub right: &'static str,
}

/// Returns the state of all shares by name. `quotas` are in bytes; 0 for no limit.
///
/// # Errors
/// If the database fails. A share that isn't available is no error.
pub async fn shares(
    db: &Database,
    rights: &Rights,
    quotas: &BTreeMap<String, u64>,
    shares: &WritableShares,
    now: Timestamp,
) -> Result<Vec<ShareState>, StorageError> {
    let taken = taken(db).await?;
    let before = sizes_before(db, now).await?;
    let disk = {
        let (shares, names) = (shares.clone(), shares.names());
        let look = move |name: String| {
            let free = shares.disk_space(&name).ok().map(|space| space.free);
            (name.clone(), (free, shares.readable().why_unavailable(&name)))
        };
        on_disk(move || Ok::<_, StorageError>(names.into_iter().map(look).collect::<BTreeMap<_, _>>()))
            .await?
    };
    let state = |ShareRights { name, is_personal: personal, people }: ShareRights| {
        let (files, bytes) = taken.get(&name).copied().unwrap_or_default();
        let (free, unavailable) = disk.get(&name).cloned().unwrap_or_default();
        let grown = |before: &u64| bytes_to_column(bytes).saturating_sub(bytes_to_column(*before));
        ShareState {
            rights: people.into_iter().map(|(who, right)| ShareRight { who, right: right.word() }).collect(),
            personal,
            files,
            bytes,
            growth: before.get(&name).map(grown),
            quota: quotas.get(&name).copied().filter(|quota| *quota > 0),
            free: free.filter(|_| unavailable.is_none()),
            unavailable,
            name,
        }
    };
    Ok(rights.overview().into_iter().map(state).collect())
}

/// Returns the number and the size of the uploaded files by share. Read from an index alone.
async fn taken(db: &Database) -> Result<BTreeMap<String, (u64, u64)>, QueryError> {
    let rows = sqlx::query(
        "SELECT share, COUNT(*) AS files, CAST(SUM(size) AS BIGINT) AS bytes FROM file_digests GROUP BY share",
    )
    .fetch_all(db.reader())
    .await?;
    let mut taken = BTreeMap::new();
    for row in rows {
        let (files, bytes): (i64, i64) = (row.try_get("files")?, row.try_get("bytes")?);
        taken.insert(row.try_get("share")?, (bytes_from_column(files), bytes_from_column(bytes)));
    }
    Ok(taken)
}

/// Returns the sizes of the shares on the earliest day that is known within the period of growth.
async fn sizes_before(db: &Database, now: Timestamp) -> Result<BTreeMap<String, u64>, QueryError> {
    let today = (now.secs() / DAY).cast_signed();
    let rows = sqlx::query(
        "SELECT share, bytes FROM share_sizes WHERE day = (SELECT MIN(day) FROM share_sizes WHERE day >= $1 \
         AND day < $2)",
    )
    .bind(today - GROWTH_DAYS.cast_signed())
    .bind(today)
    .fetch_all(db.reader())
    .await?;
    let size =
        |row: &sqlx::any::AnyRow| Ok((row.try_get("share")?, bytes_from_column(row.try_get("bytes")?)));
    Ok(rows.iter().map(size).collect::<Result<_, sqlx::Error>>()?)
}

/// Records the sizes of the shares once a day.
///
/// # Errors
/// If the database fails.
pub async fn record_sizes(db: &Database, now: Timestamp) -> Result<(), QueryError> {
    let today = to_column(Timestamp::from_secs(now.secs() / DAY));
    let known: Option<i64> = sqlx::query_scalar("SELECT day FROM share_sizes WHERE day = $1 LIMIT 1")
        .bind(today)
        .fetch_optional(db.reader())
        .await?;
    if known.is_some() {
        return Ok(());
    }
    for (share, (_, bytes)) in taken(db).await? {
        sqlx::query(
            "INSERT INTO share_sizes (day, share, bytes) VALUES ($1, $2, $3) ON CONFLICT (day, share) DO NOTHING",
        )
        .bind(today)
        .bind(share)
        .bind(bytes_to_column(bytes))
        .execute(db.writer())
        .await?;
    }
    sqlx::query("DELETE FROM share_sizes WHERE day < $1")
        .bind(to_column(Timestamp::from_secs(now.minus(KEEP).secs() / DAY)))
        .execute(db.writer())
        .await?;
    Ok(())
}
