//! How much of the portion that a stream sends was written to the kernel.

use std::sync::Arc;

use crate::download::ledger::delivery::Delivery;
use crate::download::ledger::stream::Stream;

/// Records how much of a stream's latest portion was written to the kernel.
pub(crate) struct PortionWriter {
    delivery: Arc<Delivery>,
    stream: u64,
}

impl PortionWriter {
    /// Records that `count` more bytes were written.
    pub(crate) fn wrote(&self, count: u64) {
        let mut state = self.delivery.state();
        if let Some(running) = state.streams.iter_mut().find(|running| running.id == self.stream) {
            running.unwritten = running.unwritten.saturating_sub(count);
        }
    }
}

impl Stream {
    /// Returns what records the writing of the portion that was taken last.
    pub(crate) fn writer(&self) -> PortionWriter {
        PortionWriter { delivery: self.delivery().clone(), stream: self.id() }
    }

    /// Returns how many bytes should be taken at most at a time: of what may still be sent for the token, an eighth
    /// of an equal share of each stream.
    pub(crate) fn portion_max(&self) -> u64 {
        let state = self.delivery().state();
        let left = self.delivery().byte_budget().saturating_sub(state.bytes_sent);
        left / 8 / (state.streams.len() as u64).max(1)
    }

    /// Returns how many of the bytes that were taken weren't written to the kernel.
    pub(crate) fn unwritten(&self) -> u64 {
        let state = self.delivery().state();
        let own = state.streams.iter().find(|running| running.id == self.id());
        own.map_or(0, |running| running.unwritten)
    }
}
