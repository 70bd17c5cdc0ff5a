//! What the ledger keeps about a complete delivery.

use crate::download::ledger::state::DeliveryInner;

/// What the ledger keeps about a complete delivery.
#[derive(Clone, Copy)]
pub(super) struct CompleteDelivery {
    /// Bytes sent without the key, in KiB, rounded up; small, because there may be a million of these.
    pub(super) unkeyed_kib: u32,
    /// When the last byte was sent, in seconds since the epoch.
    pub(super) last_sent: u32,
}

impl CompleteDelivery {
    pub(super) fn of(state: &DeliveryInner) -> CompleteDelivery {
        CompleteDelivery {
            unkeyed_kib: u32::try_from(state.unkeyed().div_ceil(1024)).unwrap_or(u32::MAX),
            last_sent: u32::try_from(state.last_sent.secs()).unwrap_or(u32::MAX),
        }
    }
}
