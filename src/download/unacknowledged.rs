//! Streams whose last bytes were handed on, until their peers have acknowledged them.

use std::collections::VecDeque;

use crate::download::ledger::{Stream, TWO_SEGMENTS};

/// A stream whose last byte was handed on.
pub(super) struct UnacknowledgedStream {
    pub(super) stream: Stream,
    /// The value of `written` when its last byte was written; `None` until then.
    pub(super) end: Option<u64>,
}

impl UnacknowledgedStream {
    /// Whether a trusted proxy has all of it, as far as a reset connection can show.
    pub(super) fn has_reached_proxy(&self, left: Option<Undelivered>) -> bool {
        self.end.is_some()
            && self.stream.delivery().proxied
            && left.is_some_and(Undelivered::is_usual_for_proxy)
    }
}

/// The streams of a connection that was closed on this side while its last bytes are still being delivered.
pub struct OrphanedStreams {
    /// Bytes that had been written when the connection was closed.
    pub(super) written: u64,
    pub(super) unacknowledged: VecDeque<UnacknowledgedStream>,
    pub(super) acknowledged: Vec<Stream>,
}

/// The bytes in the kernel when a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Unacknowledged bytes, including unsent ones.
    pub outstanding: u64,
    /// Unsent bytes.
    pub unsent: u64,
}

impl Undelivered {
    /// Returns whether this is no more than a proxy that has read everything may have left unacknowledged: it
    /// resets connections when it is finished, and its kernel acknowledges two segments at a time.
    const fn is_usual_for_proxy(self) -> bool {
        self.unsent == 0 && self.outstanding <= TWO_SEGMENTS
    }
}

impl OrphanedStreams {
    /// Records that all bytes except for the last `outstanding` are acknowledged. Returns whether all are.
    pub fn acknowledged(&mut self, outstanding: Option<u64>) -> bool {
        if let Some(outstanding) = outstanding {
            let acknowledged = self.written.saturating_sub(outstanding);
            move_acknowledged(&mut self.unacknowledged, &mut self.acknowledged, acknowledged);
        }
        self.unacknowledged.is_empty()
    }

    /// Records that the connection broke with this much undelivered.
    pub fn broke(mut self, left: Option<Undelivered>) {
        let outstanding = left.map(|left| left.outstanding);
        let acknowledged = self.written.saturating_sub(outstanding.unwrap_or(0));
        self.acknowledged(outstanding);
        self.acknowledged.drain(..).for_each(Stream::mark_unread);
        for mut tail in self.unacknowledged.drain(..) {
            if tail.has_reached_proxy(left) {
                tail.stream.acknowledge();
                continue;
            }
            tail.stream.mark_lost(tail.end.unwrap_or(self.written).saturating_sub(acknowledged));
        }
    }
}

/// Moves the streams of which the first `acknowledged` bytes of a connection contain everything.
pub(super) fn move_acknowledged(
    tails: &mut VecDeque<UnacknowledgedStream>,
    to: &mut Vec<Stream>,
    acknowledged: u64,
) {
    while let Some(mut tail) = tails.pop_front_if(|tail| tail.end.is_some_and(|end| end <= acknowledged)) {
        tail.stream.acknowledge();
        to.push(tail.stream);
    }
}
