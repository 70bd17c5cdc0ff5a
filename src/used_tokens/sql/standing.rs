//! The standing of a store in an SQL database, and how it begins a new epoch: after it was restored from a
//! backup, or after an operator has reset its time.
//!
//! Invariant: a process checks tokens against the fence of the epoch that it knows, and claims only in that
//! epoch. So a new fence applies to every process from the commit that sets it.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sqlx::{Any, Executor, Transaction};
use tracing::error;

use crate::clock::Timestamp;
use crate::standing::Standing;
use crate::tasks::to_its_end;
use crate::used_tokens::sql::columns::{backend, from_column, to_column};
use crate::used_tokens::sql::state::{SqlStoreState, read_branches};
use crate::used_tokens::sql::store::SqlUsedTokens;
use crate::used_tokens::{StoreError, UsedTokens};

impl SqlUsedTokens {
    /// Resets the time of the store to `now`: forgets all later times, and refuses everything issued before
    /// the next second. Returns the latest recorded time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn reset_time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let failed = backend("reset its time");
        let mut transaction = self.begin().await.map_err(&failed)?;
        let set = |name: &'static str, value: Timestamp| {
            let update = "UPDATE used_tokens_state SET moment = $1 WHERE name = $2";
            sqlx::query(update).bind(to_column(value)).bind(name)
        };
        // Done first, like every other process that begins a new epoch.
        let rise = "UPDATE used_tokens_state SET moment = moment + 1 WHERE name IN ('epoch', 'position')";
        transaction.execute(rise).await.map_err(&failed)?;
        set("mark", now).execute(&mut *transaction).await.map_err(&failed)?;
        set("fence", next_second(now)).execute(&mut *transaction).await.map_err(&failed)?;
        for update in [
            "UPDATE used_tokens SET marked_at = $1 WHERE marked_at > $1",
            "UPDATE used_tokens SET active_at = $1 WHERE active_at > $1",
        ] {
            sqlx::query(update).bind(to_column(now)).execute(&mut *transaction).await.map_err(&failed)?;
        }
        commit(transaction).await.map_err(&failed)?;
        self.refresh().await?;
        Ok(self.opened_mark)
    }

    /// Begins a transaction. Not in the caller's future: if that is dropped during a `BEGIN`, the pool doesn't know
    /// that the connection is in a transaction, and what others write there is never committed.
    async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let pool = self.writer.clone();
        to_its_end(async move { pool.begin().await }).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Reads fence, epoch and position from the database. Returns whether it is behind what this process
    /// knows, which means that it was restored.
    async fn refresh(&self) -> Result<bool, StoreError> {
        let failed = backend("read its standing");
        let state =
            SqlStoreState::read(&mut *self.reader.acquire().await.map_err(&failed)?).await.map_err(failed)?;
        let known = (self.epoch.load(Ordering::Acquire), self.position.load(Ordering::Acquire));
        if (state.epoch, state.position) < known {
            return Ok(true);
        }
        if state.epoch > known.0 {
            // The fence first: any claim in the new epoch has seen it.
            self.fence.store(from_column(state.fence).secs(), Ordering::Release);
            *self.time_reset.lock().unwrap_or_else(PoisonError::into_inner) = Some(from_column(state.mark));
        }
        *self.branch.lock().unwrap_or_else(PoisonError::into_inner) = state.branch;
        self.epoch.store(state.epoch, Ordering::Release);
        self.position.fetch_max(state.position, Ordering::AcqRel);
        Ok(false)
    }

    fn known(&self) -> Standing {
        let number = |value: &AtomicI64| u64::try_from(value.load(Ordering::Acquire)).unwrap_or(0);
        let branch = self.branch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Standing { id: self.id.clone(), epoch: number(&self.epoch), branch, position: number(&self.position) }
    }

    /// Returns the standing of the store after everything that this process has recorded so far.
    pub(super) async fn stand(&self, now: Timestamp) -> Result<Standing, StoreError> {
        // A caller that asks while the position is being increased must not get the old one.
        let _one_after_the_other = self.standing.lock().await;
        if self.moved.swap(false, Ordering::AcqRel) {
            let mut unless_increased = SetAgain(Some(&self.moved));
            // Never raised to what this process knows, because a restored database would then look normal.
            let rise = "UPDATE used_tokens_state SET moment = moment + 1 \
                        WHERE name = 'position' AND moment >= $1";
            let rise = sqlx::query(rise).bind(self.position.load(Ordering::Acquire));
            let risen = rise.execute(&self.writer).await.map_err(backend("increase its position"))?;
            if risen.rows_affected() == 1 {
                unless_increased.0 = None;
            }
        }
        self.look_again(now).await?;
        Ok(self.known())
    }

    /// Checks what other processes did, and what a restore has undone.
    pub(super) async fn look_again(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.refresh().await? {
            self.begin_epoch_after(&self.known(), now).await?;
        }
        Ok(())
    }

    /// Raises the fence if the database is behind `remembered`. Returns whether it was.
    pub(super) async fn begin_epoch_after(
        &self,
        remembered: &Standing,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let failed = backend("raise its fence");
        let mut transaction = self.begin().await.map_err(&failed)?;
        // Makes other processes that want to do the same wait until it is done.
        transaction
            .execute("UPDATE used_tokens_state SET moment = moment WHERE name = 'epoch'")
            .await
            .map_err(&failed)?;
        let state = SqlStoreState::read(&mut transaction).await.map_err(&failed)?;
        let (epoch, position) = (clamped(remembered.epoch), clamped(remembered.position));
        let branches = read_branches(&mut transaction).await.map_err(&failed)?;
        let here = Standing {
            id: self.id.clone(),
            epoch: state.epoch.unsigned_abs(),
            branch: state.branch,
            position: state.position.unsigned_abs(),
        };
        let behind = here.was_put_back(&branches, remembered);
        if behind {
            let fence = state.fence.max(to_column(next_second(now)));
            let values = [
                ("fence", fence),
                ("epoch", state.epoch.max(epoch).saturating_add(1)),
                ("position", state.position.max(position).saturating_add(1)),
            ];
            for (name, value) in values {
                let update = sqlx::query("UPDATE used_tokens_state SET moment = $1 WHERE name = $2");
                update.bind(value).bind(name).execute(&mut *transaction).await.map_err(&failed)?;
            }
        }
        commit(transaction).await.map_err(&failed)?;
        // This resolves what this process knew, or another process has resolved it.
        self.refresh().await?;
        if behind {
            error!(
                "the used-token store was restored from a backup: links issued before {} are refused, so that none \
                 works twice; issue new links",
                self.fence()
            );
        }
        Ok(behind)
    }
}

/// Sets the flag when it is dropped, also when its caller is gone.
struct SetAgain<'a>(Option<&'a AtomicBool>);

impl Drop for SetAgain<'_> {
    fn drop(&mut self) {
        if let Some(flag) = self.0 {
            flag.store(true, Ordering::Release);
        }
    }
}

async fn commit(transaction: Transaction<'static, Any>) -> Result<(), sqlx::Error> {
    to_its_end(transaction.commit()).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// Late enough that a token issued in this second is refused.
const fn next_second(now: Timestamp) -> Timestamp {
    now.plus(Duration::from_secs(1))
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
