//! The standing of a store in Redis, and how it begins a new epoch: after it was restored or emptied, or after
//! an operator has reset its time.

use crate::clock::Timestamp;
use crate::standing::{Branch, Standing};
use crate::used_tokens::known::{StoreState, next_second, report_restored};
use crate::used_tokens::redis::scripts;
use crate::used_tokens::redis::store::{RedisUsedTokens, backend, branch_name, read_state};
use crate::used_tokens::{StoreError, UsedTokens};

/// How often it is tried to begin an epoch while other processes do so, too.
const ATTEMPTS: usize = 16;

/// The largest number that scripts compare exactly.
const LARGEST: u64 = (1 << 53) - 2;

impl RedisUsedTokens {
    /// Resets the time of the store to `now`: forgets all later times, and refuses everything issued before
    /// the next second, so later times in records no longer matter. Returns the latest recorded time.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn reset_time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.write::<i64>("reset its time", scripts::reset_time(now, next_second(now))).await?;
        self.refresh().await?;
        Ok(self.opened_mark)
    }

    /// Returns the standing of the store after everything that this process has recorded so far.
    pub(super) async fn stand(&self, now: Timestamp) -> Result<Standing, StoreError> {
        let _held = self.known.one_after_the_other.lock().await;
        if let Some(rise) = self.known.begin_rise() {
            // Never raised to what this process knows, because a restored store would then look normal.
            let command = scripts::rise(self.known.position());
            if self.write::<bool>("increase its position", command).await? {
                rise.done();
            }
        }
        self.look_again(now).await?;
        Ok(self.known.standing())
    }

    /// Checks what other processes did, and what a restore has undone.
    pub(super) async fn look_again(&self, now: Timestamp) -> Result<(), StoreError> {
        if let Some(id) = self.refresh().await? {
            // The store that is there now has to exceed what this process knows, whatever its id.
            let known = Standing { id, ..self.known.standing() };
            self.begin_epoch_after(&known, now).await?;
        }
        Ok(())
    }

    /// Learns the state of the store. Returns the id of the store that is there if it isn't a continuation
    /// of what this process knows.
    async fn refresh(&self) -> Result<Option<String>, StoreError> {
        let Some(state) = read_state(&self.link).await.map_err(backend("read its standing"))? else {
            return Ok(Some(self.known.id()));
        };
        let id = state.id.clone();
        // Emptied, and then opened by another process, which could not know.
        let is_another = id != self.known.id() && state.epoch == self.known.epoch();
        Ok((is_another || self.known.learn(state)).then_some(id))
    }

    /// Raises the fence if the store is behind `remembered`. Returns whether this call did it.
    pub(super) async fn begin_epoch_after(
        &self,
        remembered: &Standing,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        for _ in 0..ATTEMPTS {
            let found = read_state(&self.link).await.map_err(backend("raise its fence"))?;
            let judged = found.as_ref().map(|state| state.epoch);
            let state = found.unwrap_or_else(|| StoreState {
                id: remembered.id.clone(),
                fence: Timestamp::EPOCH,
                mark: now,
                epoch: 0,
                position: 0,
                branch: String::new(),
            });
            if !state.standing().was_put_back(&self.branches().await?, remembered) {
                self.refresh().await?;
                return Ok(false);
            }
            let new = StoreState {
                fence: state.fence.max(next_second(now)),
                epoch: state.epoch.max(clamped(remembered.epoch)).saturating_add(1),
                position: clamped(remembered.position),
                branch: branch_name()?,
                ..state
            };
            if self.write::<bool>("raise its fence", scripts::begin_epoch(judged, &new)).await? {
                self.refresh().await?;
                report_restored(self.fence());
                return Ok(true);
            }
        }
        Err(backend("raise its fence")("other processes changed it at the same moment"))
    }

    async fn branches(&self) -> Result<Vec<Branch>, StoreError> {
        let branches: Vec<(String, f64)> = self.read("read its branches", &scripts::read_branches()).await?;
        // Positions are whole numbers that a double holds exactly.
        Ok(branches.into_iter().map(|(name, from)| Branch { name, from: from as u64 }).collect())
    }
}

fn clamped(number: u64) -> i64 {
    number.min(LARGEST).cast_signed()
}
