//! An in-memory used-token store: for tests, and as the reference for the other backends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::used_tokens::{Mark, Reservation, StoreError, Use, UsedToken, UsedTokens};

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
    /// Creates an empty store that refuses tokens issued before `fence`.
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

    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        let mut state = self.open_state()?;
        let record = state.records.get(&jti).copied();
        let (found, reserving) = reserved(record, bytes, most, now);
        if let Some(used) = reserving {
            state.records.insert(jti, used);
        }
        Ok(found)
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

    async fn record_time(&self, _now: Timestamp) -> Result<(), StoreError> {
        self.open_state().map(|_| ())
    }

    fn fence(&self) -> Timestamp {
        self.fence
    }

    fn opened_mark(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    fn records(&self) -> Option<usize> {
        self.open_state().ok().map(|state| state.records.len())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.open_state().map(|_| ())
    }

    async fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

/// Returns the result of a reservation for `record`, and the new record if it is granted.
pub(super) fn reserved(
    record: Option<UsedToken>,
    bytes: u64,
    most: u64,
    now: Timestamp,
) -> (Reservation, Option<UsedToken>) {
    let Some((used, lease)) = record.and_then(|used| match used.mark {
        Mark::Redeemed(Some(lease)) => Some((used, lease)),
        Mark::Redeemed(None) | Mark::Revoked => None,
    }) else {
        return (Reservation::NoLease(record), None);
    };
    match lease.reserving(bytes, most, now) {
        Some(lease) => {
            let granted = Reservation::Granted { reserved: lease.reserved };
            (granted, Some(UsedToken { mark: Mark::Redeemed(Some(lease)), ..used }))
        }
        None => (Reservation::Exceeded { reserved: lease.reserved }, None),
    }
}

/// Returns the record after a revocation of `record` at `now`.
pub(super) fn revoked(
    jti: Jti,
    now: Timestamp,
    forget_at: Timestamp,
    record: Option<UsedToken>,
) -> UsedToken {
    let forget_at = record.map_or(forget_at, |record| record.forget_at.max(forget_at));
    UsedToken { jti, marked_at: now, forget_at, mark: Mark::Revoked }
}
