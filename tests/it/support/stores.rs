//! Used-token stores that misbehave on demand.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use oncelink::clock::Timestamp;
use oncelink::id::Jti;
use oncelink::used_tokens::memory::MemoryUsedTokens;
use oncelink::used_tokens::{Reservation, StoreError, Use, UsedToken, UsedTokens};

/// A store in memory that returns errors while it is told to fail.
pub struct Failing {
    inner: MemoryUsedTokens,
    failing: AtomicBool,
    panicking: AtomicBool,
    /// The fence, and whether the next claim raises it before it succeeds.
    fence: AtomicU64,
    raising: AtomicBool,
}

impl Default for Failing {
    fn default() -> Failing {
        Failing {
            inner: MemoryUsedTokens::new(super::T0),
            failing: AtomicBool::new(false),
            panicking: AtomicBool::new(false),
            fence: AtomicU64::new(super::T0.secs()),
            raising: AtomicBool::new(false),
        }
    }
}

impl Failing {
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Panics at the next claim.
    pub fn panic_once(&self) {
        self.panicking.store(true, Ordering::SeqCst);
    }

    /// Raises the fence by a second while the next token is claimed.
    pub fn raise_fence_at_claim(&self) {
        self.raising.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::SeqCst) { Err(StoreError::Poisoned) } else { Ok(()) }
    }
}

#[async_trait]
impl UsedTokens for Failing {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        assert!(!self.panicking.swap(false, Ordering::SeqCst), "on the test's request");
        self.check()?;
        if self.raising.swap(false, Ordering::SeqCst) {
            self.fence.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.claim(used).await
    }

    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError> {
        self.check()?;
        self.inner.find(jti).await
    }

    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        self.check()?;
        self.inner.reserve(jti, bytes, most, now).await
    }

    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError> {
        self.check()?;
        self.inner.revoke(jti, now, forget_at).await
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.purge(now).await
    }

    async fn record_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.inner.record_time(now).await
    }

    fn fence(&self) -> Timestamp {
        Timestamp::from_secs(self.fence.load(Ordering::SeqCst))
    }

    fn opened_mark(&self) -> Timestamp {
        self.inner.opened_mark()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.check()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
