//! The used-token store: the current engine, and its replacement after the disk was full.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock::{Clock, Timestamp};
use crate::id::Jti;
use crate::standing::Standing;
use crate::used_tokens::sled::engine::StoreEngine;
use crate::used_tokens::sled::opening::{StoreOpenError, Tuning};
use crate::used_tokens::sled::recovery;
use crate::used_tokens::sled::reopen::Reopener;
use crate::used_tokens::{Reservation, StoreError, Use, UsedToken, UsedTokens};

/// The used-token store on the local disk.
pub struct SledUsedTokens {
    reopener: Arc<Reopener>,
    opened_mark: Timestamp,
    flush_seconds: Histogram,
}

impl SledUsedTokens {
    /// Opens or creates the store in the folder `dir`. Raises `clock` to the store's high-water mark. Blocks,
    /// because it first checks everything on disk.
    ///
    /// A new store refuses tokens issued before now, unless the caller knows that no token was issued before
    /// `nothing_issued_before`; then that is its fence. A store in doubt raises its fence to the next second,
    /// whatever the caller knows.
    ///
    /// # Errors
    /// If another process uses it, or the disk can't be read or written.
    pub fn open(
        dir: &Path,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
    ) -> Result<SledUsedTokens, StoreOpenError> {
        SledUsedTokens::open_tuned(dir, clock, nothing_issued_before, &Tuning::default())
    }

    /// The same with other parameters.
    ///
    /// # Errors
    /// As [`SledUsedTokens::open`].
    pub fn open_tuned(
        dir: &Path,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
        tuning: &Tuning,
    ) -> Result<SledUsedTokens, StoreOpenError> {
        let engine = StoreEngine::open(dir, clock, nothing_issued_before, tuning)?;
        // Records that a replacement engine finds there were sent by this process, which knows about them.
        let opened_mark = engine.opened_mark();
        let flush_seconds = tuning.flush_seconds.clone();
        Ok(SledUsedTokens { reopener: Reopener::of(engine, dir, clock, tuning), opened_mark, flush_seconds })
    }

    /// Resets the time of the store in the folder `dir`, which must not be in use, to `now`: forgets all
    /// later times, and refuses everything issued before the next second. Returns the latest recorded time;
    /// `None` if there is no store.
    ///
    /// # Errors
    /// As [`SledUsedTokens::open`].
    pub fn reset_time(dir: &Path, now: Timestamp) -> Result<Option<Timestamp>, StoreOpenError> {
        recovery::reset_time(dir, now, Tuning::default().slots)
    }

    /// Makes the store reopen if it failed because the disk was full.
    fn watched<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Full) = answer {
            self.reopener.begin();
        }
        answer
    }
}

#[async_trait]
impl UsedTokens for SledUsedTokens {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        self.watched(self.reopener.engine().claim(used).await)
    }

    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError> {
        self.watched(self.reopener.engine().find(jti).await)
    }

    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        self.watched(self.reopener.engine().reserve(jti, bytes, most, now).await)
    }

    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError> {
        self.watched(self.reopener.engine().revoke(jti, now, forget_at).await)
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.watched(self.reopener.engine().purge(now).await)
    }

    async fn record_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.watched(self.reopener.engine().record_time(now).await)
    }

    fn fence(&self) -> Timestamp {
        self.reopener.engine().fence()
    }

    fn opened_mark(&self) -> Timestamp {
        self.opened_mark
    }

    async fn standing(&self, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.watched(self.reopener.engine().standing(now).await)
    }

    async fn raise_fence_if_restored(
        &self,
        remembered: &Standing,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.watched(self.reopener.engine().raise_fence_if_restored(remembered, now).await)
    }

    fn records(&self) -> Option<usize> {
        Some(self.reopener.engine().records())
    }

    fn register_metrics(&self, registry: &mut Registry) {
        let flush = "How long it took to write a group of records durably";
        registry.register("flush_seconds", flush, self.flush_seconds.clone());
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.watched(self.reopener.engine().ready().await)
    }

    async fn close(&self) {
        self.reopener.end();
        self.reopener.engine().close().await;
    }
}

/// Without [`UsedTokens::close`], the journal stays as it is, and the next start reads it.
impl Drop for SledUsedTokens {
    fn drop(&mut self) {
        self.reopener.end();
    }
}
