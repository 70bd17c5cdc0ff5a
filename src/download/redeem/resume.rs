//! Resumes a delivery that was redeemed before.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Resume;
use crate::download::archives::ManifestError;
use crate::download::conditions::RequestedPart;
use crate::download::content::Content;
use crate::download::ledger::{Delivery, RedeemerProof, StreamRefusal, StreamRequest, second_key};
use crate::download::problem::DownloadRefusal;
use crate::download::redeem::prepared::{Prepared, byte_range, prepare};
use crate::download::redeem::request::{RedeemOutcome, Request};
use crate::download::reservation::reserve;
use crate::download::same_file;
use crate::download::state::DownloadState;
use crate::files::FileError;
use crate::used_tokens::{Mark, UsedToken};

/// Why a client of a known delivery isn't served.
pub(super) enum Unserved {
    Refused(DownloadRefusal),
    StartAgain,
}

impl From<DownloadRefusal> for Unserved {
    fn from(refusal: DownloadRefusal) -> Unserved {
        Unserved::Refused(refusal)
    }
}

/// Serves a client of a delivery that the ledger knows.
pub(super) async fn resume(
    state: &Arc<DownloadState>,
    request: &Request,
    file: Result<&Content, &DownloadRefusal>,
    delivery: &Arc<Delivery>,
    now: Timestamp,
) -> Result<RedeemOutcome, Unserved> {
    // The client is identified first: a stranger learns only that the token is used.
    let who = proof(state, request, delivery)?;
    if !who.is_keyed() && !delivery.is_for(request.caller.address) {
        return Err(DownloadRefusal::Used.into());
    }
    if state.store.is_shared()
        && state
            .store
            .find(delivery.jti)
            .await
            .map_err(DownloadRefusal::from)?
            .is_some_and(|used| used.mark == Mark::Revoked)
    {
        state.revoked_elsewhere(delivery.jti);
        return Err(DownloadRefusal::Revoked.into());
    }
    let file = match file {
        Ok(file) => same_file::same(file, delivery).await?,
        Err(DownloadRefusal::FileChanged) => return Err(DownloadRefusal::FileChanged.into()),
        Err(DownloadRefusal::File(FileError::Unreadable(e))) => {
            return Err(DownloadRefusal::File(FileError::Unreadable(e.kind().into())).into());
        }
        Err(DownloadRefusal::File(FileError::ShareGone)) => {
            return Err(DownloadRefusal::File(FileError::ShareGone).into());
        }
        Err(DownloadRefusal::Manifest(_)) => {
            return Err(DownloadRefusal::Manifest(ManifestError::Slow).into());
        }
        Err(_) => return Err(DownloadRefusal::File(FileError::Missing).into()),
    };
    let (shown, current) = delivery.tag_shown(&request.conditions);
    let part = match prepare(&request.conditions, Some(current), file.version()) {
        Prepared::Part(part) => part,
        Prepared::NotModified(version) => return Ok(RedeemOutcome::NotModified(version)),
        Prepared::Refused(why) => return Err(why.into()),
    };
    let wish = stream_request(who, delivery, &part);
    same_file::check_part(state, &file, wish.range.clone()).await?;
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
    Ok(RedeemOutcome::Stream { stream, content: file, part, tag, is_first: false })
}

/// Determines how a client proves that it is the one that redeemed.
///
/// # Errors
/// An expired continuation begins nothing: what it continued goes on with its tag.
pub(super) fn proof(
    state: &DownloadState,
    request: &Request,
    delivery: &Delivery,
) -> Result<RedeemerProof, DownloadRefusal> {
    match (delivery.tag_shown(&request.conditions).0, request.ended) {
        (Some(_), _) if state.resume != Resume::Off => Ok(RedeemerProof::Key),
        (_, Some(ended)) if request.grant.again => Err(ended.into()),
        (_, None) if request.grant.again && state.resume != Resume::Off => Ok(RedeemerProof::Continuation),
        _ if request.grant.again => Err(DownloadRefusal::Used),
        _ => Ok(request.caller.address.map_or(RedeemerProof::None, RedeemerProof::Address)),
    }
}

pub(super) fn stream_request(
    proof: RedeemerProof,
    delivery: &Delivery,
    part: &RequestedPart,
) -> StreamRequest {
    let range = byte_range(part, delivery.version.len);
    StreamRequest { range, plain: matches!(part, RequestedPart::Whole), proof }
}

fn unserved(why: StreamRefusal) -> Unserved {
    match why {
        StreamRefusal::ClaimFailed => Unserved::StartAgain,
        why => Unserved::Refused(denied(why)),
    }
}

pub(super) fn denied(why: StreamRefusal) -> DownloadRefusal {
    match why {
        // A claim that failed occurs here only for a HEAD, which may say "used" too early.
        StreamRefusal::Used | StreamRefusal::ClaimFailed => DownloadRefusal::Used,
        StreamRefusal::Revoked => DownloadRefusal::Revoked,
        StreamRefusal::Crowded => DownloadRefusal::TooMany { retry_after: Duration::from_secs(1) },
        StreamRefusal::Unanswered => DownloadRefusal::StoreSlow,
    }
}

/// Handles a continuation of a delivery that isn't open in the ledger.
///
/// # Errors
/// If nothing was begun, or nothing is left to continue: a continuation redeems nothing.
pub(super) fn resume_delivery(
    state: &DownloadState,
    request: &Request,
    used: Option<UsedToken>,
    now: Timestamp,
) -> Result<Arc<Delivery>, DownloadRefusal> {
    let used = used.ok_or_else(|| request.ended.map_or(DownloadRefusal::Used, DownloadRefusal::from))?;
    reopen(state, request, &used, now)
}

/// Reopens a recorded jti that isn't in the ledger, for a client with the resume key or a continuation, while
/// the lease lasts.
pub(super) fn reopen(
    state: &DownloadState,
    request: &Request,
    used: &UsedToken,
    now: Timestamp,
) -> Result<Arc<Delivery>, DownloadRefusal> {
    let lease = match used.mark {
        Mark::Revoked => return Err(DownloadRefusal::Revoked),
        Mark::Redeemed(None) => return Err(DownloadRefusal::Used),
        Mark::Redeemed(Some(lease)) => lease,
    };
    if state.resume == Resume::Off || lease.until <= now {
        return Err(DownloadRefusal::Used);
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
        (None, _) => return Err(DownloadRefusal::Used),
    }
    // If the ledger doesn't know the delivery, it was sent by another node, or before this process started:
    // at the latest at the time that the store had recorded by then. Bytes were sent when it was redeemed,
    // and whenever the store was updated since.
    let last_sent_before_start = state.store.opened_mark();
    let sent_before_start =
        used.marked_at <= last_sent_before_start && last_sent_before_start.plus(state.lease) > now;
    let unknown_may = sent_before_start || lease.active_at.max(used.marked_at).plus(state.lease) > now;
    let make = || Delivery::recorded(used.jti, &lease, shown, now);
    state.ledger.reopen(used.jti, state.lease, now, unknown_may, make).ok_or(DownloadRefusal::Used)
}
