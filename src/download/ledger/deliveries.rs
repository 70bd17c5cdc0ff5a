//! All deliveries that this node knows, open and complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use prometheus_client::metrics::counter::Counter;

use crate::clock::Timestamp;
use crate::download::ledger::delivery::Delivery;
use crate::download::ledger::state::DeliveryPhase;
use crate::download::ledger::whole::CompleteDelivery;
use crate::id::Jti;

/// All deliveries that this node knows.
#[derive(Default)]
pub(crate) struct Ledger {
    open: DashMap<Jti, Arc<Delivery>>,
    /// Complete deliveries: only the resume key reopens them, so little has to be kept.
    whole: DashMap<Jti, CompleteDelivery>,
    /// Whether sending is paused because it is unknown what was revoked.
    suspended: AtomicBool,
    /// How many bytes of files were handed on, for the metrics.
    pub(crate) bytes_handed_on: Counter,
}

/// The result of [`Ledger::enter`].
pub(crate) enum Entered {
    /// This jti wasn't open here: the delivery is new, and the caller claims it.
    Claiming(Arc<Delivery>),
    /// This jti is being or was redeemed here.
    Known,
    /// It is complete.
    Whole,
}

impl Ledger {
    /// Returns the delivery of `jti`, or a new one created by `make` that the caller must claim and then
    /// [`open`](Delivery::open) or [`forget`](Ledger::forget).
    pub(crate) fn enter(&self, jti: Jti, make: impl FnOnce() -> Delivery) -> Entered {
        match self.open.entry(jti) {
            Entry::Occupied(_) => Entered::Known,
            // Checked under the entry's lock: a delivery is added to the complete ones before it is removed
            // from the open ones, so it can't be missed.
            Entry::Vacant(_) if self.whole.contains_key(&jti) => Entered::Whole,
            Entry::Vacant(vacant) => Entered::Claiming(vacant.insert(Arc::new(make())).clone()),
        }
    }

    /// Returns the delivery of `jti`, if one is open.
    pub(crate) fn find(&self, jti: Jti) -> Option<Arc<Delivery>> {
        self.open.get(&jti).map(|delivery| delivery.clone())
    }

    /// Returns the jtis with running transfers.
    pub(crate) fn sending(&self) -> Vec<Jti> {
        let is_sending = |delivery: &Delivery| !delivery.state().streams.is_empty();
        self.open.iter().filter(|entry| is_sending(entry.value())).map(|entry| *entry.key()).collect()
    }

    /// Makes streams stop at their next portion, or lets new ones begin again.
    pub(crate) fn suspend(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::Relaxed);
    }

    /// Returns whether sending is paused.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Returns whether `jti` is complete and not reopened.
    pub(crate) fn went_out_whole(&self, jti: Jti) -> bool {
        self.whole.contains_key(&jti)
    }

    /// Reopens a delivery that is complete, or was redeemed before this process started, for a client with
    /// the resume key. `unknown_may` says whether a delivery that this ledger doesn't know still has a lease.
    pub(crate) fn reopen(
        &self,
        jti: Jti,
        lease: Duration,
        now: Timestamp,
        unknown_may: bool,
        make: impl FnOnce() -> Delivery,
    ) -> Option<Arc<Delivery>> {
        match self.open.entry(jti) {
            Entry::Occupied(known) => Some(known.get().clone()),
            Entry::Vacant(vacant) => {
                let whole = self.whole.get(&jti).map(|whole| *whole);
                let delivery = match whole {
                    Some(whole) if Timestamp::from_secs(whole.last_sent.into()).plus(lease) <= now => {
                        return None;
                    }
                    Some(whole) => make().known_complete(whole),
                    None if unknown_may => make(),
                    None => return None,
                };
                Some(vacant.insert(Arc::new(delivery)).clone())
            }
        }
    }

    /// Removes a delivery whose claim failed, and tells waiting requests to start again.
    pub(crate) fn forget(&self, delivery: &Arc<Delivery>) {
        self.open.remove_if(&delivery.jti, |_, known| Arc::ptr_eq(known, delivery));
        delivery.state().phase = DeliveryPhase::Dropped;
        delivery.changed.notify_waiters();
    }

    /// Stops the transfers of `jti`.
    pub(crate) fn revoke(&self, jti: Jti) {
        if let Some((_, delivery)) = self.open.remove(&jti) {
            delivery.state().phase = DeliveryPhase::Revoked;
            delivery.notify();
        }
        self.whole.remove(&jti);
    }

    /// Moves a complete and idle delivery to the complete ones, where it needs little memory.
    pub(super) fn settle(&self, delivery: &Arc<Delivery>) {
        let state = delivery.state();
        if delivery.proxied
            || state.is_split
            || !state.unread.is_empty()
            || !(delivery.is_complete(&state) && state.is_settled() && state.phase == DeliveryPhase::Open)
        {
            return;
        }
        let whole = CompleteDelivery::of(&state);
        drop(state);
        self.whole.insert(delivery.jti, whole);
        self.open.remove_if(&delivery.jti, |_, known| {
            let mut state = known.state();
            let idle = Arc::ptr_eq(known, delivery) && delivery.is_complete(&state) && state.is_settled();
            if idle {
                // A task that found it just before must look it up again, or its bytes would be counted
                // twice.
                state.phase = DeliveryPhase::Dropped;
            }
            idle
        });
    }

    /// Removes deliveries whose lease has ended. The durable record stays.
    pub(crate) fn purge(&self, lease: Duration, now: Timestamp) {
        self.open.retain(|jti, delivery| {
            let mut state = delivery.state();
            let is_whole =
                delivery.is_complete(&state) && state.is_settled() && state.phase == DeliveryPhase::Open;
            if is_whole && !delivery.may_be_unread(&state, now) {
                self.whole.insert(*jti, CompleteDelivery::of(&state));
                state.phase = DeliveryPhase::Dropped;
                return false;
            }
            state.phase == DeliveryPhase::Claiming
                || !state.is_idle()
                || delivery.lease_end(&state, lease) > now
        });
        self.whole.retain(|_, whole| Timestamp::from_secs(whole.last_sent.into()).plus(lease) > now);
    }

    /// Returns how many deliveries are open and how many are complete.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.open.len(), self.whole.len())
    }
}
