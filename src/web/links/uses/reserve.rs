//! Reserves a use of a link for a press of its button, or continues what was begun.

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti};
use crate::secret::{RandomError, Secret};
use crate::web::db::columns::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::links::begun::{self, Begun, LeaseRules, Progress, Visitor};
use crate::web::revocations::issued::{Basis, Issued, NewToken};

/// How many tokens are released between two looks at the database.
const PER_LOOK: i64 = 100;

/// Somebody's press of the button.
#[derive(Clone, Copy, Debug)]
pub struct Press<'a> {
    /// Who made the link.
    pub owner: &'a AccountId,
    /// The recipient's id.
    pub recipient: &'a str,
    /// Whether the recipient is named: then their uses belong to them, in whichever browser.
    pub named: bool,
    /// Who presses, by which they continue what they began.
    pub visitor: &'a Visitor,
    /// The file that is wanted.
    pub file: &'a FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// Its version.
    pub version: &'a str,
    /// When a new token will end.
    pub expires_at: Timestamp,
    /// What it stands upon: the link's terms as they were asked for, among others.
    pub basis: Basis<'a>,
}

/// What came of a press.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// A token with this jti may be given out.
    Token(Jti),
    /// The token with this jti may be given out again, with the same end.
    Again(Jti, Timestamp),
    /// A continuation of what was begun may be given out.
    Continue(Continuation),
    /// All uses are taken.
    UsedUp,
    /// The link is paused, revoked or over, or its owner may not have it any more.
    Closed,
}

/// A download that may be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The jti that was redeemed.
    pub jti: Jti,
    /// The file's size when it was begun, in bytes.
    pub size: u64,
    /// The file's version then; empty where that is not known.
    pub version: String,
    /// The moment up to which the download service keeps the lease.
    pub until: Timestamp,
}

/// A use could not be reserved.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// The database failed; nothing was reserved.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No random bytes for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<sqlx::Error> for UseError {
    fn from(error: sqlx::Error) -> UseError {
        QueryError::from(error).into()
    }
}

/// Continues what the visitor began and did not get whole, or else reserves a use, or goes on with one for
/// another file, and puts its token on record before anybody has it. Of any number of presses at once, in
/// any number of processes, as many get a new token as there are uses.
///
/// # Errors
/// See [`UseError`].
pub async fn reserve(
    db: &Database,
    issued: &Issued,
    rules: &LeaseRules,
    press: &Press<'_>,
    now: Timestamp,
) -> Result<Reserved, UseError> {
    let mut transaction = db.begin().await?;
    let gate = gate(&mut transaction, press, now).await?;
    if gate == Gate::Closed {
        return Ok(Reserved::Closed);
    }
    if !may_give(&mut transaction, issued, press).await? {
        return Ok(Reserved::Closed);
    }
    let begun = begun::of(&mut *transaction, press.recipient, press.visitor, Some(press.file)).await?;
    if let Some(continuation) = continuation(rules, press, &begun, now) {
        return Ok(Reserved::Continue(continuation));
    }
    if gate == Gate::Ended {
        return Ok(Reserved::Closed);
    }
    if let Some(waiting) = waiting(rules, press, &begun, now) {
        return Ok(Reserved::Again(waiting.jti, waiting.expires_at));
    }
    let jti = Jti::random()?;
    if let Some(going_on) = unfinished(&mut transaction, press).await? {
        add_token(&mut transaction, issued, press, jti, &going_on, now).await?;
    } else if count_one(&mut transaction, press).await? {
        let id = Secret::random::<16>()?;
        sqlx::query(
            "INSERT INTO link_uses (id, recipient, visitor, state, made_at, changed_at) \
             VALUES ($1, $2, $3, 'reserved', $4, $4)",
        )
        .bind(id.reveal())
        .bind(press.recipient)
        .bind(press.visitor.mark.as_deref().unwrap_or_default())
        .bind(to_column(now))
        .execute(&mut *transaction)
        .await?;
        add_token(&mut transaction, issued, press, jti, id.reveal(), now).await?;
    } else {
        return Ok(Reserved::UsedUp);
    }
    transaction.commit().await?;
    Ok(Reserved::Token(jti))
}

/// What a link lets somebody do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Begin.
    Open,
    /// Finish what was begun: its end limits the start only.
    Ended,
    /// Nothing.
    Closed,
}

/// Takes the owner's account and the recipient, and returns what the link is good for now.
async fn gate(
    transaction: &mut Transaction<'static, Any>,
    press: &Press<'_>,
    now: Timestamp,
) -> Result<Gate, sqlx::Error> {
    let owner = sqlx::query("UPDATE accounts SET disabled = 0 WHERE id = $1 AND disabled = 0")
        .bind(press.owner.as_str())
        .execute(&mut **transaction)
        .await?;
    if owner.rows_affected() == 0 {
        return Ok(Gate::Closed);
    }
    let open = sqlx::query(
        "UPDATE recipients SET taken = taken WHERE id = $1 AND EXISTS (SELECT 1 FROM links \
         WHERE links.id = recipients.link AND links.account = $2 AND links.paused = 0 \
         AND links.withdrawn_at IS NULL)",
    )
    .bind(press.recipient)
    .bind(press.owner.as_str())
    .execute(&mut **transaction)
    .await?;
    if open.rows_affected() == 0 {
        return Ok(Gate::Closed);
    }
    let ends_at: Option<i64> = sqlx::query_scalar(
        "SELECT links.ends_at FROM links JOIN recipients ON recipients.link = links.id \
         WHERE recipients.id = $1",
    )
    .bind(press.recipient)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(if ends_at.is_some_and(|end| end <= to_column(now)) { Gate::Ended } else { Gate::Open })
}

/// Asks again, now that nobody can change the answer: whether the link still has the terms that were
/// fulfilled, and its owner the right to read the file.
async fn may_give(
    transaction: &mut Transaction<'static, Any>,
    issued: &Issued,
    press: &Press<'_>,
) -> Result<bool, sqlx::Error> {
    if let Some((link, terms)) = press.basis.link {
        let now: Option<i64> = sqlx::query_scalar("SELECT terms FROM links WHERE id = $1")
            .bind(link)
            .fetch_optional(&mut **transaction)
            .await?;
        if now != Some(terms) {
            return Ok(false);
        }
    }
    issued.may_issue(transaction, press.owner, press.file).await
}

/// What the visitor began of this file and may continue.
fn continuation(
    rules: &LeaseRules,
    press: &Press<'_>,
    begun: &[Begun],
    now: Timestamp,
) -> Option<Continuation> {
    let begun = begun.iter().find(|begun| {
        begun::may_continue(press.visitor, begun.progress(rules, now))
            && !begun.is_of_another_file(press.size, press.version)
    })?;
    Some(Continuation {
        jti: begun.jti,
        size: begun.size,
        version: begun.version.clone(),
        until: begun.continues_until(rules)?,
    })
}

/// A token for this file that this browser has and that is not known to be redeemed. Its button was pressed
/// twice, or the answer was lost: the same jti again costs nothing, for it can be redeemed once only.
///
/// Invariant: its end stays what it was. A download service keeps a redeemed jti by the end that it saw;
/// one that ended later would outlive its record there, and be redeemed twice.
fn waiting<'b>(
    rules: &LeaseRules,
    press: &Press<'_>,
    begun: &'b [Begun],
    now: Timestamp,
) -> Option<&'b Begun> {
    press.visitor.mark.as_ref()?;
    begun.iter().find(|begun| {
        begun.progress(rules, now) == Progress::Unredeemed
            && begun.size == press.size
            && (begun.version.is_empty() || begun.version == press.version)
    })
}

/// The use that this visitor goes on with: one of theirs that has no token for this file yet.
async fn unfinished(
    transaction: &mut Transaction<'static, Any>,
    press: &Press<'_>,
) -> Result<Option<String>, sqlx::Error> {
    let mark = press.visitor.mark.as_deref().unwrap_or_default();
    if mark.is_empty() && !press.named {
        return Ok(None);
    }
    sqlx::query_scalar(
        "SELECT id FROM link_uses WHERE recipient = $1 AND ($2 = 1 OR visitor = $3) AND state <> 'released' \
         AND NOT EXISTS (SELECT 1 FROM link_tokens WHERE use_id = link_uses.id AND path = $4 \
         AND state <> 'released') ORDER BY made_at, id LIMIT 1",
    )
    .bind(press.recipient)
    .bind(i64::from(press.named))
    .bind(mark)
    .bind(press.file.as_str())
    .fetch_optional(&mut **transaction)
    .await
}

/// Counts one more use, if there is one left.
async fn count_one(
    transaction: &mut Transaction<'static, Any>,
    press: &Press<'_>,
) -> Result<bool, sqlx::Error> {
    let counted = sqlx::query(
        "UPDATE recipients SET taken = taken + 1 WHERE id = $1 AND EXISTS (SELECT 1 FROM links \
         WHERE links.id = recipients.link AND (links.uses IS NULL OR recipients.taken < links.uses))",
    )
    .bind(press.recipient)
    .execute(&mut **transaction)
    .await?;
    Ok(counted.rows_affected() > 0)
}

async fn add_token(
    transaction: &mut Transaction<'static, Any>,
    issued: &Issued,
    press: &Press<'_>,
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
    issued.put_down(transaction, &token).await
}

/// The first byte of this token left: it and its use are used. In the transaction that puts the
/// receipt down; doing it twice changes nothing. One that was released before counts again, for it
/// was taken.
///
/// # Errors
/// When the database fails.
pub async fn started(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    now: Timestamp,
) -> Result<(), QueryError> {
    let Some(found) = lock(transaction, jti).await? else { return Ok(()) };
    set_token(transaction, jti, "used").await?;
    if found.use_state == "released" {
        sqlx::query("UPDATE recipients SET taken = taken + 1 WHERE id = $1")
            .bind(&found.recipient)
            .execute(&mut **transaction)
            .await?;
    }
    if found.use_state != "used" {
        set_use(transaction, &found.use_id, "used", now).await?;
    }
    Ok(())
}

/// The delivery of this token is over, and no byte of it left: it is released, and its use with the
/// last of its tokens. In the transaction that puts the receipt down; doing it twice changes nothing.
///
/// # Errors
/// When the database fails.
pub async fn unsent(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    now: Timestamp,
) -> Result<(), QueryError> {
    let Some(found) = lock(transaction, jti).await? else { return Ok(()) };
    if found.token_state == "reserved" {
        release(transaction, jti, &found, now).await?;
    }
    Ok(())
}

/// The tokens of one node.
#[derive(Clone, Copy, Debug)]
pub struct TokensOf<'a> {
    /// The node's audience.
    pub audience: &'a str,
    /// Whether those are its too for which no node was put down.
    pub unnamed: bool,
}

/// Releases the tokens of a node that were issued at `since` or later, ended before `before` and of which nothing
/// was ever told but that they are over and sent nothing. Answers how many that were. Every redemption of them must have been told by now:
/// `since` is when the download service's record begins, `before` its watermark less twice the leeway.
///
/// # Errors
/// When the database fails; what was released until then stays released.
pub async fn release_unredeemed(
    db: &Database,
    of: TokensOf<'_>,
    since: Timestamp,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, QueryError> {
    let mut released = 0;
    loop {
        let jtis: Vec<String> = sqlx::query_scalar(
            "SELECT jti FROM link_tokens WHERE state = 'reserved' AND expires_at < $1 \
             AND issued_at >= $2 AND (node = $3 OR (node = '' AND $4 = 1)) \
             AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.jti = link_tokens.jti \
             AND (started_at IS NOT NULL OR receipts.state <> 'over')) \
             ORDER BY expires_at LIMIT $5",
        )
        .bind(to_column(before))
        .bind(to_column(since))
        .bind(of.audience)
        .bind(i64::from(of.unnamed))
        .bind(PER_LOOK)
        .fetch_all(db.reader())
        .await?;
        let seen = released;
        for jti in jtis.iter().filter_map(|jti| jti.parse().ok()) {
            released += u64::from(release_if_unredeemed(db, jti, before, now).await?);
        }
        // Whatever is seen and not released was told of, or given out again, since it was seen.
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
    transaction.commit().await?;
    Ok(true)
}

/// Releases the uses whose tokens were for a node that was removed: those that nobody began, once their
/// token ended before `before`, and those that nobody can finish any more.
///
/// # Errors
/// When the database fails; what was released until then stays released.
pub async fn release_of_removed(
    db: &Database,
    audience: &str,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, QueryError> {
    let mut released = 0;
    loop {
        let jtis: Vec<String> = sqlx::query_scalar(
            "SELECT jti FROM link_tokens WHERE node = $1 AND expires_at < $2 AND (state = 'reserved' \
             OR (state = 'used' AND EXISTS (SELECT 1 FROM receipts WHERE receipts.jti = link_tokens.jti \
             AND receipts.state IN ('running', 'broken')))) ORDER BY expires_at LIMIT $3",
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

/// Forgets uses that were released before `before`, and their tokens: nothing can come of them any more.
///
/// # Errors
/// When the database fails.
pub async fn forget_released(db: &Database, before: Timestamp) -> Result<u64, QueryError> {
    let gone = sqlx::query("DELETE FROM link_uses WHERE state = 'released' AND changed_at < $1")
        .bind(to_column(before))
        .execute(db.writer())
        .await?;
    Ok(gone.rows_affected())
}

/// Forgets from which addresses tokens were asked for that ended before `before`: nothing can be continued
/// by them any more.
///
/// # Errors
/// When the database fails.
pub async fn forget_clients(db: &Database, before: Timestamp) -> Result<u64, QueryError> {
    let forgotten = sqlx::query("UPDATE link_tokens SET client = '' WHERE client <> '' AND expires_at < $1")
        .bind(to_column(before))
        .execute(db.writer())
        .await?;
    Ok(forgotten.rows_affected())
}

/// A token as it is, its recipient taken until the end of the transaction.
struct Found {
    recipient: String,
    use_id: String,
    use_state: String,
    token_state: String,
}

/// Takes the recipient of a token; `None` where its link is gone.
async fn lock(transaction: &mut Transaction<'static, Any>, jti: Jti) -> Result<Option<Found>, sqlx::Error> {
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
    Ok(Some(Found {
        recipient: row.try_get("recipient")?,
        use_id: row.try_get("id")?,
        use_state: row.try_get("use_state")?,
        token_state: row.try_get("token_state")?,
    }))
}

async fn release(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    found: &Found,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    set_token(transaction, jti, "released").await?;
    let left: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM link_tokens WHERE use_id = $1 AND state <> 'released'")
            .bind(&found.use_id)
            .fetch_one(&mut **transaction)
            .await?;
    if left > 0 || found.use_state == "released" {
        return Ok(());
    }
    set_use(transaction, &found.use_id, "released", now).await?;
    sqlx::query("UPDATE recipients SET taken = taken - 1 WHERE id = $1 AND taken > 0")
        .bind(&found.recipient)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn set_token(
    transaction: &mut Transaction<'static, Any>,
    jti: Jti,
    state: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE link_tokens SET state = $1 WHERE jti = $2")
        .bind(state)
        .bind(jti.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn set_use(
    transaction: &mut Transaction<'static, Any>,
    id: &str,
    state: &'static str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE link_uses SET state = $1, changed_at = $2 WHERE id = $3")
        .bind(state)
        .bind(to_column(now))
        .bind(id)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
