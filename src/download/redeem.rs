//! The rule: once, only once, and never lost.
//!
//! Open and check the file → durably record the jti → only then send. After a redemption, the
//! [`ledger`](crate::download::ledger) decides about resuming, retrying and replays; after a restart, the
//! durable record alone.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::client_address::Caller;
use crate::clock::Timestamp;
use crate::config::Resume;
use crate::download::conditions::{Conditions, Part, Precondition};
use crate::download::ledger::{Delivery, Denied, Entered, Ledger, Proof, Stream, Wish, second_key};
use crate::download::problem::Refusal;
use crate::download::receipts::Claim;
use crate::download::reservation::reserve;
use crate::download::state::DownloadState;
use crate::download::very_file;
use crate::files::{FileError, FileVersion, OpenFile};
use crate::secret::{Digest, Secret};
use crate::token::{Grant, TokenError};
use crate::used_tokens::{Lease, Mark, StoreError, Use, UsedToken};

/// Records are kept this much longer than needed, so that purging never gets ahead of a slow clock.
const KEEP_LONGER: Duration = Duration::from_secs(60 * 60);

/// A request for a grant's file.
pub(crate) struct Request {
    pub(crate) grant: Grant,
    /// Set if the token has expired: it then redeems nothing, but a redemption may be finished.
    pub(crate) ended: Option<TokenError>,
    pub(crate) conditions: Conditions,
    pub(crate) caller: Caller,
}

/// The result of a request.
pub(crate) enum Outcome {
    /// Bytes, the permission to send them, and the tag to send with them.
    Stream { stream: Stream, file: OpenFile, part: Part, tag: Secret },
    /// 304: the client already has it. Spends nothing.
    NotModified(FileVersion),
}

/// The result of a `HEAD` request.
pub(crate) enum HeadOutcome {
    /// The headers that a `GET` would have.
    Headers { version: FileVersion, part: Part },
    /// 304
    NotModified(FileVersion),
}

/// Redeems the token, or serves the client that redeemed it.
///
/// # Errors
/// The refusal; only that of a used or revoked token is final.
pub(crate) async fn redeem(state: &Arc<DownloadState>, request: &Request) -> Result<Outcome, Refusal> {
    let jti = request.grant.jti;
    let file = very_file::open(state, &request.grant).await;
    loop {
        let now = state.clock.now();
        if let Some(delivery) = state.ledger.find(jti) {
            match resume(state, request, file.as_ref(), &delivery, now).await {
                Err(Unserved::StartAnew) => continue,
                Err(Unserved::Refused(why)) => return Err(why),
                Ok(outcome) => return Ok(outcome),
            }
        }
        if request.grant.again {
            let used = state.store.find(jti).await?;
            if state.ledger.find(jti).is_none() {
                go_on(state, request, used, now)?;
            }
            continue;
        }
        // A tag in the request may be the resume key of a record. And a request that can't redeem is answered
        // from the record, if there is one.
        let prepared = file
            .as_ref()
            .map_err(|_| ())
            .map(|file| (file, prepare(&request.conditions, None, file.version())));
        let redeemable = request.ended.is_none() && matches!(&prepared, Ok((_, Prepared::Part(_))));
        // A link's token is looked up, too, so that replays write nothing to the outbox.
        let is_a_links = request.grant.link.is_some();
        if (!redeemable || is_a_links || request.conditions.shows_a_tag() || state.ledger.went_out_whole(jti))
            && let Some(used) = state.store.find(jti).await?
        {
            // It was redeemed here while the store was queried, so the ledger knows more.
            if state.ledger.find(jti).is_none() {
                reopen(state, request, &used, now)?;
            }
            continue;
        }
        if let Some(ended) = request.ended {
            return Err(ended.into());
        }
        let (file, part) = match prepared {
            Err(()) => return Err(file.err().unwrap_or(Refusal::File(FileError::Missing))),
            Ok((file, Prepared::Part(part))) => (file, part),
            Ok((_, Prepared::NotModified(version))) => return Ok(Outcome::NotModified(version)),
            Ok((_, Prepared::Refused(why))) => return Err(why),
        };
        if request.grant.issued_at > now {
            wait_for_issue(state, &request.grant, now).await?;
            continue;
        }
        let until = now.plus(state.lease_max);
        let resume_key = Secret::random::<16>()?;
        let caller = request.caller;
        let address = caller.address.filter(|_| state.resume == Resume::SameClient);
        let (file, trace) = very_file::trace(file).await?;
        let make = || {
            let delivery =
                Delivery::new(jti, file.version(), address, resume_key, until, now).of(Some(trace));
            if caller.proxied { delivery.through_proxy(state.resend_proxied) } else { delivery }
        };
        let delivery = match state.ledger.enter(jti, make) {
            Entered::Claiming(delivery) => delivery,
            Entered::Known => continue,
            Entered::Whole => return Err(Refusal::Used),
        };
        let receipt = request
            .grant
            .link
            .as_ref()
            .map(|link| state.receipts.begin(jti, link, file.version().len, caller.address));
        // From here on, the watermark of reports doesn't move, so nothing is released before this is
        // reported. But it may have passed the token's expiry while the file was opened.
        let ends = request.grant.expires_at;
        if receipt.as_ref().is_some_and(|receipt| receipt.at() >= ends.plus(state.rules.leeway)) {
            state.ledger.forget(&delivery);
            return Err(TokenError::Expired { ended: ends }.into());
        }
        let range = byte_range(&part, file.version().len);
        match claim(state, delivery, receipt, &request.grant, range, now).await? {
            Claimed::First(stream) => {
                tracing::info!(%jti, file = ?request.grant.file, address = %caller.counted_as, "redeemed");
                let tag = stream.delivery().resume_key.clone();
                return Ok(Outcome::Stream { stream, file, part, tag });
            }
            Claimed::Replay(used) => {
                reopen(state, request, &used, now)?;
            }
        }
    }
}

/// Waits until a token from a clock ahead of ours (within the leeway) is no longer from the future.
///
/// The fence relies on this: if the store is lost, the fence is the next second of our clock, and a token
/// that was redeemed before must not have been issued after that.
async fn wait_for_issue(state: &DownloadState, grant: &Grant, now: Timestamp) -> Result<(), Refusal> {
    tokio::time::sleep(grant.issued_at.since(now)).await;
    match state.clock.now() >= grant.issued_at {
        true => Ok(()),
        false => Err(TokenError::NotYetValid { from: grant.issued_at }.into()),
    }
}

/// Returns what [`redeem`] would return now, without spending, waiting or revealing the resume key.
///
/// # Errors
/// The refusal that a `GET` would get.
pub(crate) async fn head(state: &Arc<DownloadState>, request: &Request) -> Result<HeadOutcome, Refusal> {
    let jti = request.grant.jti;
    let now = state.clock.now();
    let file = very_file::open(state, &request.grant).await;
    let used = state.store.find(jti).await?;
    let delivery = match &used {
        None if request.grant.again => return Err(request.ended.map_or(Refusal::Used, Refusal::from)),
        None => state.ledger.find(jti),
        Some(used) if used.mark == Mark::Revoked => return Err(Refusal::Revoked),
        Some(used) => Some(match state.ledger.find(jti) {
            Some(delivery) => delivery,
            None => reopen(state, request, used, now)?,
        }),
    };
    if let (None, Some(ended)) = (&used, request.ended) {
        return Err(ended.into());
    }
    let file = file?;
    let file = match (&delivery, &used) {
        (Some(delivery), Some(_)) => {
            let who = proof(state, request, delivery)?;
            if !who.is_keyed() && !delivery.is_for(request.caller.address) {
                return Err(Refusal::Used);
            }
            very_file::same(&file, delivery).await?
        }
        _ => file,
    };
    let current = delivery.as_ref().map(|delivery| delivery.tag_shown(&request.conditions).1);
    let prepared = prepare(&request.conditions, current, file.version());
    let part = match prepared {
        Prepared::Part(part) => part,
        Prepared::NotModified(version) => return Ok(HeadOutcome::NotModified(version)),
        Prepared::Refused(why) => return Err(why),
    };
    // A record without a delivery is impossible, because reopen has created one. A delivery without a record
    // is a claim in progress, which a HEAD neither waits for nor disturbs.
    if let (Some(delivery), Some(_)) = (&delivery, &used) {
        let wish = wish(proof(state, request, delivery)?, delivery, &part);
        delivery.would_admit(&wish, state.lease, now).map_err(denied)?;
    }
    Ok(HeadOutcome::Headers { version: file.version(), part })
}

/// Returns the size of the file that a continuation would continue.
///
/// # Errors
/// The refusal that a `GET` would get.
pub(crate) async fn size_to_go_on(state: &Arc<DownloadState>, request: &Request) -> Result<u64, Refusal> {
    match head(state, request).await? {
        HeadOutcome::Headers { version, .. } | HeadOutcome::NotModified(version) => Ok(version.len),
    }
}

enum Prepared {
    Part(Part),
    NotModified(FileVersion),
    Refused(Refusal),
}

/// Evaluates preconditions and range, in the order of the RFC.
fn prepare(conditions: &Conditions, current: Option<&Digest>, version: FileVersion) -> Prepared {
    match conditions.evaluate(current, version.modified()) {
        Precondition::Failed => Prepared::Refused(Refusal::Precondition),
        Precondition::NotModified => Prepared::NotModified(version),
        Precondition::Holds => match conditions.part(current, version.modified(), version.len) {
            Part::Unsatisfiable => Prepared::Refused(Refusal::Range { len: version.len }),
            part => Prepared::Part(part),
        },
    }
}

pub(crate) fn byte_range(part: &Part, len: u64) -> Range<u64> {
    match part {
        Part::Range(range) => range.clone(),
        Part::Whole | Part::Unsatisfiable => 0..len,
    }
}

enum Unserved {
    Refused(Refusal),
    StartAnew,
}

impl From<Refusal> for Unserved {
    fn from(refusal: Refusal) -> Unserved {
        Unserved::Refused(refusal)
    }
}

/// Serves a client of a delivery that the ledger knows.
async fn resume(
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
fn proof(state: &DownloadState, request: &Request, delivery: &Delivery) -> Result<Proof, Refusal> {
    match (delivery.tag_shown(&request.conditions).0, request.ended) {
        (Some(_), _) if state.resume != Resume::Off => Ok(Proof::Key),
        (_, Some(ended)) if request.grant.again => Err(ended.into()),
        (_, None) if request.grant.again && state.resume != Resume::Off => Ok(Proof::Continuation),
        _ if request.grant.again => Err(Refusal::Used),
        _ => Ok(request.caller.address.map_or(Proof::None, Proof::Address)),
    }
}

fn wish(proof: Proof, delivery: &Delivery, part: &Part) -> Wish {
    let range = byte_range(part, delivery.version.len);
    Wish { range, plain: matches!(part, Part::Whole), proof }
}

fn unserved(why: Denied) -> Unserved {
    match why {
        Denied::StartAnew => Unserved::StartAnew,
        why => Unserved::Refused(denied(why)),
    }
}

fn denied(why: Denied) -> Refusal {
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
fn go_on(
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
fn reopen(
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

enum Claimed {
    First(Stream),
    Replay(UsedToken),
}

/// Records the jti. Once started, this runs to completion even if the client hangs up, so that the ledger
/// always learns the result.
async fn claim(
    state: &Arc<DownloadState>,
    delivery: Arc<Delivery>,
    receipt: Option<Claim>,
    grant: &Grant,
    range: Range<u64>,
    now: Timestamp,
) -> Result<Claimed, StoreError> {
    let until = now.plus(state.lease_max);
    let lease = Lease {
        resume_key: *delivery.resume_digest(),
        until,
        version: delivery.version,
        trace: delivery.trace,
        reserved: 0,
        active_at: now,
    };
    // Invariant: forget_at is later than any time at which `verify` could still accept the token, even on a
    // node whose clock is a leeway behind ours. Otherwise purging would reopen the link.
    let forget_at = grant.expires_at.plus(state.rules.leeway * 2).plus(KEEP_LONGER).max(until);
    let mark = Mark::Redeemed((state.resume != Resume::Off).then_some(lease));
    let used = UsedToken { jti: grant.jti, marked_at: now, forget_at, mark };
    let state = state.clone();
    let claim = async move {
        let mut claiming = Claiming { ledger: &state.ledger, delivery: Some(delivery.clone()) };
        let answer = match receipt {
            None => state.store.claim(used).await,
            Some(receipt) => claim_with_receipt(&state, used, receipt, &delivery).await,
        };
        match answer {
            Ok(Use::First) => {
                claiming.delivery = None;
                Ok(Claimed::First(delivery.open(&state.ledger, range)))
            }
            Ok(Use::Replay(before)) => Ok(Claimed::Replay(before)),
            Err(e) => Err(e),
        }
    };
    CarriedThrough(Some(Box::pin(claim))).await
}

/// A delivery that is being claimed. If it isn't redeemed when this is dropped (even by a panic), it is
/// forgotten, so that nobody waits for it; the store tells the next request what happened.
struct Claiming<'a> {
    ledger: &'a Ledger,
    delivery: Option<Arc<Delivery>>,
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        if let Some(delivery) = &self.delivery {
            self.ledger.forget(delivery);
        }
    }
}

/// Claims a token that has a receipt. Both records are written in parallel, and both are durable before a
/// byte is sent: whatever happens, a delivery that may have begun is reported.
async fn claim_with_receipt(
    state: &DownloadState,
    used: UsedToken,
    receipt: Claim,
    delivery: &Arc<Delivery>,
) -> Result<Use, StoreError> {
    let (answer, intended) = match receipt.is_doubtful() {
        false => tokio::join!(state.store.claim(used), receipt.intend()),
        // So that nothing is spent in vain.
        true => match receipt.intend().await {
            Ok(new) => (state.store.claim(used).await, Ok(new)),
            Err(error) => {
                return Err(StoreError::Backend {
                    action: "record what has to be reported",
                    source: error.into(),
                });
            }
        },
    };
    match (answer, intended) {
        (Ok(Use::First), Ok(_)) => {
            receipt.redeemed(delivery);
            Ok(Use::First)
        }
        // It is spent, but no byte is sent. It counts as not sent, because it isn't reported.
        (Ok(Use::First), Err(error)) => {
            Err(StoreError::Backend { action: "record what has to be reported", source: error.into() })
        }
        (answer, intended) => {
            receipt.cancelled(intended.unwrap_or(false));
            answer
        }
    }
}

/// A future that continues on its own if it is dropped before it finishes.
struct CarriedThrough<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> Future for CarriedThrough<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = self.0.as_mut() else { return Poll::Pending };
        let output = future.as_mut().poll(cx);
        if output.is_ready() {
            self.0 = None;
        }
        output
    }
}

impl<T: Send + 'static> Drop for CarriedThrough<T> {
    fn drop(&mut self) {
        if let Some(future) = self.0.take() {
            tokio::spawn(future);
        }
    }
}
