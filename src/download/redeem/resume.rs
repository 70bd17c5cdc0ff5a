//! Goes on with a delivery that was redeemed before.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Resume;
use crate::download::conditions::Part;
use crate::download::ledger::{Delivery, Denied, Proof, Wish, second_key};
use crate::download::problem::Refusal;
use crate::download::redeem::prepared::{Prepared, byte_range, prepare};
use crate::download::redeem::request::{Outcome, Request};
use crate::download::reservation::reserve;
use crate::download::state::DownloadState;
use crate::download::very_file;
use crate::files::{FileError, OpenFile};
use crate::used_tokens::{Mark, UsedToken};

/// Why a client of a known delivery isn't served.
pub(super) enum Unserved {
    Refused(Refusal),
    StartAnew,
}

impl From<Refusal> for Unserved {
    fn from(refusal: Refusal) -> Unserved {
        Unserved::Refused(refusal)
    }
}

/// Serves a client of a delivery that the ledger knows.
pub(super) async fn resume(
    state: &Arc<DownloadState>,
    request: &Request,
    file: Result<&OpenFile, &Refusal>,
    delivery: &Arc<Delivery>,
    now: Timestamp,
) -> Result<Outcome, Unserved> {
    // The client is identified first: a stranger learns only that the token is used.
    let who = proof(state, request, delivery)?;
    if !who.is_keyed() && !delivery.is_for(request.caller.address) {
        return Err(Refusal::Used.into());
    }
    if state.store.is_shared()
        && state
            .store
            .find(delivery.jti)
            .await
            .map_err(Refusal::from)?
            .is_some_and(|used| used.mark == Mark::Revoked)
    {
        state.revoked_elsewhere(delivery.jti);
        return Err(Refusal::Revoked.into());
    }
    let file = match file {
        Ok(file) => very_file::same(file, delivery).await?,
        Err(Refusal::FileChanged) => return Err(Refusal::FileChanged.into()),
        Err(Refusal::File(FileError::Unreadable(e))) => {
            return Err(Refusal::File(FileError::Unreadable(e.kind().into())).into());
        }
        Err(Refusal::File(FileError::ShareGone)) => return Err(Refusal::File(FileError::ShareGone).into()),
        Err(_) => return Err(Refusal::File(FileError::Missing).into()),
    };
    let (shown, current) = delivery.tag_shown(&request.conditions);
    let part = match prepare(&request.conditions, Some(current), file.version()) {
        Prepared::Part(part) => part,
        Prepared::NotModified(version) => return Ok(Outcome::NotModified(version)),
        Prepared::Refused(why) => return Err(why.into()),
    };
    let wish = wish(who, delivery, &part);
    let stream = delivery.admit(&state.ledger, &wish, state.lease, now).await.map_err(unserved)?;
    if who.is_keyed() {
        reserve(state, delivery, &stream, now).await?;
    }
    if request.grant.link.is_some() {
        state.receipts.resumed(delivery).await;
    }
    tracing::info!(jti = %delivery.jti, range = ?wish.range, by = ?wish.proof, "resumed");
    // A client that presents one tag isn't shown the other.
    let tag = shown.unwrap_or_else(|| delivery.resume_key.clone());
    Ok(Outcome::Stream { stream, file, part, tag })
}

/// Determines how a client proves that it is the one that redeemed.
///
/// # Errors
/// An expired continuation begins nothing: what it continued goes on with its tag.
pub(super) fn proof(state: &DownloadState, request: &Request, delivery: &Delivery) -> Result<Proof, Refusal> {
    match (delivery.tag_shown(&request.conditions).0, request.ended) {
        (Some(_), _) if state.resume != Resume::Off => Ok(Proof::Key),
        (_, Some(ended)) if request.grant.again => Err(ended.into()),
        (_, None) if request.grant.again && state.resume != Resume::Off => Ok(Proof::Continuation),
        _ if request.grant.again => Err(Refusal::Used),
        _ => Ok(request.caller.address.map_or(Proof::None, Proof::Address)),
    }
}

pub(super) fn wish(proof: Proof, delivery: &Delivery, part: &Part) -> Wish {
    let range = byte_range(part, delivery.version.len);
    Wish { range, plain: matches!(part, Part::Whole), proof }
}

fn unserved(why: Denied) -> Unserved {
    match why {
        Denied::StartAnew => Unserved::StartAnew,
        why => Unserved::Refused(denied(why)),
    }
}

pub(super) fn denied(why: Denied) -> Refusal {
    match why {
        // StartAnew occurs here only for a HEAD, which may say "used" too early.
        Denied::Used | Denied::StartAnew => Refusal::Used,
        Denied::Revoked => Refusal::Revoked,
        Denied::Crowded => Refusal::TooMany { retry_after: Duration::from_secs(1) },
        Denied::Unanswered => Refusal::StoreSlow,
    }
}

/// Handles a continuation of a delivery that isn't open in the ledger.
///
/// # Errors
/// If nothing was begun, or nothing is left to continue: a continuation redeems nothing.
pub(super) fn go_on(
    state: &DownloadState,
    request: &Request,
    used: Option<UsedToken>,
    now: Timestamp,
) -> Result<Arc<Delivery>, Refusal> {
    let used = used.ok_or_else(|| request.ended.map_or(Refusal::Used, Refusal::from))?;
    reopen(state, request, &used, now)
}

/// Reopens a recorded jti that isn't in the ledger, for a client with the resume key or a continuation, while
/// the lease lasts.
pub(super) fn reopen(
    state: &DownloadState,
    request: &Request,
    used: &UsedToken,
    now: Timestamp,
) -> Result<Arc<Delivery>, Refusal> {
    let lease = match used.mark {
        Mark::Revoked => return Err(Refusal::Revoked),
        Mark::Redeemed(None) => return Err(Refusal::Used),
        Mark::Redeemed(Some(lease)) => lease,
    };
    if state.resume == Resume::Off || lease.until <= now {
        return Err(Refusal::Used);
    }
    let conditions = &request.conditions;
    let shown = conditions
        .shown_key(&lease.resume_key)
        .or_else(|| conditions.shown_key(&second_key(&lease.resume_key).digest()));
    match (&shown, request.ended) {
        (Some(_), _) => {}
        (None, Some(ended)) if request.grant.again => return Err(ended.into()),
        // This node knows that it is complete: only a key opens it then.
        (None, None) if request.grant.again && !state.ledger.went_out_whole(used.jti) => {}
        (None, _) => return Err(Refusal::Used),
    }
    // If the ledger doesn't know the delivery, it was sent by another node, or before this process started:
    // at the latest at the time that the store had recorded by then. Bytes were sent when it was redeemed,
    // and whenever the store was updated since.
    let last_sent_before_start = state.store.opened_mark();
    let sent_before_start =
        used.marked_at <= last_sent_before_start && last_sent_before_start.plus(state.lease) > now;
    let unknown_may = sent_before_start || lease.active_at.max(used.marked_at).plus(state.lease) > now;
    let make = || Delivery::recorded(used.jti, &lease, shown, now);
    state.ledger.reopen(used.jti, state.lease, now, unknown_may, make).ok_or(Refusal::Used)
}
