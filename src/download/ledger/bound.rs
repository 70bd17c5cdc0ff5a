//! The byte bound across restarts and nodes: before a stream with the key or a continuation sends anything,
//! its length is reserved in the used-token store. So neither a restart nor another node starts counting from
//! zero.
//!
//! In total, 3 × size + 8 MiB may be sent. Streams without the key are counted only in memory, because they
//! end with the process: a node that doesn't know what they sent assumes the maximum, which leaves 2 × size.
//! Bytes that were reserved but not sent are a credit of this node, as long as its process lives.

use crate::download::ledger::delivery::Delivery;
use crate::download::ledger::state::DeliveryInner;
use crate::download::ledger::stream::Stream;

/// What must be reserved before a stream may send all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortfall {
    /// Nothing: the credit is sufficient.
    None,
    /// This many bytes, if the total doesn't exceed `limit`.
    Reserve {
        /// The number of bytes.
        bytes: u64,
        /// Maximum total reservation for this jti.
        limit: u64,
    },
    /// More than may be reserved.
    TooMuch,
}

impl DeliveryInner {
    /// Records the total reservation. This node just reserved `own` bytes of it.
    fn set_total_reserved(&mut self, total: u64, own: u64) {
        let elsewhere = total.saturating_sub(self.reserved.total).saturating_sub(own);
        self.reserved.elsewhere = self.reserved.elsewhere.saturating_add(elsewhere);
        self.bytes_sent = self.bytes_sent.saturating_add(elsewhere);
        self.reserved.total = self.reserved.total.max(total);
    }
}

impl Delivery {
    /// Returns what must be reserved for the started `stream`, in addition to all other running streams.
    pub(crate) fn shortfall(&self, stream: &Stream) -> Shortfall {
        let state = self.state();
        let credit = state.reserved.credit();
        let running: u64 =
            state.streams.iter().filter(|running| running.keyed).map(|r| r.end - r.position).sum();
        let most = self.byte_budget().saturating_sub(state.unkeyed());
        let room = most.saturating_sub(state.reserved.total);
        match running.saturating_sub(credit) {
            0 => Shortfall::None,
            // Other streams may return reserved bytes, but this one doesn't wait for that.
            short if short.min(room).saturating_add(credit) >= stream.remaining() => match short.min(room) {
                0 => Shortfall::None,
                bytes => Shortfall::Reserve { bytes, limit: most },
            },
            _ => Shortfall::TooMuch,
        }
    }

    /// Records that `bytes` more were reserved for this node, `total` in all.
    pub(crate) fn add_reservation(&self, bytes: u64, total: u64) {
        let mut state = self.state();
        state.set_total_reserved(total, bytes);
        state.reserved.granted = state.reserved.granted.saturating_add(bytes);
    }

    /// Records that the reservation failed; `total` bytes are reserved.
    pub(crate) fn note_total_reserved(&self, total: u64) {
        self.state().set_total_reserved(total, 0);
    }
}
