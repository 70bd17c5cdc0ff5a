//! How far a delivery has come, as a receipt tells it. Reads the ledger and changes nothing.
//!
//! It never claims more than what happened: a portion that is still under way has not left, and a
//! last byte that was sent on a connection which then broke has not arrived.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::download::ledger::delivery::{Delivery, Phase};
use crate::download::ledger::ranges::RangeSet;

/// How far a delivery has come on this node, since this process or the resumption made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// When the first byte may have left.
    pub(crate) started_at: Option<Timestamp>,
    /// When the last byte so far left.
    pub(crate) last_at: Timestamp,
    /// Bytes that are with the kernel.
    pub(crate) handed: RangeSet,
    /// Bytes that left, less those of which it is known that they may be lost. A little more than
    /// `handed`: what a broken connection still took of its last portion only its client knows.
    pub(crate) sent: RangeSet,
    /// How often the client came back.
    pub(crate) returned: u32,
    /// Whether nothing is under way.
    pub(crate) idle: bool,
    /// Whether every byte of the file has arrived, here and at once. A reset that comes later may still
    /// open the file again; that all had arrived stays true.
    pub(crate) arrived: bool,
    /// Whether no byte will leave any more.
    pub(crate) over: bool,
}

impl Delivery {
    /// How far it has come at `now`.
    pub(crate) fn progress(&self, lease: Duration, now: Timestamp) -> Progress {
        let state = self.state();
        let (mut handed, mut sent) = (state.handed.clone(), state.sent.clone());
        for running in &state.streams {
            sent.remove(&(running.handed().end..running.position));
        }
        // What one stream has under way, another may have sent before.
        sent.merge(&handed);
        for running in &state.streams {
            sent.insert(running.handed());
            handed.insert(running.handed());
        }
        if state.opened_again {
            sent.clone_from(&handed);
        }
        handed.subtract(&state.in_vain);
        sent.subtract(&state.in_vain);
        // One that is being claimed is about to begin.
        let idle = state.is_idle() && state.phase != Phase::Claiming;
        // A last stream of which it is not known yet whether all arrived may make it whole.
        let may_be_whole = state.streams.is_empty() && self.is_whole(&state);
        let revoked = state.phase == Phase::Revoked && (idle || !may_be_whole);
        Progress {
            started_at: state.first_sent,
            last_at: state.last_sent,
            handed,
            sent,
            returned: state.returned,
            idle,
            arrived: state.was_whole && !state.opened_again,
            over: revoked || (idle && self.lease_end(&state, lease) <= now),
        }
    }
}
