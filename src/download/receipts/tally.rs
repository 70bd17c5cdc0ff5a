//! What is known of a delivery in all: before and after a restart, and over every connection. Only
//! adds up; asks nobody the time and keeps nothing on disk.

use crate::clock::Timestamp;
use crate::download::ledger::{Progress, RangeSet};
use crate::receipt::DeliveryState;

/// What is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// When the first byte may have left.
    pub(crate) started_at: Option<Timestamp>,
    /// When the last byte so far left.
    pub(crate) last_at: Timestamp,
    /// Bytes that are with the kernel.
    pub(crate) handed: RangeSet,
    /// Bytes that left, less those that are known to be lost.
    pub(crate) sent: RangeSet,
    /// How often the client came back.
    pub(crate) resumed: u32,
    /// How far it has come.
    pub(crate) state: DeliveryState,
}

impl Tally {
    /// Of a delivery that was redeemed just now.
    pub(crate) fn new(redeemed_at: Timestamp) -> Tally {
        Tally {
            started_at: None,
            last_at: redeemed_at,
            handed: RangeSet::default(),
            sent: RangeSet::default(),
            resumed: 0,
            state: DeliveryState::Broken,
        }
    }

    /// This, and what came since, of a file of `size` bytes.
    ///
    /// Invariant: what is complete stays so, and what is over comes back only where the progress
    /// shows that bytes leave again.
    pub(crate) fn and(&self, progress: &Progress, size: u64) -> Tally {
        let (mut handed, mut sent) = (self.handed.clone(), self.sent.clone());
        handed.merge(&progress.handed);
        sent.merge(&progress.sent);
        let state = match self.state {
            DeliveryState::Complete => DeliveryState::Complete,
            _ if progress.arrived => DeliveryState::Complete,
            _ if progress.idle && sent.covers(size) => DeliveryState::Complete,
            _ if progress.over => DeliveryState::Over,
            _ if progress.idle => DeliveryState::Broken,
            _ => DeliveryState::Running,
        };
        let last_at = self.last_at.max(progress.last_at);
        let mut started_at = self.started_at.or(progress.started_at);
        if state == DeliveryState::Complete {
            // An empty file has no first byte, and is taken all the same.
            started_at = started_at.or(Some(last_at));
        }
        let resumed = self.resumed.saturating_add(progress.returned);
        Tally { started_at, last_at, handed, sent, resumed, state }
    }

    /// How many different bytes are known to have left. All of them are only claimed when the file is
    /// complete.
    pub(crate) fn bytes(&self, size: u64) -> u64 {
        match self.state {
            DeliveryState::Complete => size,
            _ => self.handed.total().min(size.saturating_sub(1)),
        }
    }
}
