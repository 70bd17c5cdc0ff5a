//! Reserves a use of a link when its download button is pressed, or continues a download.

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti, RecipientId};
use crate::secret::{RandomError, Secret};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;
use crate::web::links::open_uses;
use crate::web::links::progress::{self, BegunDownload, DownloadProgress, LeaseRules, Visitor};
use crate::web::revocations::issued::{IssuedTokens, NewToken, TokenBasis};
use crate::web::shares::archive_path;

/// A press of the download button.
#[derive(Clone, Copy, Debug)]
pub struct UseRequest<'a> {
    /// The account that created the link.
    pub owner: &'a AccountId,
    /// The recipient's id.
    pub recipient: &'a RecipientId,
    /// Whether the recipient has an email address: then uses belong to the recipient, whichever browser they
    /// use.
    pub named: bool,
    /// Who pressed the button; identifies the downloads that they may continue.
    pub visitor: &'a Visitor,
    /// The requested file, or the path of an archive of all files (see [`archive_path`]).
    pub file: &'a FilePath,
    /// The size of the file or archive in bytes.
    pub size: u64,
    /// The file's version, or the digest of the archive's manifest.
    pub version: &'a str,
    /// When a new token expires.
    pub expires_at: Timestamp,
    /// What the token depends on, including the version of the link's terms that the visitor fulfilled.
    pub basis: TokenBasis<'a>,
}

/// The result of a press of the download button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseDecision {
    /// A new token with this jti may be issued.
    Token(Jti),
    /// The existing token with this jti may be issued again, with this unchanged expiry.
    Again(Jti, Timestamp),
    /// An unfinished download may be continued.
    Continue(Continuation),
    /// All uses are taken.
    UsedUp,
    /// The link is paused, revoked or expired, or its owner may no longer share it.
    Closed,
}

/// A download that may be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The jti of the token that was redeemed.
    pub jti: Jti,
    /// The file's size when the download began, in bytes.
    pub size: u64,
    /// The file's version when the download began; empty if unknown.
    pub version: String,
    /// When the download service's lease ends.
    pub until: Timestamp,
}

/// A use could not be reserved.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// The database failed; nothing was reserved.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system gave no random bytes for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl UseError {
    /// Whether the database refused this press, and may not refuse another.
    pub(in crate::web::links) fn is_refusal(&self) -> bool {
        matches!(self, UseError::Query(error) if error.is_refusal())
    }
}

impl From<sqlx::Error> for UseError {
    fn from(error: sqlx::Error) -> UseError {
        QueryError::from(error).into()
    }
}

/// Continues the visitor's unfinished download of the file if there is one. Otherwise adds a token to a use
/// that the visitor already has, or reserves a new use. Records the token before it is issued. However many
/// requests arrive at once, in however many processes, no more uses are taken than the link has.
///
/// # Errors
/// See [`UseError`].
pub async fn reserve(
    db: &Database,
    issued: &IssuedTokens,
    rules: &LeaseRules,
    press: &UseRequest<'_>,
    now: Timestamp,
) -> Result<UseDecision, UseError> {
    let mut transaction = db.begin().await?;
    let decision = decide(&mut transaction, db, issued, rules, press, now).await?;
    if has_written(&decision) {
        db.commit(transaction).await?;
    }
    Ok(decision)
}

/// Decides presses one after the other, as [`reserve`] does, in one transaction.
pub(in crate::web::links) async fn reserve_all(
    db: &Database,
    issued: &IssuedTokens,
    rules: &LeaseRules,
    presses: &[(UseRequest<'_>, Timestamp)],
) -> Result<Vec<UseDecision>, UseError> {
    let mut transaction = db.begin().await?;
    let mut decisions = Vec::with_capacity(presses.len());
    for (press, now) in presses {
        decisions.push(decide(&mut transaction, db, issued, rules, press, *now).await?);
    }
    if decisions.iter().any(has_written) {
        db.commit(transaction).await?;
    }
    Ok(decisions)
}

/// Whether the decision may have written anything.
const fn has_written(decision: &UseDecision) -> bool {
    matches!(decision, UseDecision::Token(_) | UseDecision::Again(..))
}

async fn decide(
    transaction: &mut Transaction<'static, Any>,
    db: &Database,
    issued: &IssuedTokens,
    rules: &LeaseRules,
    press: &UseRequest<'_>,
    now: Timestamp,
) -> Result<UseDecision, UseError> {
    // The owner's account first, see the invariant.
    if !issued.lock_and_check(transaction, press.owner, press.file).await? {
        return Ok(UseDecision::Closed);
    }
    let Some(gate) = lock_and_check(transaction, db, press, now).await? else {
        return Ok(UseDecision::Closed);
    };
    let begun = progress::of(&mut **transaction, press.recipient, press.visitor, Some(press.file)).await?;
    if let Some(continuation) = continuation(rules, press, &begun, now) {
        return Ok(UseDecision::Continue(continuation));
    }
    if gate.has_ended {
        return Ok(UseDecision::Closed);
    }
    if let Some(waiting) = find_unredeemed(rules, press, &begun, now) {
        return Ok(UseDecision::Again(waiting.jti, waiting.expires_at));
    }
    let jti = Jti::random()?;
    if let Some(going_on) = find_open_use(transaction, press, gate.uses).await? {
        add_token(transaction, issued, press, jti, &going_on, now).await?;
    } else if take_use(transaction, press).await? {
        let id = Secret::random::<16>()?;
        sqlx::query(
            "INSERT INTO link_uses (id, recipient, visitor, state, made_at, changed_at) \
             VALUES ($1, $2, $3, 'reserved', $4, $4)",
        )
        .bind(id.reveal())
        .bind(press.recipient.as_str())
        .bind(press.visitor.mark.as_deref().unwrap_or_default())
        .bind(to_column(now))
        .execute(&mut **transaction)
        .await?;
        add_token(transaction, issued, press, jti, id.reveal(), now).await?;
    } else {
        return Ok(match take_over(transaction, press, gate.uses, now).await? {
            Some((jti, end)) => UseDecision::Again(jti, end),
            None => UseDecision::UsedUp,
        });
    }
    Ok(UseDecision::Token(jti))
}

/// What a link that is neither paused nor revoked allows now.
#[derive(Clone, Copy, Debug)]
struct LinkAccess {
    /// Whether downloads can only be continued: the end of a link limits when they can start.
    has_ended: bool,
    /// How many uses each recipient has; `None` for no limit.
    uses: Option<u32>,
}

/// Locks the recipient and returns what the link allows now; `None` for nothing, also if it no longer has the
/// terms that the visitor fulfilled. The lock on its owner's account, which the caller holds, keeps it so.
async fn lock_and_check(
    transaction: &mut Transaction<'static, Any>,
    db: &Database,
    press: &UseRequest<'_>,
    now: Timestamp,
) -> Result<Option<LinkAccess>, sqlx::Error> {
    let query = format!(
        "SELECT links.id, links.terms, links.ends_at, links.uses FROM recipients \
         JOIN links ON links.id = recipients.link WHERE recipients.id = $1 AND links.account = $2 \
         AND links.paused = 0 AND links.withdrawn_at IS NULL AND recipients.removed_at IS NULL \
         AND (links.arrival IS NULL OR links.arrival = 'complete'){}",
        db.row_lock("recipients")
    );
    let found: Option<(String, i64, Option<i64>, Option<i64>)> = sqlx::query_as(AssertSqlSafe(query))
        .bind(press.recipient.as_str())
        .bind(press.owner.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    let Some((link, terms, ends_at, uses)) = found else { return Ok(None) };
    if press.basis.link.is_some_and(|(id, fulfilled)| id.as_str() != link || fulfilled != terms) {
        return Ok(None);
    }
    Ok(Some(LinkAccess {
        has_ended: ends_at.is_some_and(|end| end <= to_column(now)),
        uses: uses.map(|uses| u32::try_from(uses).unwrap_or(0)),
    }))
}

/// Returns the visitor's download of this file that may be continued, if any.
fn continuation(
    rules: &LeaseRules,
    press: &UseRequest<'_>,
    begun: &[BegunDownload],
    now: Timestamp,
) -> Option<Continuation> {
    let begun = begun.iter().find(|begun| {
        progress::may_continue(press.visitor, begun.progress(rules, now))
            && !begun.is_of_another_file(press.size, press.version)
    })?;
    Some(Continuation {
        jti: begun.jti,
        size: begun.size,
        version: begun.version.clone(),
        until: begun.continues_until(rules)?,
    })
}

/// Returns a token for this file that this browser already has and that is not known to be redeemed. The
/// button was pressed twice, or the response was lost. Issuing the same jti again costs nothing, because it
/// can be redeemed only once.
///
/// Invariant: its expiry stays unchanged. A download service keeps a redeemed jti according to the expiry
/// that it saw; a token with a later expiry would outlive that record and could be redeemed twice.
fn find_unredeemed<'b>(
    rules: &LeaseRules,
    press: &UseRequest<'_>,
    begun: &'b [BegunDownload],
    now: Timestamp,
) -> Option<&'b BegunDownload> {
    press.visitor.mark.as_ref()?;
    begun.iter().find(|begun| {
        begun.progress(rules, now) == DownloadProgress::Unredeemed
            && begun.size == press.size
            && (begun.version.is_empty() || begun.version == press.version)
    })
}

/// Returns a use of this visitor that has no token for this file yet.
async fn find_open_use(
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
/// Invariant: its expiry stays unchanged, as in [`find_unredeemed`].
async fn take_over(
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
async fn take_use(
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

async fn add_token(
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
