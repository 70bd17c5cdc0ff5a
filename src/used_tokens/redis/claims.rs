//! What is recorded about each token. Records are packed like those of sled; a change replaces the whole record
//! if it is still the one that the change was made from, so the rules are those of the other stores.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::standing::Standing;
use crate::used_tokens::memory::{reserved, revoked};
use crate::used_tokens::packed::unpack_block;
use crate::used_tokens::redis::scripts::{self, PURGE_PORTION, Swap};
use crate::used_tokens::redis::store::{RedisUsedTokens, backend};
use crate::used_tokens::{Lease, Mark, Reservation, StoreError, Use, UsedToken, UsedTokens};

/// How often a change is made again because another came first. Each of the connections that a download may
/// have can come first once.
const ATTEMPTS: usize = 128;

/// A record as it is stored, and its content.
type Stored = Option<(Vec<u8>, UsedToken)>;

impl RedisUsedTokens {
    async fn stored(&self, action: &'static str, jtis: &[Jti]) -> Result<Vec<Stored>, StoreError> {
        let values: Vec<Option<Vec<u8>>> = self.read(action, &scripts::find(jtis)).await?;
        let damaged = || backend(action)("a record is damaged");
        jtis.iter()
            .zip(values)
            .map(|(jti, value)| {
                let Some(value) = value else { return Ok(None) };
                match unpack_block(0, &value).ok_or_else(damaged)?.as_slice() {
                    [used] if used.jti == *jti => Ok(Some((value, *used))),
                    _ => Err(damaged()),
                }
            })
            .collect()
    }

    async fn stored_one(&self, action: &'static str, jti: Jti) -> Result<Stored, StoreError> {
        Ok(self.stored(action, &[jti]).await?.pop().flatten())
    }

    /// Replaces the record that was read as `old`. Returns whether it was still that.
    async fn replace(
        &self,
        action: &'static str,
        old: &Stored,
        new: &UsedToken,
        known: Option<(i64, i64)>,
    ) -> Result<bool, StoreError> {
        let old = old.as_ref().map_or(&[][..], |(value, _)| value);
        let changed: Vec<bool> = self.write(action, scripts::swap(&[Swap { known, old, new }])).await?;
        let changed = changed == [true];
        if changed {
            self.known.note_moved();
        }
        Ok(changed)
    }

    /// An error after something did not happen though nothing in the record prevented it: the store began a new
    /// epoch or was restored, or the record was purged at the same moment. It is unknown whether the token may
    /// be used again.
    async fn changed_meanwhile(&self, action: &'static str, now: Timestamp) -> StoreError {
        match self.look_again(now).await {
            Ok(()) => backend(action)("its fence rose, or a record was forgotten, at the same moment"),
            Err(error) => error,
        }
    }
}

#[async_trait]
impl UsedTokens for RedisUsedTokens {
    async fn claim(&self, used: UsedToken) -> Result<Use, StoreError> {
        self.check_open()?;
        // Not if the store has changed since the fence that the token was checked against.
        if self.queue.claim(used, self.known.epoch(), self.known.position()).await? {
            return Ok(Use::First);
        }
        match self.find(used.jti).await? {
            Some(before) => Ok(Use::Replay(before)),
            None => Err(self.changed_meanwhile("claim a token", used.marked_at).await),
        }
    }

    async fn find(&self, jti: Jti) -> Result<Option<UsedToken>, StoreError> {
        self.check_open()?;
        Ok(self.stored_one("find a token", jti).await?.map(|(_, used)| used))
    }

    async fn reserve(
        &self,
        jti: Jti,
        bytes: u64,
        most: u64,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        const ACTION: &str = "reserve bytes";
        self.check_open()?;
        let known = (self.known.epoch(), self.known.position());
        let mut before: Option<Stored> = None;
        for _ in 0..ATTEMPTS {
            let old = self.stored_one(ACTION, jti).await?;
            if before.as_ref() == Some(&old) {
                return Err(self.changed_meanwhile(ACTION, now).await);
            }
            let (found, new) = reserved(old.as_ref().map(|(_, used)| *used), bytes, most, now);
            let Some(new) = new else { return Ok(found) };
            if self.replace(ACTION, &old, &new, Some(known)).await? {
                return Ok(found);
            }
            before = Some(old);
        }
        Err(backend(ACTION)("too many other changes of the same record"))
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn revoked_among(&self, jtis: &[Jti]) -> Result<Vec<Jti>, StoreError> {
        self.check_open()?;
        if jtis.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.stored("query revocations", jtis).await?;
        let revoked = stored.into_iter().flatten().filter(|(_, used)| used.mark == Mark::Revoked);
        Ok(revoked.map(|(_, used)| used.jti).collect())
    }

    /// A record that changes at the same moment keeps its earlier activity until the next report.
    async fn record_activity(&self, jtis: &[Jti], now: Timestamp) -> Result<(), StoreError> {
        const ACTION: &str = "record what is being sent";
        self.check_open()?;
        if jtis.is_empty() {
            return Ok(());
        }
        let stored = self.stored(ACTION, jtis).await?;
        let active = |(value, used): (Vec<u8>, UsedToken)| match used.mark {
            Mark::Redeemed(Some(lease)) if lease.active_at < now => {
                let lease = Lease { active_at: now, ..lease };
                Some((value, UsedToken { mark: Mark::Redeemed(Some(lease)), ..used }))
            }
            Mark::Redeemed(_) | Mark::Revoked => None,
        };
        let changes: Vec<_> = stored.into_iter().flatten().filter_map(active).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let swaps: Vec<_> = changes.iter().map(|(old, new)| Swap { known: None, old, new }).collect();
        self.write::<Vec<bool>>(ACTION, scripts::swap(&swaps)).await?;
        Ok(())
    }

    async fn revoke(&self, jti: Jti, now: Timestamp, forget_at: Timestamp) -> Result<(), StoreError> {
        const ACTION: &str = "revoke a token";
        self.check_open()?;
        for _ in 0..ATTEMPTS {
            let old = self.stored_one(ACTION, jti).await?;
            let new = revoked(jti, now, forget_at, old.as_ref().map(|(_, used)| *used));
            // In any epoch: a revocation only refuses.
            if self.replace(ACTION, &old, &new, None).await? {
                return Ok(());
            }
        }
        Err(backend(ACTION)("too many other changes of the same record"))
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0_u64;
        loop {
            self.check_open()?;
            let removed: u64 = self.write("purge", scripts::purge(now)).await?;
            forgotten = forgotten.saturating_add(removed);
            if removed < PURGE_PORTION {
                return Ok(forgotten);
            }
        }
    }

    async fn record_time(&self, now: Timestamp) -> Result<(), StoreError> {
        self.check_open()?;
        // A process that doesn't know yet that the time was reset must not restore the old one.
        self.write::<i64>("keep the time", scripts::record_time(self.known.epoch(), now)).await?;
        Ok(())
    }

    fn fence(&self) -> Timestamp {
        self.known.fence()
    }

    fn opened_mark(&self) -> Timestamp {
        self.opened_mark
    }

    async fn standing(&self, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.check_open()?;
        self.stand(now).await.map(Some)
    }

    fn has_news(&self) -> bool {
        self.known.has_moved()
    }

    async fn raise_fence_if_restored(
        &self,
        remembered: &Standing,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.check_open()?;
        self.begin_epoch_after(remembered, now).await
    }

    fn time_reset(&self) -> Option<Timestamp> {
        self.known.take_time_reset()
    }

    /// Writes, because Redis may be unable to, or no longer keep what it confirms.
    async fn ready(&self) -> Result<(), StoreError> {
        self.check_open()?;
        self.queue.check()?;
        match self.write("write", scripts::probe()).await? {
            true => Ok(()),
            false => Err(backend("write")("it was emptied, and its fence has not risen yet")),
        }
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.queue.close().await;
        self.link.close().await;
    }
}
