//! The ledger: which bytes of a redeemed file were sent, in memory, on the node that sends them.
//!
//! It decides who may get which bytes after a jti is redeemed (the rule "once, only once, and never lost"),
//! and it limits what is sent: every portion is recorded here *before* it is read and sent. It knows nothing
//! about HTTP or the disk, and never reads the time.

mod bound;
mod delivery;
mod progress;
mod proof;
mod ranges;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};

pub(crate) use self::bound::Shortfall;
pub(crate) use self::delivery::{Delivery, Denied, PATIENCE, TWO_SEGMENTS, Wish};
pub(crate) use self::progress::Progress;
pub(crate) use self::proof::{Proof, second_key};
pub(crate) use self::ranges::RangeSet;
pub(crate) use self::stream::{Stream, Take};
use crate::clock::Timestamp;
use crate::download::ledger::delivery::{Phase, State};
use crate::id::Jti;

/// All deliveries that this node knows of.
#[derive(Default)]
pub(crate) struct Ledger {
    open: DashMap<Jti, Arc<Delivery>>,
    /// Files that went out whole: only the resume key opens them, so little need be kept.
    whole: DashMap<Jti, Whole>,
    /// Whether nothing is sent for the time being, because nobody knows what was revoked.
    suspended: AtomicBool,
}

/// What is kept of a delivery that went out whole.
#[derive(Clone, Copy)]
struct Whole {
    /// What left without the key, in KiB, rounded up: small, for there may be a million.
    unkeyed_kib: u32,
    /// When the last byte left, in seconds since the epoch.
    last_sent: u32,
}

impl Whole {
    fn of(state: &State) -> Whole {
        Whole {
            unkeyed_kib: u32::try_from(state.unkeyed().div_ceil(1024)).unwrap_or(u32::MAX),
            last_sent: u32::try_from(state.last_sent.secs()).unwrap_or(u32::MAX),
        }
    }
}

/// What [`Ledger::enter`] found.
pub(crate) enum Entered {
    /// Nobody had this jti open here: the delivery is new and is being claimed by the caller.
    Claiming(Arc<Delivery>),
    /// Somebody redeems, or has redeemed, this jti here.
    Known,
    /// It went out whole.
    Whole,
}

impl Ledger {
    /// The delivery of `jti`, or a new one made by `make` that the caller must claim and then
    /// [`open`](Delivery::open) or [`forget`](Ledger::forget).
    pub(crate) fn enter(&self, jti: Jti, make: impl FnOnce() -> Delivery) -> Entered {
        match self.open.entry(jti) {
            Entry::Occupied(_) => Entered::Known,
            // Looked at under the entry's lock: a delivery is put among the whole ones before it
            // leaves the open ones, so it can't be missed.
            Entry::Vacant(_) if self.whole.contains_key(&jti) => Entered::Whole,
            Entry::Vacant(vacant) => Entered::Claiming(vacant.insert(Arc::new(make())).clone()),
        }
    }

    /// The delivery of `jti`, if one is open.
    pub(crate) fn find(&self, jti: Jti) -> Option<Arc<Delivery>> {
        self.open.get(&jti).map(|delivery| delivery.clone())
    }

    /// The jtis of which bytes are being sent.
    pub(crate) fn sending(&self) -> Vec<Jti> {
        let is_sending = |delivery: &Delivery| !delivery.state().streams.is_empty();
        self.open.iter().filter(|entry| is_sending(entry.value())).map(|entry| *entry.key()).collect()
    }

    /// Has streams stop at their next portion, or lets new ones begin again.
    pub(crate) fn suspend(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::Relaxed);
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Whether `jti` went out whole and nobody has it open again.
    pub(crate) fn went_out_whole(&self, jti: Jti) -> bool {
        self.whole.contains_key(&jti)
    }

    /// A delivery that went out whole, or was redeemed before this process started, opened again
    /// for a client that has shown the resume key. `unknown_may` says whether a delivery that this
    /// ledger does not know is still under lease.
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
                    Some(whole) => make().having_left(whole),
                    None if unknown_may => make(),
                    None => return None,
                };
                Some(vacant.insert(Arc::new(delivery)).clone())
            }
        }
    }

    /// Removes a delivery whose claim failed and tells those who wait for it to start anew.
    pub(crate) fn forget(&self, delivery: &Arc<Delivery>) {
        self.open.remove_if(&delivery.jti, |_, known| Arc::ptr_eq(known, delivery));
        delivery.state().phase = Phase::Dropped;
        delivery.changed.notify_waiters();
    }

    /// Ends whatever is under way for `jti`.
    pub(crate) fn revoke(&self, jti: Jti) {
        if let Some((_, delivery)) = self.open.remove(&jti) {
            delivery.state().phase = Phase::Revoked;
            delivery.announce();
        }
        self.whole.remove(&jti);
    }

    /// Puts a delivery that is whole and idle among the whole ones, where it takes little memory.
    fn settle(&self, delivery: &Arc<Delivery>) {
        let state = delivery.state();
        if delivery.proxied
            || state.is_split
            || !state.unread.is_empty()
            || !(delivery.is_whole(&state) && state.is_settled() && state.phase == Phase::Open)
        {
            return;
        }
        let whole = Whole::of(&state);
        drop(state);
        self.whole.insert(delivery.jti, whole);
        self.open.remove_if(&delivery.jti, |_, known| {
            let mut state = known.state();
            let idle = Arc::ptr_eq(known, delivery) && delivery.is_whole(&state) && state.is_settled();
            if idle {
                // Whoever found it just before must look again, or its bytes would be counted twice over.
                state.phase = Phase::Dropped;
            }
            idle
        });
    }

    /// Forgets deliveries whose lease has ended. The durable record stays.
    pub(crate) fn purge(&self, lease: Duration, now: Timestamp) {
        self.open.retain(|jti, delivery| {
            let mut state = delivery.state();
            let is_whole = delivery.is_whole(&state) && state.is_settled() && state.phase == Phase::Open;
            if is_whole && !delivery.may_be_unread(&state, now) {
                self.whole.insert(*jti, Whole::of(&state));
                state.phase = Phase::Dropped;
                return false;
            }
            state.phase == Phase::Claiming || !state.is_idle() || delivery.lease_end(&state, lease) > now
        });
        self.whole.retain(|_, whole| Timestamp::from_secs(whole.last_sent.into()).plus(lease) > now);
    }

    /// How many deliveries are open and how many went out whole.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.open.len(), self.whole.len())
    }
}
