//! Who may get which bytes: the rule after a redemption.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::clock::Timestamp;
use crate::download::ledger::deliveries::Ledger;
use crate::download::ledger::delivery::Delivery;
use crate::download::ledger::limits::{GRACE, MAX_STREAMS, PATIENCE};
use crate::download::ledger::proof::RedeemerProof;
use crate::download::ledger::state::{DeliveryInner, DeliveryPhase, RunningStream};
use crate::download::ledger::stream::Stream;

/// What a client requests.
#[derive(Clone, Debug)]
pub(crate) struct StreamRequest {
    pub(crate) range: Range<u64>,
    /// Without a `Range` header: such a request is a retry from the start, not a resumption.
    pub(crate) plain: bool,
    pub(crate) proof: RedeemerProof,
}

/// A request for bytes is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamRefusal {
    /// Used up, at least for this client.
    Used,
    /// Revoked.
    Revoked,
    /// There are already sixteen connections for it.
    Crowded,
    /// The claim is taking too long.
    Unanswered,
    /// The claim that this waited for failed: start again.
    ClaimFailed,
}

/// What prevents a request from being granted.
pub(super) enum Obstacle {
    Final(StreamRefusal),
    /// Another transfer has to end first; if it doesn't, this is the result.
    Passing(StreamRefusal),
    /// This is the result, unless a connection turns out to be broken right now.
    Fading(StreamRefusal),
}

impl Delivery {
    /// Call this when the claim is durable. Gives the redeeming request its stream before any other, and
    /// wakes waiting requests.
    pub(crate) fn open(self: &Arc<Delivery>, ledger: &Arc<Ledger>, range: Range<u64>) -> Stream {
        let mut state = self.state();
        // A revocation may have come in between; the stream then stops at its first portion.
        if state.phase == DeliveryPhase::Claiming {
            state.phase = DeliveryPhase::Open;
        }
        let stream = self.start(&mut state, ledger, range, false);
        drop(state);
        self.notify();
        stream
    }

    /// Grants a request for bytes, now or after waiting up to [`PATIENCE`] for whatever prevents it.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) async fn admit(
        self: &Arc<Delivery>,
        ledger: &Arc<Ledger>,
        wish: &StreamRequest,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Stream, StreamRefusal> {
        let began = Instant::now();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the check, so that a change between check and wait isn't missed.
            changed.as_mut().enable();
            let (otherwise, patience) = match self.try_admit(ledger, wish, lease, now) {
                Ok(stream) => return Ok(stream),
                Err(Obstacle::Final(why)) => return Err(why),
                Err(Obstacle::Passing(otherwise)) => (otherwise, PATIENCE),
                Err(Obstacle::Fading(otherwise)) => (otherwise, GRACE),
            };
            tokio::select! {
                () = &mut changed => {}
                () = sleep_until(began + patience) => return Err(otherwise),
            }
        }
    }

    /// Returns whether the request would be granted now, without waiting and without starting anything.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn would_admit(
        &self,
        wish: &StreamRequest,
        lease: Duration,
        now: Timestamp,
    ) -> Result<(), StreamRefusal> {
        self.check(&self.state(), wish, lease, now)
            .map_err(|(Obstacle::Final(why) | Obstacle::Passing(why) | Obstacle::Fading(why))| why)
    }

    pub(super) fn try_admit(
        self: &Arc<Delivery>,
        ledger: &Arc<Ledger>,
        wish: &StreamRequest,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Stream, Obstacle> {
        let mut state = self.state();
        self.check(&state, wish, lease, now)?;
        state.resume_at(wish.range.start);
        if state.streams.is_empty() {
            state.resumptions = state.resumptions.saturating_add(1);
        } else if !wish.proof.is_keyed() {
            state.is_split = true;
        }
        Ok(self.start(&mut state, ledger, wish.range.clone(), wish.proof.is_keyed()))
    }

    fn check(
        &self,
        state: &DeliveryInner,
        wish: &StreamRequest,
        lease: Duration,
        now: Timestamp,
    ) -> Result<(), Obstacle> {
        match state.phase {
            DeliveryPhase::Claiming => return Err(Obstacle::Passing(StreamRefusal::Unanswered)),
            DeliveryPhase::Dropped => return Err(Obstacle::Final(StreamRefusal::ClaimFailed)),
            DeliveryPhase::Revoked => return Err(Obstacle::Final(StreamRefusal::Revoked)),
            DeliveryPhase::Open => {}
        }
        if self.lease_end(state, lease) <= now {
            return Err(Obstacle::Final(StreamRefusal::Used));
        }
        match wish.proof {
            RedeemerProof::Key | RedeemerProof::Continuation => {}
            RedeemerProof::Address(address) if self.is_for(Some(address)) => {}
            RedeemerProof::Address(_) | RedeemerProof::None => {
                return Err(Obstacle::Final(StreamRefusal::Used));
            }
        }
        // A complete delivery stays complete, whatever happens when a client gets it again with the key.
        if wish.proof != RedeemerProof::Key && (state.opened_again || self.is_complete(state)) {
            let from_within = !wish.plain && wish.range.start > 0;
            let by_address = !wish.proof.is_keyed();
            let is_unread = self.proxied
                || state.is_split
                || state.unread.overlap(&wish.range) == wish.range.end - wish.range.start;
            if !(by_address && from_within && is_unread && self.may_be_unread(state, now)) {
                // Bytes may still be in this process, or lost on a connection that is about to break. A
                // client that splits the part of another connection closes that one soon.
                return Err(match (state.streams.is_empty(), state.is_settled()) {
                    (true, true) => Obstacle::Final(StreamRefusal::Used),
                    (true, false) if !from_within => Obstacle::Fading(StreamRefusal::Used),
                    _ => Obstacle::Passing(StreamRefusal::Used),
                });
            }
        }
        if wish.proof.is_keyed() {
            if state.bytes_sent.saturating_add(wish.range.end - wish.range.start) > self.byte_budget() {
                return Err(Obstacle::Final(StreamRefusal::Used));
            }
        } else {
            // A plain GET is a retry only when no transfer is running. A range may be requested while others
            // are running (download managers do that), but not where one of them is sending.
            let in_the_way = |running: &RunningStream| {
                wish.plain || (running.start..=running.position).contains(&wish.range.start)
            };
            if state.streams.iter().any(in_the_way) {
                return Err(Obstacle::Passing(StreamRefusal::Used));
            }
            if state.sent.overlap(&wish.range) > self.allowance().saturating_sub(state.resent) {
                return Err(Obstacle::Final(StreamRefusal::Used));
            }
        }
        if state.streams.len() >= MAX_STREAMS {
            return Err(Obstacle::Passing(StreamRefusal::Crowded));
        }
        Ok(())
    }

    fn start(
        self: &Arc<Delivery>,
        state: &mut DeliveryInner,
        ledger: &Arc<Ledger>,
        range: Range<u64>,
        keyed: bool,
    ) -> Stream {
        let id = state.next_stream;
        state.next_stream += 1;
        let (start, end) = (range.start, range.end);
        state.first_start.get_or_insert(start);
        state.streams.push(RunningStream { id, start, position: start, end, keyed, unwritten: 0 });
        Stream::new(self.clone(), ledger.clone(), id, range, keyed)
    }
}
