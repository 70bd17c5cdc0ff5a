//! A range of a file that is viewed: limited, but recorded nowhere.

use std::ops::Range;
use std::sync::Arc;

use crate::download::ledger::{Ledger, Take};
use crate::download::view::registry::Viewing;
use crate::id::Jti;

/// The permission to send one contiguous range of a file to a viewer.
pub(crate) struct ViewedRange {
    viewing: Viewing,
    /// Says whether sending is suspended.
    ledger: Arc<Ledger>,
    range: Range<u64>,
    file_len: u64,
}

impl ViewedRange {
    /// Returns the permission to send `range` of a file of `file_len` bytes.
    pub(super) const fn new(
        viewing: Viewing,
        ledger: Arc<Ledger>,
        range: Range<u64>,
        file_len: u64,
    ) -> ViewedRange {
        ViewedRange { viewing, ledger, range, file_len }
    }

    /// Returns the identifier of the view's token.
    pub(crate) fn jti(&self) -> Jti {
        self.viewing.jti
    }

    /// Returns the position of the next byte to send.
    pub(crate) const fn position(&self) -> u64 {
        self.range.start
    }

    /// Returns how many bytes remain.
    pub(crate) const fn remaining(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Takes up to `wish` bytes (at least one, at most what remains), and returns how many may be sent.
    pub(crate) fn take(&mut self, wish: u64) -> Take {
        if self.viewing.is_revoked() || self.ledger.is_suspended() {
            return Take::Stop;
        }
        match self.viewing.take(wish, self.file_len) {
            0 => Take::Stop,
            count => {
                self.range.start += count;
                Take::Send(count)
            }
        }
    }
}
