//! How records are stored in columns.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::files::identity::FileFingerprint;
use crate::files::{EdgeDigest, FileVersion};
use crate::id::Jti;
use crate::secret::Digest;
use crate::used_tokens::{Lease, Mark, StoreError, UsedToken};

/// Returns `$1, $2, …` for these jtis, starting with `first`.
pub(super) fn places(first: usize, jtis: &[Jti]) -> String {
    let places: Vec<String> = (first..).take(jtis.len()).map(|place| format!("${place}")).collect();
    places.join(", ")
}

pub(super) fn from_row(jti: Jti, row: &AnyRow) -> Result<UsedToken, sqlx::Error> {
    let revoked = row.try_get::<i64, _>("revoked")? != 0;
    let mark = if revoked { Mark::Revoked } else { Mark::Redeemed(lease_from_row(row)?) };
    Ok(UsedToken {
        jti,
        marked_at: from_column(row.try_get("marked_at")?),
        forget_at: from_column(row.try_get("forget_at")?),
        mark,
    })
}

fn lease_from_row(row: &AnyRow) -> Result<Option<Lease>, sqlx::Error> {
    let Some(key) = row.try_get::<Option<String>, _>("resume_key")? else { return Ok(None) };
    let mut bytes = [0; 32];
    if !matches!(URL_SAFE_NO_PAD.decode_slice(key, &mut bytes), Ok(32)) {
        return Err(sqlx::Error::Decode("a resume key's digest is not 32 bytes of base64url".into()));
    }
    let inode: Option<i64> = row.try_get("file_inode")?;
    let active_at: Option<i64> = row.try_get("active_at")?;
    let trace = |inode: i64| {
        Ok::<FileFingerprint, sqlx::Error>(FileFingerprint {
            inode: inode.cast_unsigned(),
            changed_ns: row.try_get::<i64, _>("file_changed_ns")?.cast_unsigned(),
            edges: EdgeDigest::from_bytes(row.try_get::<i64, _>("file_edges")?.to_be_bytes()),
        })
    };
    Ok(Some(Lease {
        resume_key: Digest::from_bytes(bytes),
        until: from_column(row.try_get("lease_until")?),
        trace: inode.map(trace).transpose()?,
        reserved: row.try_get::<i64, _>("reserved")?.cast_unsigned(),
        active_at: from_column(match active_at {
            Some(active_at) => active_at,
            None => row.try_get("marked_at")?,
        }),
        version: FileVersion {
            len: row.try_get::<i64, _>("file_len")?.cast_unsigned(),
            modified_ns: row.try_get::<i64, _>("file_modified_ns")?.cast_unsigned(),
        },
    }))
}

pub(super) fn to_column(moment: Timestamp) -> i64 {
    i64::try_from(moment.secs()).unwrap_or(i64::MAX)
}

pub(super) fn from_column(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Returns a function that converts a database error of `action` to an error of the store.
pub(super) fn backend(action: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Backend { action, source: source.into() }
}
