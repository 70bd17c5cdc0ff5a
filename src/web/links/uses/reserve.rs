//! Reserves a use of a link when its download button is pressed, or continues a download.

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::secret::Secret;
use crate::web::db::Database;
use crate::web::db::columns::to_column;
use crate::web::links::progress::{self, BegunDownload, DownloadProgress, LeaseRules};
use crate::web::links::uses::request::{Continuation, UseDecision, UseError, UseRequest};
use crate::web::links::uses::take::{add_token, find_open_use, take_over, take_use};
use crate::web::revocations::issued::IssuedTokens;

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
