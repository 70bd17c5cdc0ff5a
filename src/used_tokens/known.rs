//! What a process knows about a store that others change as well: its standing, its fence, and whether its
//! time was reset.
//!
//! Invariant: a process checks tokens against the fence of the epoch that it knows, and claims only in that
//! epoch. So a new fence applies to every process from the moment that it is set in the store.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::standing::Standing;

/// The state of a store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoreState {
    /// Identifies the store.
    pub(super) id: String,
    pub(super) fence: Timestamp,
    /// The high-water mark of time.
    pub(super) mark: Timestamp,
    pub(super) epoch: i64,
    pub(super) position: i64,
    /// The branch of the position, or a later one.
    pub(super) branch: String,
}

impl StoreState {
    pub(super) fn standing(&self) -> Standing {
        Standing {
            id: self.id.clone(),
            epoch: self.epoch.unsigned_abs(),
            branch: self.branch.clone(),
            position: self.position.unsigned_abs(),
        }
    }
}

/// What this process knows about its store.
pub(super) struct KnownStore {
    fence: AtomicU64,
    /// Claims fail on an earlier epoch or position.
    epoch: AtomicI64,
    position: AtomicI64,
    names: Mutex<Names>,
    /// Whether the position has to be increased, because something was recorded.
    moved: Arc<AtomicBool>,
    /// Held while the position is increased and read: a caller that asks meanwhile must not get the old one.
    pub(super) one_after_the_other: tokio::sync::Mutex<()>,
    time_reset: Mutex<Option<Timestamp>>,
}

struct Names {
    id: String,
    branch: String,
}

impl KnownStore {
    pub(super) fn new(state: StoreState) -> KnownStore {
        KnownStore {
            fence: AtomicU64::new(state.fence.secs()),
            epoch: AtomicI64::new(state.epoch),
            position: AtomicI64::new(state.position),
            names: Mutex::new(Names { id: state.id, branch: state.branch }),
            moved: Arc::default(),
            one_after_the_other: tokio::sync::Mutex::default(),
            time_reset: Mutex::default(),
        }
    }

    /// Learns the state of the store. Returns whether it is behind what this process knows, so that it was
    /// restored; nothing is learnt then.
    pub(super) fn learn(&self, state: StoreState) -> bool {
        let epoch = self.epoch();
        if (state.epoch, state.position) < (epoch, self.position()) {
            return true;
        }
        if state.epoch > epoch {
            // The fence first: any claim in the new epoch has seen it.
            self.fence.store(state.fence.secs(), Ordering::Release);
            *self.time_reset.lock().unwrap_or_else(PoisonError::into_inner) = Some(state.mark);
        }
        *self.names() = Names { id: state.id, branch: state.branch };
        self.epoch.store(state.epoch, Ordering::Release);
        self.position.fetch_max(state.position, Ordering::AcqRel);
        false
    }

    pub(super) fn fence(&self) -> Timestamp {
        Timestamp::from_secs(self.fence.load(Ordering::Acquire))
    }

    pub(super) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn position(&self) -> i64 {
        self.position.load(Ordering::Acquire)
    }

    pub(super) fn id(&self) -> String {
        self.names().id.clone()
    }

    pub(super) fn standing(&self) -> Standing {
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let Names { id, branch } = &*self.names();
        Standing {
            id: id.clone(),
            epoch: number(self.epoch()),
            branch: branch.clone(),
            position: number(self.position()),
        }
    }

    /// Returns the new high-water mark if the time was reset. Returned once.
    pub(super) fn take_time_reset(&self) -> Option<Timestamp> {
        self.time_reset.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Records that something was recorded in the store.
    pub(super) fn note_moved(&self) {
        self.moved.store(true, Ordering::Release);
    }

    /// The same flag, for tasks that record claims.
    pub(super) fn moved(&self) -> &Arc<AtomicBool> {
        &self.moved
    }

    pub(super) fn has_moved(&self) -> bool {
        self.moved.load(Ordering::Acquire)
    }

    /// Begins to increase the position, if something was recorded since the last time.
    pub(super) fn begin_rise(&self) -> Option<Rise<'_>> {
        // Lazily: one that is dropped would set the flag.
        self.moved.swap(false, Ordering::AcqRel).then(|| Rise(Some(&self.moved)))
    }

    // Each change is consistent in itself.
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An increase of the position. If it is dropped before it is [done](Rise::done), also because its caller is
/// gone, the position still has to be increased.
pub(super) struct Rise<'a>(Option<&'a AtomicBool>);

impl Rise<'_> {
    pub(super) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Rise<'_> {
    fn drop(&mut self) {
        if let Some(moved) = self.0 {
            moved.store(true, Ordering::Release);
        }
    }
}

/// Late enough that a token issued in this second is refused.
pub(super) const fn next_second(now: Timestamp) -> Timestamp {
    now.plus(Duration::from_secs(1))
}

/// Logs that the fence was raised, because the store was restored.
pub(super) fn report_restored(fence: Timestamp) {
    tracing::error!(
        "the used-token store was restored from a backup: links issued before {fence} are refused, so that none \
         works twice; issue new links"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_increased_only_after_something_was_recorded() {
        let state = StoreState {
            id: "a".to_owned(),
            fence: Timestamp::EPOCH,
            mark: Timestamp::EPOCH,
            epoch: 0,
            position: 1,
            branch: "one".to_owned(),
        };
        let known = KnownStore::new(state);
        assert!(known.begin_rise().is_none() && !known.has_moved());
        known.note_moved();
        drop(known.begin_rise());
        assert!(known.has_moved(), "it was not done");
        known.begin_rise().unwrap().done();
        assert!(known.begin_rise().is_none() && !known.has_moved());
    }
}
