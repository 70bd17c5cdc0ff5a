//! How much of the files that are being sent lies in memory. A client that does not read keeps a portion
//! in the buffer of its connection, for as long as it is above the least speed; so all of them together
//! have a budget. The less of it is left, the smaller portions get, down to a size that costs little for
//! every connection there may be. Nobody is refused or cut off for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes read and written at a time: small enough to stay in a core's cache on the way through.
pub(crate) const PORTION: usize = 128 * 1024;
/// The least, where very many connections hold one.
const SMALLEST: usize = 16 * 1024;
/// What all connections may hold before portions are the smallest.
const BUDGET: usize = 32 * 1024 * 1024;
/// One portion gets at most this part of what is left of the budget.
const SHARE: usize = 32;

/// The bytes that all connections hold. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Portions(Arc<AtomicUsize>);

impl Portions {
    /// How large the next portion may be.
    pub(crate) fn size(&self) -> usize {
        let left = BUDGET.saturating_sub(self.0.load(Ordering::Relaxed));
        (left / SHARE).clamp(SMALLEST, PORTION)
    }

    /// A connection holds so many bytes more.
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A connection holds so many bytes less.
    pub(super) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What all connections hold.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
