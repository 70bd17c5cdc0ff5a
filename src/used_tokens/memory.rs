//! The used-token store that forgets everything when the process ends: for tests, and the
//! reference that the other backends are compared with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::used_tokens::{Mark, StoreError, Use, UsedToken, UsedTokens};

/// Used tokens in memory. Not durable: never for real downloads.
pub struct MemoryUsedTokens {
    fence: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: HashMap<Jti, UsedToken>,
    closed: bool,
}

impl MemoryUsedTokens {
    /// An empty store that can't speak for tokens issued before `fence`.
    pub fn new(fence: Timestamp) -> MemoryUsedTokens {
        MemoryUsedTokens { fence, state: Mutex::default() }
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Closed) } else { Ok(state) }
    }
}

#[async_trait]
impl UsedTokens for MemoryUsedTokens {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        Ok(match self.open_state()?.records.entry(used.jti) {
            Entry::Occupied(record) => Use::Replay(*record.get()),
            Entry::Vacant(free) => {
                free.insert(used);
                Use::First
            }
        })
    }

    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError> {
        Ok(self.open_state()?.records.get(&jti).copied())
    }

    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError> {
        let mut state = self.open_state()?;
        let record = state.records.get(&jti).copied();
        state.records.insert(jti, revoked(jti, now, forget_at, record));
        Ok(())
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut state = self.open_state()?;
        let before = state.records.len();
        state.records.retain(|_, used| used.forget_at > now);
        Ok(before.saturating_sub(state.records.len()) as u64)
    }

    async fn keep_time(&self, _now: Timestamp) -> Result<(), StoreError> {
        self.open_state().map(|_| ())
    }

    fn fence(&self) -> Timestamp {
        self.fence
    }

    fn opened_mark(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.open_state().map(|_| ())
    }

    async fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

/// The record that a revocation at `now` leaves where `record` stood.
pub(super) fn revoked(
    jti: Jti,
    now: Timestamp,
    forget_at: Timestamp,
    record: Option<UsedToken>,
) -> UsedToken {
    let forget_at = record.map_or(forget_at, |record| record.forget_at.max(forget_at));
    UsedToken { jti, marked_at: now, forget_at, mark: Mark::Revoked }
}
