//! The delivery of one redeemed jti: who redeemed it, and which bytes were sent.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::clock::Timestamp;
use crate::download::conditions::Conditions;
use crate::download::ledger::limits::{KEYED_FACTOR, RESEND_ALLOWANCE, UNREAD_PATIENCE};
use crate::download::ledger::proof::second_key;
use crate::download::ledger::reserved::ReservedBytes;
use crate::download::ledger::state::{DeliveryInner, DeliveryPhase};
use crate::download::ledger::whole::CompleteDelivery;
use crate::files::FileVersion;
use crate::files::identity::FileFingerprint;
use crate::id::Jti;
use crate::secret::{Digest, Secret};
use crate::used_tokens::Lease;

/// The delivery of one redeemed jti: who redeemed it, and which bytes were sent.
pub(crate) struct Delivery {
    pub(crate) jti: Jti,
    /// The file's size in bytes.
    pub(super) size: u64,
    pub(crate) version: FileVersion,
    /// What else is known about the file.
    pub(crate) trace: Option<FileFingerprint>,
    /// The client's address; `None` if it is unknown or doesn't count.
    address: Option<IpAddr>,
    /// The content of the strong ETag: the resume key, or the second one if only the digest of the first is
    /// known.
    pub(crate) resume_key: Secret,
    pub(super) resume_digest: Digest,
    pub(super) second_digest: Digest,
    /// The latest possible end of the lease.
    pub(super) until: Timestamp,
    state: Mutex<DeliveryInner>,
    pub(super) changed: Notify,
    /// Allows one reservation at a time, so that this node's reservations can be distinguished from others'.
    pub(crate) reserving: Semaphore,
    /// How many bytes may be sent again to a client without the resume key.
    allowance: u64,
    /// Whether it was redeemed through a trusted proxy.
    pub(crate) proxied: bool,
    /// Notified of the same changes as waiting requests; set if this delivery has a receipt.
    watcher: OnceLock<Arc<Notify>>,
}

impl Delivery {
    /// Creates a delivery that is about to be claimed.
    pub(crate) fn new(
        jti: Jti,
        version: FileVersion,
        address: Option<IpAddr>,
        resume_key: Secret,
        until: Timestamp,
        now: Timestamp,
    ) -> Delivery {
        Delivery {
            jti,
            size: version.len,
            version,
            trace: None,
            address,
            resume_digest: resume_key.digest(),
            second_digest: second_key(&resume_key.digest()).digest(),
            resume_key,
            until,
            state: Mutex::new(DeliveryInner::new(now)),
            changed: Notify::new(),
            reserving: Semaphore::new(1),
            allowance: RESEND_ALLOWANCE,
            proxied: false,
            watcher: OnceLock::new(),
        }
    }

    /// The same, with what else is known about the file.
    pub(crate) fn with_trace(self, trace: Option<FileFingerprint>) -> Delivery {
        Delivery { trace, ..self }
    }

    /// The same, redeemed through a trusted proxy. Data in the proxy when a connection breaks seems to have
    /// arrived, so `allowance` bytes may be sent again, also for a while after the last byte.
    pub(crate) fn through_proxy(self, allowance: u64) -> Delivery {
        Delivery { allowance: allowance.max(RESEND_ALLOWANCE), proxied: true, ..self }
    }

    pub(super) const fn allowance(&self) -> u64 {
        self.allowance
    }

    /// Wakes `watcher` at every change that requests waiting for this delivery are notified of.
    pub(crate) fn notify_on_change(&self, watcher: Arc<Notify>) {
        let _only_the_first_counts = self.watcher.set(watcher);
    }

    /// Call this when something began or ended.
    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
        if let Some(watcher) = self.watcher.get() {
            watcher.notify_one();
        }
    }

    /// Creates a delivery from an earlier record. `shown` is the tag with which its client identified itself,
    /// if any.
    pub(crate) fn recorded(jti: Jti, lease: &Lease, shown: Option<Secret>, now: Timestamp) -> Delivery {
        let second = second_key(&lease.resume_key);
        let shown = shown.unwrap_or_else(|| second.clone());
        let delivery = Delivery {
            resume_digest: lease.resume_key,
            second_digest: second.digest(),
            trace: lease.trace,
            ..Delivery::new(jti, lease.version, None, shown, lease.until, now)
        };
        let mut state = delivery.state();
        state.phase = DeliveryPhase::Open;
        state.reserved = ReservedBytes::recorded(lease.reserved);
        let unkeyed = delivery.byte_budget().saturating_sub(delivery.keyed_budget());
        state.bytes_sent = unkeyed.saturating_add(lease.reserved);
        drop(state);
        delivery
    }

    /// The same for a file that this node knows to be complete.
    pub(super) fn known_complete(self, whole: CompleteDelivery) -> Delivery {
        let mut state = self.state();
        state.sent.insert(0..self.size);
        state.opened_again = true;
        // A number that is too large was truncated; then nothing is known.
        if whole.unkeyed_kib < u32::MAX {
            state.bytes_sent = (u64::from(whole.unkeyed_kib) * 1024).saturating_add(state.reserved.total);
        }
        state.last_sent = Timestamp::from_secs(whole.last_sent.into());
        drop(state);
        self
    }

    /// Returns the maximum number of bytes that may ever be sent.
    pub(super) fn byte_budget(&self) -> u64 {
        self.size.saturating_mul(KEYED_FACTOR).saturating_add(RESEND_ALLOWANCE)
    }

    /// Returns whether every byte was sent and, as far as known, arrived.
    pub(super) fn is_complete(&self, state: &DeliveryInner) -> bool {
        state.sent.covers(self.size) && state.undelivered.is_empty() && !state.empty_undelivered
    }

    pub(super) fn lease_end(&self, state: &DeliveryInner, lease: Duration) -> Timestamp {
        state.last_sent.plus(lease).min(self.until)
    }

    /// Returns whether a client at this address counts as the one that redeemed.
    pub(crate) fn is_for(&self, address: Option<IpAddr>) -> bool {
        address.is_some() && self.address == address
    }

    /// Returns the digest of the resume key.
    pub(crate) const fn resume_digest(&self) -> &Digest {
        &self.resume_digest
    }

    /// Returns how many bytes of a redeemed file may be sent with the key or a continuation if it isn't known
    /// what was sent without.
    pub(super) const fn keyed_budget(&self) -> u64 {
        self.size.saturating_mul(KEYED_FACTOR - 1)
    }

    /// Returns whether part of a complete file may be unread: in a proxy that lost its client, or at a client
    /// that closed a connection.
    pub(super) fn may_be_unread(&self, state: &DeliveryInner, now: Timestamp) -> bool {
        let may = self.proxied || state.is_split || !state.unread.is_empty();
        may && state.completed_at.is_none_or(|at| now < at.plus(UNREAD_PATIENCE))
    }

    /// Returns the tag of this delivery in a request, and the digest to compare the request with. Clients of
    /// a delivery that was opened from its record may have either of two tags.
    pub(crate) fn tag_shown(&self, conditions: &Conditions) -> (Option<Secret>, &Digest) {
        match conditions.shown_key(&self.resume_digest) {
            Some(first) => (Some(first), &self.resume_digest),
            None => match conditions.shown_key(&self.second_digest) {
                Some(second) => (Some(second), &self.second_digest),
                None => (None, &self.resume_digest),
            },
        }
    }

    // A poisoned lock means a panic elsewhere. The state is changed in single consistent steps, and any error
    // in it only overestimates what was sent.
    pub(super) fn state(&self) -> MutexGuard<'_, DeliveryInner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
