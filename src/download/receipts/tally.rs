//! The total of what is known about a delivery: before and after a restart, and across all connections. Only
//! adds numbers; never reads the time and stores nothing.

use crate::clock::Timestamp;
use crate::download::ledger::{DeliveryProgress, RangeSet};
use crate::receipt::DeliveryState;

/// What is known about a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// When the first byte may have been sent.
    pub(crate) started_at: Option<Timestamp>,
    /// When the latest byte was sent.
    pub(crate) last_at: Timestamp,
    /// Bytes that were written to the kernel.
    pub(crate) written: RangeSet,
    /// Sent bytes, without those that are known to be lost.
    pub(crate) sent: RangeSet,
    /// Bytes that the client may have received, although they aren't in `sent`. Where it resumes shows it.
    pub(crate) unacknowledged: RangeSet,
    /// How often the client resumed.
    pub(crate) resumed: u32,
    /// Its state.
    pub(crate) state: DeliveryState,
}

impl Tally {
    /// For a delivery that was just redeemed.
    pub(crate) fn new(redeemed_at: Timestamp) -> Tally {
        Tally {
            started_at: None,
            last_at: redeemed_at,
            written: RangeSet::default(),
            sent: RangeSet::default(),
            unacknowledged: RangeSet::default(),
            resumed: 0,
            state: DeliveryState::Interrupted,
        }
    }

    /// Adds newer progress of a file with `size` bytes.
    ///
    /// Invariant: a complete delivery stays complete, and an abandoned one becomes active only if the
    /// progress shows that bytes are sent again.
    pub(crate) fn plus(&self, progress: &DeliveryProgress, size: u64) -> Tally {
        let (mut handed, mut sent) = (self.written.clone(), self.sent.clone());
        handed.merge(&progress.written);
        sent.merge(&progress.sent);
        if let Some(had) = progress.first_start.and_then(|start| self.unacknowledged.run_before(start)) {
            handed.insert(had.clone());
            sent.insert(had);
        }
        let mut unacknowledged = self.unacknowledged.clone();
        unacknowledged.merge(&progress.unacknowledged);
        unacknowledged.subtract(&sent);
        let state = match self.state {
            DeliveryState::Complete => DeliveryState::Complete,
            _ if progress.arrived => DeliveryState::Complete,
            _ if progress.idle && sent.covers(size) => DeliveryState::Complete,
            _ if progress.over => DeliveryState::Ended,
            _ if progress.idle => DeliveryState::Interrupted,
            _ => DeliveryState::Running,
        };
        let last_at = self.last_at.max(progress.last_at);
        let mut started_at = self.started_at.or(progress.started_at);
        if state == DeliveryState::Complete {
            // An empty file has no first byte, but can be delivered, too.
            started_at = started_at.or(Some(last_at));
        }
        let resumed = self.resumed.saturating_add(progress.resumptions);
        Tally { started_at, last_at, written: handed, sent, unacknowledged, resumed, state }
    }

    /// Returns how many different bytes were certainly sent: all of them only if the file is complete.
    pub(crate) fn bytes(&self, size: u64) -> u64 {
        match self.state {
            DeliveryState::Complete => size,
            _ => self.written.total().min(size.saturating_sub(1)),
        }
    }
}
