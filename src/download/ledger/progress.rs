//! The progress of a delivery for its receipt. Reads the ledger and changes nothing.
//!
//! It never claims too much: a portion in progress doesn't count as sent, and a last byte on a connection
//! that then broke doesn't count as arrived.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::download::ledger::delivery::Delivery;
use crate::download::ledger::ranges::RangeSet;
use crate::download::ledger::state::DeliveryPhase;

/// The progress of a delivery on this node, since this process or the resumption created it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryProgress {
    /// When the first byte may have been sent.
    pub(crate) started_at: Option<Timestamp>,
    /// When the latest byte was sent.
    pub(crate) last_at: Timestamp,
    /// Bytes that were written to the kernel.
    pub(crate) written: RangeSet,
    /// Sent bytes, without those that may be lost. Slightly more than `written`: only the client knows how
    /// much of its last portion a broken connection still delivered.
    pub(crate) sent: RangeSet,
    /// Bytes at the ends of broken connections that the client may have received, although its kernel didn't
    /// acknowledge them. Not in `sent`.
    pub(crate) unacknowledged: RangeSet,
    /// Where the first stream began: its client must have everything before it that it was sent.
    pub(crate) first_start: Option<u64>,
    /// How often the client resumed.
    pub(crate) resumptions: u32,
    /// Whether no transfer is running.
    pub(crate) idle: bool,
    /// Whether every byte of the file has arrived here at some time. A later reset may reopen the file, but
    /// this stays true.
    pub(crate) arrived: bool,
    /// Whether no more bytes will be sent.
    pub(crate) over: bool,
}

impl Delivery {
    /// Returns the progress at `now`.
    pub(crate) fn progress(&self, lease: Duration, now: Timestamp) -> DeliveryProgress {
        let state = self.state();
        let (mut handed, mut sent) = (state.written.clone(), state.sent.clone());
        for running in &state.streams {
            sent.remove(&(running.written().end..running.position));
        }
        // Another stream may have sent the bytes that one stream has in progress.
        sent.merge(&handed);
        for running in &state.streams {
            sent.insert(running.written());
            handed.insert(running.written());
        }
        if state.opened_again {
            sent.clone_from(&handed);
        }
        handed.subtract(&state.undelivered);
        sent.subtract(&state.undelivered);
        // A delivery that is being claimed is about to begin.
        let idle = state.is_idle() && state.phase != DeliveryPhase::Claiming;
        // The last stream may complete it, even if it isn't known yet whether everything arrived.
        let may_be_whole = state.streams.is_empty() && self.is_complete(&state);
        let revoked = state.phase == DeliveryPhase::Revoked && (idle || !may_be_whole);
        DeliveryProgress {
            started_at: state.first_sent,
            last_at: state.last_sent,
            written: handed,
            sent,
            unacknowledged: state.breaks.unacknowledged(),
            first_start: state.first_start,
            resumptions: state.resumptions,
            idle,
            arrived: state.was_complete && !state.opened_again,
            over: revoked || (idle && self.lease_end(&state, lease) <= now),
        }
    }
}
