//! The byte bound where a node's memory does not reach: before a stream by key or continuation sends,
//! its length is reserved in the used-token store. So no restart and no other node starts the count anew.
//!
//! All that may leave is 3 × size + 8 MiB. Streams without the key are counted in memory alone, because
//! they end with the process: a node that does not know what they sent takes it that they sent all they
//! may, which leaves 2 × size. What was reserved and not sent is a credit of this node's, as long as it
//! lives.

use crate::download::ledger::delivery::{Delivery, KEYED_FACTOR, State};
use crate::download::ledger::stream::Stream;

/// What must be reserved before a stream may send all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortfall {
    /// Nothing: there is credit for it.
    None,
    /// So many bytes, if that makes no more than `most` in all.
    Reserve {
        /// The bytes.
        bytes: u64,
        /// The most that may be reserved for this jti.
        most: u64,
    },
    /// More than may be reserved.
    TooMuch,
}

/// What is known of the reservations for a jti.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reserved {
    /// All that was reserved, by any node, as far as this one has heard.
    pub(super) total: u64,
    /// What of it was reserved here since this delivery was opened.
    granted: u64,
    /// What left of that.
    spent: u64,
    /// What else of it counts as sent.
    elsewhere: u64,
}

impl Reserved {
    /// Of a delivery that is opened from its record.
    pub(super) const fn recorded(total: u64) -> Reserved {
        Reserved { total, granted: 0, spent: 0, elsewhere: total }
    }

    /// What may leave by key or continuation before more is reserved.
    pub(super) const fn credit(&self) -> u64 {
        self.granted.saturating_sub(self.spent)
    }

    /// Bytes leave by key or continuation.
    pub(super) const fn spend(&mut self, bytes: u64) {
        self.spent = self.spent.saturating_add(bytes);
    }
}

impl State {
    /// What left without the key, or may have.
    pub(super) const fn unkeyed(&self) -> u64 {
        self.left.saturating_sub(self.reserved.spent).saturating_sub(self.reserved.elsewhere)
    }

    /// Hears what is reserved in all, `own` bytes of it just now by this node.
    fn hear(&mut self, total: u64, own: u64) {
        let elsewhere = total.saturating_sub(self.reserved.total).saturating_sub(own);
        self.reserved.elsewhere = self.reserved.elsewhere.saturating_add(elsewhere);
        self.left = self.left.saturating_add(elsewhere);
        self.reserved.total = self.reserved.total.max(total);
    }
}

impl Delivery {
    /// What may leave of a redeemed file by key or continuation where it is not known what left without.
    pub(super) const fn most_of_unknown(&self) -> u64 {
        self.size.saturating_mul(KEYED_FACTOR - 1)
    }

    /// What must be reserved for `stream`, which has begun, beside all others that run.
    pub(crate) fn shortfall(&self, stream: &Stream) -> Shortfall {
        let state = self.state();
        let credit = state.reserved.credit();
        let running: u64 =
            state.streams.iter().filter(|running| running.keyed).map(|r| r.end - r.position).sum();
        let most = self.most().saturating_sub(state.unkeyed());
        let room = most.saturating_sub(state.reserved.total);
        match running.saturating_sub(credit) {
            0 => Shortfall::None,
            // Others may give back what they have reserved: this one need not wait for that.
            short if short.min(room).saturating_add(credit) >= stream.remaining() => match short.min(room) {
                0 => Shortfall::None,
                bytes => Shortfall::Reserve { bytes, most },
            },
            _ => Shortfall::TooMuch,
        }
    }

    /// `bytes` more were reserved for this node, which makes `total`.
    pub(crate) fn reserved(&self, bytes: u64, total: u64) {
        let mut state = self.state();
        state.hear(total, bytes);
        state.reserved.granted = state.reserved.granted.saturating_add(bytes);
    }

    /// `total` bytes are reserved, and no more were.
    pub(crate) fn heard_of(&self, total: u64) {
        self.state().hear(total, 0);
    }
}
