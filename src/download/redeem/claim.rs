//! Records a jti as used, and its receipt beside it.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::config::Resume;
use crate::download::ledger::{Delivery, Ledger, Stream};
use crate::download::receipts::PendingRedemption;
use crate::download::state::DownloadState;
use crate::token::Grant;
use crate::used_tokens::{Lease, Mark, StoreError, Use, UsedToken};

/// Records are kept this much longer than needed, so that purging never gets ahead of a slow clock.
const KEEP_LONGER: Duration = Duration::from_secs(60 * 60);

/// The result of a claim.
pub(super) enum Claimed {
    First(Stream),
    Replay(UsedToken),
}

/// Records the jti. Once started, this runs to completion even if the client hangs up, so that the ledger
/// always learns the result.
pub(super) async fn claim(
    state: &Arc<DownloadState>,
    delivery: Arc<Delivery>,
    receipt: Option<PendingRedemption>,
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
    let (state, issued_at) = (state.clone(), grant.issued_at);
    let claim = async move {
        let mut claiming = Claiming { ledger: &state.ledger, delivery: Some(delivery.clone()) };
        let began = Instant::now();
        let answer = match receipt {
            None => state.store.claim_issued(used, issued_at).await,
            Some(receipt) => claim_with_receipt(&state, (used, issued_at), receipt, &delivery).await,
        };
        state.metrics.claim_seconds.observe(began.elapsed().as_secs_f64());
        match answer {
            Ok(Use::First) => {
                claiming.delivery = None;
                Ok(Claimed::First(delivery.open(&state.ledger, range)))
            }
            Ok(Use::Replay(before)) => Ok(Claimed::Replay(before)),
            Err(e) => Err(e),
        }
    };
    DetachOnDrop(Some(Box::pin(claim))).await
}

/// A delivery that is being claimed. If it isn't redeemed when this is dropped (even by a panic), it is
/// forgotten, so that nobody waits for it; the next request learns from the store what happened.
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
    (used, issued_at): (UsedToken, Timestamp),
    receipt: PendingRedemption,
    delivery: &Arc<Delivery>,
) -> Result<Use, StoreError> {
    let (answer, intended) = match receipt.may_fail() {
        false => tokio::join!(state.store.claim_issued(used, issued_at), receipt.intend()),
        // In this order, so that nothing is spent in vain.
        true => match receipt.intend().await {
            Ok(new) => (state.store.claim_issued(used, issued_at).await, Ok(new)),
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
struct DetachOnDrop<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> Future for DetachOnDrop<T> {
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

impl<T: Send + 'static> Drop for DetachOnDrop<T> {
    fn drop(&mut self) {
        if let Some(future) = self.0.take() {
            tokio::spawn(future);
        }
    }
}
