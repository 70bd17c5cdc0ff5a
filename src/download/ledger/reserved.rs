//! What is reserved for a jti in the used-token store, as far as this node knows.

/// What is known about the reservations for a jti.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReservedBytes {
    /// The total reserved by all nodes, as far as this one knows.
    pub(super) total: u64,
    /// The part reserved here since this delivery was opened.
    pub(super) granted: u64,
    /// The part of that which was sent.
    pub(super) spent: u64,
    /// Other bytes that count as sent.
    pub(super) elsewhere: u64,
}

impl ReservedBytes {
    /// For a delivery that is opened from its record.
    pub(super) const fn recorded(total: u64) -> ReservedBytes {
        ReservedBytes { total, granted: 0, spent: 0, elsewhere: total }
    }

    /// Returns how many bytes may be sent with the key or a continuation before more must be reserved.
    pub(super) const fn credit(&self) -> u64 {
        self.granted.saturating_sub(self.spent)
    }

    /// Records bytes sent with the key or a continuation.
    pub(super) const fn spend(&mut self, bytes: u64) {
        self.spent = self.spent.saturating_add(bytes);
    }
}
