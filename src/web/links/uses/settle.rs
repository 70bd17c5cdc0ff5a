//! Settles reserved uses: they become used, or are released and available again.

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::links::use_state::UseState;

/// How many tokens are released per query.
const PER_LOOK: i64 = 100;

/// Marks the token and its use as used, because its first byte was sent. Runs in the transaction that records
/// the receipt; repeating it changes nothing. A use that had been released is counted again. Returns whether this
/// was the last use that the link had left.
///
/// # Errors
/// When the database fails.
pub async fn mark_used(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    now: Timestamp,
) -> Result<bool, QueryError> {
    let Some(found) = lock(transaction, jti).await? else { return Ok(false) };
    set_token(transaction, jti, UseState::Used).await?;
    set_use(transaction, &found, UseState::Used, now).await?;
    Ok(found.use_state != UseState::Used && is_used_up(transaction, &found.recipient).await?)
}

/// Whether all recipients of a recipient's link have used all their uses.
async fn is_used_up(
    transaction: &mut Transaction<'static, Any>,
    recipient: &str,
) -> Result<bool, sqlx::Error> {
    let used_up: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM recipients JOIN links ON links.id = recipients.link WHERE recipients.id = $1 \
         AND links.uses IS NOT NULL AND recipients.taken - recipients.reserved >= links.uses \
         AND NOT EXISTS (SELECT 1 FROM recipients AS others WHERE others.link = links.id \
         AND others.removed_at IS NULL AND others.taken - others.reserved < links.uses)",
    )
    .bind(recipient)
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(used_up.is_some())
}

/// Releases a token whose delivery is over without a byte having been sent, and its use if this was the use's
/// last token. Runs in the transaction that records the receipt; repeating it changes nothing.
///
/// # Errors
/// When the database fails.
pub async fn release_unsent(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    now: Timestamp,
) -> Result<(), QueryError> {
    let Some(found) = lock(transaction, jti).await? else { return Ok(()) };
    if found.token_state == UseState::Reserved {
        release(transaction, jti, &found, now).await?;
    }
    Ok(())
}

/// The tokens of one node.
#[derive(Clone, Copy, Debug)]
pub struct NodeTokens<'a> {
    /// The node's audience.
    pub audience: &'a str,
    /// Whether tokens for which no node was recorded belong to this node too.
    pub unnamed: bool,
}

impl<'a> NodeTokens<'a> {
    /// Returns the other audience that may be recorded for this node's tokens: none, or the same one.
    pub(crate) const fn other_name(&self) -> &'a str {
        if self.unnamed { "" } else { self.audience }
    }
}

/// Releases tokens of a node that were issued at `since` or later, expired before `before`, and were never
/// reported, or only reported as over with nothing sent. Returns how many. Every redemption of them must have
/// been reported by now: `since` is when the download service's record begins, and `before` is its watermark
/// minus twice the leeway.
///
/// # Errors
/// When the database fails; tokens that were released before the failure stay released.
pub async fn release_unredeemed(
    db: &Database,
    of: NodeTokens<'_>,
    since: Timestamp,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, QueryError> {
    let mut released = 0;
    loop {
        let jtis: Vec<String> = sqlx::query_scalar(
            "SELECT jti FROM link_tokens WHERE state = 'reserved' AND expires_at < $1 \
             AND expires_at >= $2 AND issued_at >= $2 AND node IN ($3, $4) \
             AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.jti = link_tokens.jti \
             AND (started_at IS NOT NULL OR receipts.state <> 'over')) LIMIT $5",
        )
        .bind(to_column(before))
        .bind(to_column(since))
        .bind(of.audience)
        .bind(of.other_name())
        .bind(PER_LOOK)
        .fetch_all(db.reader())
        .await?;
        let seen = released;
        for jti in jtis.iter().filter_map(|jti| jti.parse().ok()) {
            released += u64::from(release_if_unredeemed(db, jti, before, now).await?);
        }
        // Tokens that were found but not released have been reported or issued again in the meantime.
        if released == seen {
            return Ok(released);
        }
    }
}

async fn release_if_unredeemed(
    db: &Database,
    jti: Jti,
    before: Timestamp,
    now: Timestamp,
) -> Result<bool, QueryError> {
    let mut transaction = db.begin().await?;
    let Some(found) = lock(&mut transaction, jti).await? else { return Ok(false) };
    let still: Option<i64> = sqlx::query_scalar(
        "SELECT expires_at FROM link_tokens WHERE jti = $1 AND state = 'reserved' AND expires_at < $2 \
         AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.jti = link_tokens.jti \
         AND (started_at IS NOT NULL OR receipts.state <> 'over'))",
    )
    .bind(jti.to_string())
    .bind(to_column(before))
    .fetch_optional(&mut *transaction)
    .await?;
    if still.is_none() {
        return Ok(false);
    }
    release(&mut transaction, jti, &found, now).await?;
    db.commit(transaction).await?;
    Ok(true)
}

/// Releases the tokens of a node that was removed, and their uses, if they expired before `before` and were
/// never redeemed or can no longer be finished. Returns how many tokens.
///
/// # Errors
/// When the database fails; tokens that were released before the failure stay released.
pub async fn release_for_removed_node(
    db: &Database,
    audience: &str,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, QueryError> {
    let mut released = 0;
    loop {
        let jtis: Vec<String> = sqlx::query_scalar(
            "SELECT jti FROM link_tokens WHERE node = $1 AND expires_at < $2 AND state = 'reserved' \
             UNION ALL SELECT receipts.jti FROM receipts CROSS JOIN link_tokens \
             WHERE receipts.state IN ('running', 'broken') AND link_tokens.jti = receipts.jti \
             AND link_tokens.node = $1 AND link_tokens.expires_at < $2 AND link_tokens.state = 'used' LIMIT $3",
        )
        .bind(audience)
        .bind(to_column(before))
        .bind(PER_LOOK)
        .fetch_all(db.reader())
        .await?;
        if jtis.is_empty() {
            return Ok(released);
        }
        for text in &jtis {
            let mut transaction = db.begin().await?;
            let jti: Option<Jti> = text.parse().ok();
            if let Some(jti) = jti
                && let Some(found) = lock(&mut transaction, jti).await?
            {
                release(&mut transaction, jti, &found, now).await?;
            }
            db.commit(transaction).await?;
            released += 1;
        }
    }
}

/// Deletes uses that were released before `before`, and their tokens, because nobody can redeem them any
/// more.
///
/// # Errors
/// When the database fails.
pub async fn prune_released(db: &Database, before: Timestamp) -> Result<u64, QueryError> {
    let delete = "DELETE FROM link_uses WHERE id IN (SELECT id FROM link_uses WHERE state = 'released' \
        AND changed_at < $1 LIMIT $2)";
    db.in_portions(delete, to_column(before)).await
}

/// Deletes the client addresses of tokens that expired before `before`, because they can no longer be used to
/// continue a download.
///
/// # Errors
/// When the database fails.
pub async fn prune_clients(db: &Database, before: Timestamp) -> Result<u64, QueryError> {
    let forget = "UPDATE link_tokens SET client = '' WHERE jti IN (SELECT jti FROM link_tokens \
        WHERE client <> '' AND expires_at < $1 LIMIT $2)";
    db.in_portions(forget, to_column(before)).await
}

/// A token's state. Its recipient is locked until the end of the transaction.
struct LockedToken {
    recipient: String,
    use_id: String,
    use_state: UseState,
    token_state: UseState,
}

/// Locks the recipient of a token and returns the token's state; `None` if its link is gone.
async fn lock(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
) -> Result<Option<LockedToken>, sqlx::Error> {
    sqlx::query(
        "UPDATE recipients SET taken = taken WHERE id IN (SELECT recipient FROM link_uses \
         WHERE id IN (SELECT use_id FROM link_tokens WHERE jti = $1))",
    )
    .bind(jti.to_string())
    .execute(&mut **transaction)
    .await?;
    let row = sqlx::query(
        "SELECT link_uses.recipient, link_uses.id, link_uses.state AS use_state, \
         link_tokens.state AS token_state FROM link_tokens \
         JOIN link_uses ON link_uses.id = link_tokens.use_id WHERE link_tokens.jti = $1",
    )
    .bind(jti.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let state = |column: &str| -> Result<UseState, sqlx::Error> {
        let word = row.try_get::<String, _>(column)?;
        word.parse().map_err(|_| sqlx::Error::Decode("unknown state of a use".into()))
    };
    Ok(Some(LockedToken {
        recipient: row.try_get("recipient")?,
        use_id: row.try_get("id")?,
        use_state: state("use_state")?,
        token_state: state("token_state")?,
    }))
}

async fn release(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    found: &LockedToken,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    set_token(transaction, jti, UseState::Released).await?;
    let left: Option<String> =
        sqlx::query_scalar("SELECT jti FROM link_tokens WHERE use_id = $1 AND state <> 'released' LIMIT 1")
            .bind(&found.use_id)
            .fetch_optional(&mut **transaction)
            .await?;
    if left.is_none() {
        set_use(transaction, found, UseState::Released, now).await?;
    }
    Ok(())
}

async fn set_token(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    state: UseState,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE link_tokens SET state = $1 WHERE jti = $2")
        .bind(state.as_str())
        .bind(jti.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Brings a use into a state, and with it what is counted for the recipient: uses that are reserved or used,
/// and those that are reserved. The only place that does, besides the one that takes a new use.
async fn set_use(
    transaction: &mut Transaction<'static, Any>,
    found: &LockedToken,
    state: UseState,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let before = found.use_state;
    if before == state {
        return Ok(());
    }
    let is_taken = |state: UseState| i64::from(state != UseState::Released);
    let is_reserved = |state: UseState| i64::from(state == UseState::Reserved);
    sqlx::query("UPDATE recipients SET taken = taken + $1, reserved = reserved + $2 WHERE id = $3")
        .bind(is_taken(state) - is_taken(before))
        .bind(is_reserved(state) - is_reserved(before))
        .bind(&found.recipient)
        .execute(&mut **transaction)
        .await?;
    sqlx::query("UPDATE link_uses SET state = $1, changed_at = $2 WHERE id = $3")
        .bind(state.as_str())
        .bind(to_column(now))
        .bind(&found.use_id)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
