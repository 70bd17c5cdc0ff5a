//! Limits how much file data is in memory. A client that doesn't read keeps a portion in its connection as long
//! as it meets the minimum speed, so all connections share a budget. The less of it is left, the smaller
//! portions get, down to a size that is affordable for every possible connection. No client is refused or cut
//! off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes read and written at a time: small enough to stay in the CPU cache.
pub(crate) const PORTION: usize = 128 * 1024;
/// The minimum, if very many connections hold a portion.
const SMALLEST: usize = 16 * 1024;
/// The total that connections may hold before portions have the minimum size.
const BUDGET: usize = 32 * 1024 * 1024;
/// A portion gets at most this fraction of the remaining budget.
const SHARE: usize = 32;

/// The bytes that all connections hold. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct BufferBudget(Arc<AtomicUsize>);

impl BufferBudget {
    /// Returns the maximum size of the next portion.
    pub(crate) fn size(&self) -> usize {
        let left = BUDGET.saturating_sub(self.held());
        (left / SHARE).clamp(SMALLEST, PORTION)
    }

    /// Records that a connection holds this many more bytes.
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records that a connection holds this many fewer bytes.
    pub(super) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns how much all connections hold.
    pub(super) fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
