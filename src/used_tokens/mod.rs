//! The used-token store: the durable record of which tokens were redeemed or revoked.
//!
//! One trait, [`UsedTokens`], has a contract that every backend fulfills (`tests/it/used_tokens.rs` tests all
//! of them). The store knows nothing about HTTP, files or signatures.

mod claim_queue;
mod known;
pub mod memory;
mod packed;
pub mod redis;
pub mod sled;
pub mod sql;

use async_trait::async_trait;
use prometheus_client::registry::Registry;

use crate::clock::Timestamp;
use crate::files::FileVersion;
use crate::files::identity::FileFingerprint;
use crate::id::Jti;
use crate::secret::Digest;
use crate::standing::Standing;

/// The record of one jti. Small, and written once: only a revocation or a [reservation](UsedTokens::reserve)
/// replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedToken {
    /// The used id.
    pub jti: Jti,
    /// When it was redeemed or revoked.
    pub marked_at: Timestamp,
    /// When [`UsedTokens::purge`] may remove it.
    ///
    /// Invariant: later than any time at which a node could still accept the token or honor its lease.
    /// Otherwise purging would reopen the link.
    pub forget_at: Timestamp,
    /// How it was used.
    pub mark: Mark,
}

/// How a token was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Redeemed; the lease, if any, says who may resume and until when.
    Redeemed(Option<Lease>),
    /// Revoked: nobody may redeem or resume.
    Revoked,
}

/// The redeeming client's permission to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Digest of the resume key (the strong ETag of the redeeming response).
    pub resume_key: Digest,
    /// The latest possible end, whatever the client does.
    pub until: Timestamp,
    /// The file's version when it was redeemed; another version isn't served.
    pub version: FileVersion,
    /// What else is known about the file; `None` in records of earlier releases.
    pub trace: Option<FileFingerprint>,
    /// How many bytes were reserved so far for streams that don't depend on a node's memory.
    pub reserved: u64,
    /// When bytes were last sent, as far as this was reported to the store.
    pub active_at: Timestamp,
}

impl Lease {
    /// Reserves `bytes` more, as in [`UsedTokens::reserve`]; `None` if the limit would be exceeded.
    #[must_use]
    pub fn reserving(self, bytes: u64, most: u64, now: Timestamp) -> Option<Lease> {
        let reserved = self.reserved.checked_add(bytes).filter(|reserved| *reserved <= most)?;
        Some(Lease { reserved, active_at: self.active_at.max(now), ..self })
    }
}

/// The result of [`UsedTokens::reserve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The bytes are durably reserved.
    Granted {
        /// The total reserved so far.
        reserved: u64,
    },
    /// The limit would be exceeded.
    Exceeded {
        /// The total reserved so far.
        reserved: u64,
    },
    /// There is no lease; this is the record, if there is one.
    NoLease(Option<UsedToken>),
}

/// The result of [`UsedTokens::claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The jti was unused and is now durably recorded.
    First,
    /// The jti was already recorded; this is its record.
    Replay(UsedToken),
}

/// The store gave no reliable answer, so nothing may be served.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An earlier write or fsync failed, so the content of the disk is unknown until the next start.
    #[error("the used-token store stopped serving after a failed write")]
    Poisoned,
    /// The disk is full. Nothing was lost, and the store recovers by itself when there is room.
    #[error("the disk of the used-token store is full")]
    Full,
    /// The store is closed.
    #[error("the used-token store is closed")]
    Closed,
    /// The backend failed.
    #[error("the used-token store failed to {action}")]
    Backend {
        /// The failed action, after "failed to".
        action: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Maximum number of jtis in one query.
pub const ASKED_AT_ONCE: usize = 500;

/// Records which jtis were used. Implementations are shared by all workers of a process.
///
/// If the future of a call is dropped, the call may or may not have taken effect.
#[async_trait]
pub trait UsedTokens: Send + Sync {
    /// Records `used.jti` unless it is already recorded.
    ///
    /// Atomic: of any number of concurrent claims of one jti, in all processes that share the store, exactly
    /// one returns [`Use::First`]. Durable: when it returns `First`, the record survives `kill -9` and power
    /// failures. A `Replay` may be returned before the first claim is durable.
    ///
    /// # Errors
    /// If it isn't certain that the record is durable: the caller must not serve.
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError>;

    /// [Claims](UsedTokens::claim) a token that was issued at `issued_at` and found valid before.
    ///
    /// # Errors
    /// Also if the fence has risen past `issued_at` since: the token was compared with an earlier fence, and the
    /// store may have forgotten its redemption.
    async fn claim_issued(&self, used: UsedToken, issued_at: Timestamp) -> Result<Use, StoreError> {
        let found = self.claim(used).await?;
        // Invariant: a store that accepts claims under a new fence already returns that fence.
        if issued_at < self.fence() {
            let source = "its fence rose at the same moment".into();
            return Err(StoreError::Backend { action: "claim a token", source });
        }
        Ok(found)
    }

    /// Returns the record of `jti`, if there is one. Changes nothing.
    ///
    /// # Errors
    /// If the store can't answer.
    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError>;

    /// Reserves `bytes` more of the file of a redeemed jti, unless the total would exceed `most`.
    ///
    /// Atomic: in all processes that share the store, calls with the limit `most` never reserve more in
    /// total. Durable like [`UsedTokens::claim`]. Reservations are never returned.
    ///
    /// # Errors
    /// If it isn't certain that the reservation is durable: the caller must not serve.
    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError>;

    /// Returns whether other processes may use this store, so that their changes must be queried.
    fn is_shared(&self) -> bool {
        false
    }

    /// Returns which of these jtis are revoked; accepts at most [`ASKED_AT_ONCE`].
    ///
    /// # Errors
    /// If the store can't answer.
    async fn revoked_among(&self, jtis: &[Jti]) -> Result<Vec<Jti>, StoreError> {
        let mut revoked = Vec::new();
        for jti in jtis {
            if self.find(*jti).await?.is_some_and(|used| used.mark == Mark::Revoked) {
                revoked.push(*jti);
            }
        }
        Ok(revoked)
    }

    /// Records that bytes of these jtis were sent until `now`, for the other processes that share the store;
    /// accepts at most [`ASKED_AT_ONCE`]. A store that isn't shared may ignore this.
    ///
    /// # Errors
    /// If the backend fails.
    async fn record_activity(&self, _jtis: &[Jti], _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    /// Records `jti` as [`Mark::Revoked`], replacing a record of its redemption, with the later `forget_at`
    /// of the two. Durable like [`UsedTokens::claim`], and can be repeated.
    ///
    /// # Errors
    /// If it isn't certain that the revocation is durable.
    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError>;

    /// Removes records whose `forget_at` is at or before `now`, and returns how many. Works in portions, so
    /// that claims are never delayed for long. `now` must come from a [`crate::clock::Clock`], whose
    /// high-water mark prevents a wrong wall clock from reopening links.
    ///
    /// # Errors
    /// If the backend fails; the rest is removed next time.
    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Durably records `now` as the high-water mark of time. Called if no claim did so for 10 s.
    ///
    /// # Errors
    /// If the backend fails.
    async fn record_time(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Returns the fence: tokens with an earlier `iat` are refused, because this store doesn't know them.
    fn fence(&self) -> Timestamp;

    /// Returns the high-water mark of time when the store was opened: nothing in this store happened later.
    fn opened_mark(&self) -> Timestamp;

    /// Returns the current standing of the store, for others to remember; `None` for a store without durable
    /// state. Checks what other processes did to a shared store: it may have a new fence, or may have been
    /// restored from a backup, which raises its fence.
    ///
    /// # Errors
    /// If the backend fails.
    async fn standing(&self, _now: Timestamp) -> Result<Option<Standing>, StoreError> {
        Ok(None)
    }

    /// Returns whether something was recorded since the last [`UsedTokens::standing`] that should be
    /// remembered soon, because that would be the only trace of it if the store is restored.
    fn has_news(&self) -> bool {
        false
    }

    /// Call this if someone remembers a later standing, so that the store must have been restored from a
    /// backup. Durably raises the fence to the next second, unless that was already done. Returns whether
    /// this call did it.
    ///
    /// # Errors
    /// If it isn't certain that the fence is durable.
    async fn raise_fence_if_restored(
        &self,
        _remembered: &Standing,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Returns the new high-water mark if an operator has reset the time of a shared store. Returned once.
    fn time_reset(&self) -> Option<Timestamp> {
        None
    }

    /// Returns the number of records, if that is known without a search.
    fn records(&self) -> Option<usize> {
        None
    }

    /// Adds the metrics of this backend to those that are published.
    fn register_metrics(&self, _registry: &mut Registry) {}

    /// Returns whether claims can succeed now; used by `/readyz`.
    ///
    /// # Errors
    /// Why they can't.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Finishes running calls and closes the store; later calls return [`StoreError::Closed`].
    async fn close(&self);
}
