//! The deliveries that can still change, in memory. Compares the progress of each with what was last
//! recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::download::ledger::Delivery;
use crate::download::receipts::outbox::OutboxEntry;
use crate::download::receipts::tally::Tally;
use crate::id::Jti;
use crate::receipt::DeliveryState;

/// The active deliveries.
pub(super) struct ActiveDeliveries {
    lease: Duration,
    /// When this process started: earlier transfers had ended by then.
    began: Timestamp,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Redemptions in progress, and when each began.
    claims: HashMap<Jti, Timestamp>,
    entries: HashMap<Jti, Entry>,
    /// Redemptions that failed.
    cancelled: Vec<Jti>,
}

struct Entry {
    /// The state that was last recorded.
    kept: OutboxEntry,
    /// What is known without the delivery that is currently attached.
    before: Tally,
    /// `None` after a restart, until the client comes back.
    delivery: Option<Arc<Delivery>>,
    revoked: bool,
    /// Whether `kept` isn't recorded yet.
    unsaved: bool,
}

/// What has to be recorded.
pub(super) struct Changes {
    pub(super) kept: Vec<OutboxEntry>,
    pub(super) cancelled: Vec<Jti>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.cancelled.is_empty()
    }
}

impl Entry {
    /// Returns its current state, and whether no transfer is running.
    fn current(&self, lease: Duration, began: Timestamp, now: Timestamp) -> (Tally, bool) {
        let mut idle = true;
        let mut tally = match &self.delivery {
            Some(delivery) => {
                let progress = delivery.progress(lease, now);
                idle = progress.idle;
                self.before.plus(&progress, self.kept.size)
            }
            None => {
                let end = self.before.last_at.max(began).plus(lease).min(self.kept.until);
                let state = match self.before.state {
                    DeliveryState::Running | DeliveryState::Interrupted if end <= now => DeliveryState::Ended,
                    DeliveryState::Running => DeliveryState::Interrupted,
                    state => state,
                };
                Tally { state, ..self.before.clone() }
            }
        };
        if self.revoked && tally.state == DeliveryState::Interrupted {
            tally.state = DeliveryState::Ended;
        }
        (tally, idle)
    }
}

impl ActiveDeliveries {
    pub(super) fn new(lease: Duration, began: Timestamp) -> ActiveDeliveries {
        ActiveDeliveries { lease, began, inner: Mutex::default() }
    }

    /// Begins a redemption and returns its time.
    ///
    /// Invariant: the time is read under the same lock as in [`ActiveDeliveries::watermark`]. So no watermark that
    /// was reported before is later, and none will be until the redemption has ended.
    pub(super) fn begin_claim(&self, jti: Jti, clock: &Clock) -> Timestamp {
        let mut inner = self.lock();
        let now = clock.now();
        inner.claims.insert(jti, now);
        now
    }

    pub(super) fn end_claim(&self, jti: Jti) {
        self.lock().claims.remove(&jti);
    }

    /// Returns a time that is not later than the start of any redemption in progress.
    pub(super) fn watermark(&self, clock: &Clock) -> Timestamp {
        let inner = self.lock();
        let now = clock.now();
        inner.claims.values().copied().fold(now, Timestamp::min)
    }

    /// Adds a delivery that was just redeemed.
    pub(super) fn add(&self, kept: OutboxEntry, delivery: Arc<Delivery>) {
        let before = kept.tally.clone();
        let entry = Entry { kept, before, delivery: Some(delivery), revoked: false, unsaved: true };
        self.lock().entries.insert(entry.kept.jti, entry);
    }

    /// Restores deliveries that were recorded earlier, with what else is known about each.
    pub(super) fn restore(&self, all: Vec<(OutboxEntry, Tally)>) {
        let mut inner = self.lock();
        for (kept, before) in all {
            let entry = Entry { kept, before, delivery: None, revoked: false, unsaved: false };
            // If another task was faster, it has the current state.
            inner.entries.entry(entry.kept.jti).or_insert(entry);
        }
    }

    /// Attaches this delivery, in addition to what is known about its jti. Returns whether the jti is known
    /// here.
    pub(super) fn attach(&self, delivery: &Arc<Delivery>) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&delivery.jti) else { return false };
        if !entry.delivery.as_ref().is_some_and(|followed| Arc::ptr_eq(followed, delivery))
            && let Some(earlier) = entry.delivery.replace(delivery.clone())
        {
            // The previous one is idle, or there would be no new one.
            entry.before = entry.before.plus(&earlier.progress(self.lease, self.began), entry.kept.size);
        }
        true
    }

    pub(super) fn revoked(&self, jti: Jti) {
        if let Some(entry) = self.lock().entries.get_mut(&jti) {
            entry.revoked = true;
        }
    }

    pub(super) fn cancel(&self, jti: Jti) {
        self.lock().cancelled.push(jti);
    }

    /// Returns what has to be recorded at `now`. Removes deliveries that are recorded and can't change any
    /// more; the outbox keeps them for a client that resumes with the key.
    pub(super) fn changes(&self, now: Timestamp) -> Changes {
        let mut inner = self.lock();
        let (lease, began) = (self.lease, self.began);
        let mut kept = Vec::new();
        inner.entries.retain(|_, entry| {
            let (tally, idle) = entry.current(lease, began, now);
            // A complete delivery stays complete, even if a client resumes it.
            if tally.state == DeliveryState::Complete {
                entry.before.state = DeliveryState::Complete;
            }
            if tally != entry.kept.tally || !entry.kept.settled {
                entry.kept.tally = tally;
                entry.kept.sequence = entry.kept.sequence.saturating_add(1);
                entry.kept.settled = true;
                entry.unsaved = true;
            }
            if entry.unsaved {
                kept.push(entry.kept.clone());
            }
            let ended = matches!(entry.kept.tally.state, DeliveryState::Complete | DeliveryState::Ended);
            entry.unsaved || !ended || !idle
        });
        Changes { kept, cancelled: std::mem::take(&mut inner.cancelled) }
    }

    /// Records whether the states were saved.
    pub(super) fn settle(&self, changes: Changes, done: bool) {
        let mut inner = self.lock();
        if !done {
            inner.cancelled.extend(changes.cancelled);
            return;
        }
        for kept in changes.kept {
            if let Some(entry) = inner.entries.get_mut(&kept.jti)
                && entry.kept.sequence == kept.sequence
            {
                entry.unsaved = false;
            }
        }
    }

    // A poisoned lock means a panic elsewhere; each change is consistent in itself.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
