//! The used-token store: the durable record of which tokens were redeemed or revoked.
//!
//! One trait, [`UsedTokens`], with one contract that every backend keeps (`tests/it/used_tokens.rs`
//! runs it against all of them). The store knows nothing of HTTP, files or signatures.

pub mod memory;
pub mod sled;
pub mod sql;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::files::FileVersion;
use crate::files::identity::Trace;
use crate::id::Jti;
use crate::secret::Digest;

/// The record of one jti. Small, and written once: only a revocation or a [reservation](UsedTokens::reserve)
/// replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedToken {
    /// What was used up.
    pub jti: Jti,
    /// When it was redeemed or revoked.
    pub marked_at: Timestamp,
    /// From when on [`UsedTokens::purge`] may forget it.
    ///
    /// Invariant: later than every moment at which any node could still accept the token or
    /// honour its lease; otherwise purge would reopen the link.
    pub forget_at: Timestamp,
    /// How it was used up.
    pub mark: Mark,
}

/// How a token was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Redeemed; the lease, if any, says who may resume and until when.
    Redeemed(Option<Lease>),
    /// Revoked: nobody may redeem or resume.
    Revoked,
}

/// The redeeming client's right to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Digest of the resume key (the strong ETag of the redeeming response).
    pub resume_key: Digest,
    /// The latest end there is, however busy the client keeps.
    pub until: Timestamp,
    /// What the file was when it was redeemed; another version is not served.
    pub version: FileVersion,
    /// What else is known of the very file; `None` in records of releases that did not know it.
    pub trace: Option<Trace>,
    /// How many bytes were reserved so far for streams that don't depend on what is in a node's memory.
    pub reserved: u64,
    /// When bytes last left, as far as the store was told.
    pub active_at: Timestamp,
}

impl Lease {
    /// Reserves `bytes` more, as [`UsedTokens::reserve`] has it; `None` where they would be too many.
    #[must_use]
    pub fn reserving(self, bytes: u64, most: u64, now: Timestamp) -> Option<Lease> {
        let reserved = self.reserved.checked_add(bytes).filter(|reserved| *reserved <= most)?;
        Some(Lease { reserved, active_at: self.active_at.max(now), ..self })
    }
}

/// What [`UsedTokens::reserve`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The bytes are reserved, durably; so many are in all.
    Granted {
        /// All that was reserved so far.
        reserved: u64,
    },
    /// They would be too many.
    Exceeded {
        /// All that was reserved so far.
        reserved: u64,
    },
    /// There is no lease; this is the record, if there is one.
    NoLease(Option<UsedToken>),
}

/// What [`UsedTokens::claim`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The jti was unused and is now on record, durably.
    First,
    /// The jti was on record already; this is that record.
    Replay(UsedToken),
}

/// The store gave no answer that can be relied on: nothing may be served on it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An earlier write or fsync failed; what is on disk is unknown until the next start.
    #[error("the used-token store stopped serving after a failed write")]
    Poisoned,
    /// The disk is full. The store opens again by itself once there is room, for nothing was lost.
    #[error("the used-token store has no room on its disk")]
    Full,
    /// The store is shutting down.
    #[error("the used-token store is closed")]
    Closed,
    /// The backend failed.
    #[error("the used-token store failed to {action}")]
    Backend {
        /// What was tried, as in "failed to …".
        action: &'static str,
        /// Why it did not work.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Most jtis in one question.
pub const ASKED_AT_ONCE: usize = 500;

/// Records which jtis were used. Implementations are shared by all workers of a process.
///
/// A call whose future is dropped half-way may or may not have taken effect.
#[async_trait]
pub trait UsedTokens: Send + Sync {
    /// Puts `used.jti` on record unless it is there already.
    ///
    /// Atomic: of any number of simultaneous claims of one jti, over all processes that share the
    /// store, exactly one answers [`Use::First`]. Durable: when it answers `First`, the record
    /// outlives kill -9 and power loss. A `Replay` may be answered before the first claim is durable.
    ///
    /// # Errors
    /// When the record may or may not be durable: the caller must not serve.
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError>;

    /// The record of `jti`, if there is one. Changes nothing.
    ///
    /// # Errors
    /// When the store can't tell.
    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError>;

    /// Reserves `bytes` more of the file of a redeemed jti, unless that makes more than `most` in all.
    ///
    /// Atomic: over all processes that share the store, no more than `most` is ever reserved by calls
    /// with that bound. Durable like [`UsedTokens::claim`]. Nothing is ever given back.
    ///
    /// # Errors
    /// When the reservation may or may not be durable: the caller must not serve.
    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError>;

    /// Whether other processes may have this store open, so that what happens there must be asked for.
    fn is_shared(&self) -> bool {
        false
    }

    /// Which of these jtis are revoked; at most [`ASKED_AT_ONCE`].
    ///
    /// # Errors
    /// When the store can't tell.
    async fn revoked_among(&self, jtis: &[Jti]) -> Result<Vec<Jti>, StoreError> {
        let mut revoked = Vec::new();
        for jti in jtis {
            if self.find(*jti).await?.is_some_and(|used| used.mark == Mark::Revoked) {
                revoked.push(*jti);
            }
        }
        Ok(revoked)
    }

    /// Notes that bytes of these jtis left until `now`, for the other processes that share the store; at
    /// most [`ASKED_AT_ONCE`]. A store that is not shared need not keep it.
    ///
    /// # Errors
    /// When the backend fails.
    async fn keep_open(&self, _jtis: &[Jti], _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    /// Puts `jti` on record as [`Mark::Revoked`], replacing a record of its redemption; keeps the
    /// later `forget_at` of the two. Durable like [`UsedTokens::claim`], and may be repeated.
    ///
    /// # Errors
    /// When the revocation may or may not be durable.
    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError>;

    /// Forgets records whose `forget_at` is at or before `now`, and answers how many. Never stalls
    /// claims for long; works in portions. `now` must come from a [`crate::clock::Clock`], whose
    /// high-water mark keeps a wrong wall clock from reopening links.
    ///
    /// # Errors
    /// When the backend fails; what is left is forgotten next time.
    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Persists `now` as the high-water mark of time, durably. Called when no claim did it for 10 s.
    ///
    /// # Errors
    /// When the backend fails.
    async fn keep_time(&self, now: Timestamp) -> Result<(), StoreError>;

    /// The moment before which this store can't speak for: tokens with an earlier `iat` are refused.
    fn fence(&self) -> Timestamp;

    /// The high-water mark of time found when the store was opened: nothing that this store
    /// recorded happened later.
    fn opened_mark(&self) -> Timestamp;

    /// Whether claims can succeed now; asked by `/readyz`.
    ///
    /// # Errors
    /// Why not.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Finishes what is under way and closes; later calls answer [`StoreError::Closed`].
    async fn close(&self);
}
