//! Takes a use of a link, or finds one that the visitor already has, and records the token that belongs to it. The
//! caller holds the locks.

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::web::db::columns::{from_column, to_column};
use crate::web::links::open_uses;
use crate::web::links::uses::request::UseRequest;
use crate::web::revocations::issued::{IssuedTokens, NewToken};
use crate::web::shares::archive_path;

/// Returns a use of this visitor that has no token for this file yet.
pub(super) async fn find_open_use(
    transaction: &mut Transaction<'static, Any>,
    press: &UseRequest<'_>,
    uses_per_recipient: Option<u32>,
) -> Result<Option<String>, sqlx::Error> {
    let mark = press.visitor.mark.as_deref().unwrap_or_default();
    // An archive has all files, so it is a use of its own, and such a use has nothing more to give.
    if mark.is_empty() && !press.named || archive_path::is_archive(press.file.as_str()) {
        return Ok(None);
    }
    // A value for each use, not a join: PostgreSQL would join by reading all tokens of all links.
    let query = format!(
        "SELECT id FROM (SELECT newest.id, newest.made_at, (SELECT link_tokens.jti FROM link_tokens \
         WHERE use_id = newest.id AND (path = $4 OR SUBSTR(path, 1, CAST($5 AS INTEGER)) = $6) \
         AND state <> 'released' LIMIT 1) AS token \
         FROM ({}) AS newest) AS uses WHERE token IS NULL ORDER BY made_at, id LIMIT 1",
        open_uses::newest(press.named)
    );
    sqlx::query_scalar(AssertSqlSafe(query))
        .bind(press.recipient.as_str())
        .bind(mark)
        .bind(open_uses::looked_at(uses_per_recipient))
        .bind(press.file.as_str())
        .bind(i64::try_from(archive_path::PREFIX.len()).unwrap_or(i64::MAX))
        .bind(archive_path::PREFIX)
        .fetch_optional(&mut **transaction)
        .await
}

/// Gives this browser a token for this file that another browser of the same named recipient has and that is not
/// known to be redeemed: a file that isn't begun starts in any browser. It is the same jti, which only one of
/// them can redeem; from now on, this browser may continue it.
///
/// Invariant: its expiry stays unchanged, as in `find_unredeemed`.
pub(super) async fn take_over(
    transaction: &mut Transaction<'static, Any>,
    press: &UseRequest<'_>,
    uses_per_recipient: Option<u32>,
    now: Timestamp,
) -> Result<Option<(Jti, Timestamp)>, sqlx::Error> {
    let Some(mark) = press.visitor.mark.as_deref().filter(|_| press.named) else { return Ok(None) };
    // A value for each use, as above.
    let query = format!(
        "SELECT token FROM (SELECT newest.id, newest.made_at, (SELECT link_tokens.jti FROM link_tokens \
         WHERE use_id = newest.id AND path = $4 AND size = $5 AND version IN ($6, '') AND {} LIMIT 1) AS token \
         FROM ({}) AS newest) AS uses WHERE token IS NOT NULL ORDER BY made_at, id LIMIT 1",
        open_uses::unbegun("$7", "$8"),
        open_uses::newest(true)
    );
    let found: Option<String> = sqlx::query_scalar(AssertSqlSafe(query))
        .bind(press.recipient.as_str())
        .bind(mark)
        .bind(open_uses::looked_at(uses_per_recipient))
        .bind(press.file.as_str())
        .bind(i64::try_from(press.size).unwrap_or(i64::MAX))
        .bind(press.version)
        .bind(to_column(now))
        .bind(to_column(now.minus(open_uses::NEWS)))
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(jti) = found else { return Ok(None) };
    sqlx::query("UPDATE link_tokens SET visitor = $1, client = $2, handed_at = $4 WHERE jti = $3")
        .bind(mark)
        .bind(press.visitor.client.as_deref().unwrap_or_default())
        .bind(&jti)
        .bind(to_column(now))
        .execute(&mut **transaction)
        .await?;
    let end: i64 = sqlx::query_scalar("SELECT expires_at FROM link_tokens WHERE jti = $1")
        .bind(&jti)
        .fetch_one(&mut **transaction)
        .await?;
    let jti: Jti = jti.parse().map_err(|_| sqlx::Error::Decode("this is not a jti".into()))?;
    Ok(Some((jti, from_column(end))))
}

/// Takes one more use, which is reserved, and returns true, if one is left.
pub(super) async fn take_use(
    transaction: &mut Transaction<'static, Any>,
    press: &UseRequest<'_>,
) -> Result<bool, sqlx::Error> {
    let counted = sqlx::query(
        "UPDATE recipients SET taken = taken + 1, reserved = reserved + 1 WHERE id = $1 AND EXISTS (SELECT 1 FROM links \
         WHERE links.id = recipients.link AND (links.uses IS NULL OR recipients.taken < links.uses))",
    )
    .bind(press.recipient.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(counted.rows_affected() > 0)
}

pub(super) async fn add_token(
    transaction: &mut Transaction<'static, Any>,
    issued: &IssuedTokens,
    press: &UseRequest<'_>,
    jti: Jti,
    use_id: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO link_tokens (jti, use_id, path, size, state, issued_at, expires_at, version, visitor, client, \
         node) VALUES ($1, $2, $3, $4, 'reserved', $5, $6, $7, $8, $9, $10)",
    )
    .bind(jti.to_string())
    .bind(use_id)
    .bind(press.file.as_str())
    .bind(i64::try_from(press.size).unwrap_or(i64::MAX))
    .bind(to_column(now))
    .bind(to_column(press.expires_at))
    .bind(press.version)
    .bind(press.visitor.mark.as_deref().unwrap_or_default())
    .bind(press.visitor.client.as_deref().unwrap_or_default())
    .bind(press.basis.node)
    .execute(&mut **transaction)
    .await?;
    let token = NewToken {
        account: press.owner,
        jti,
        file: press.file,
        expires_at: press.expires_at,
        basis: press.basis,
    };
    issued.insert(transaction, &token).await
}
