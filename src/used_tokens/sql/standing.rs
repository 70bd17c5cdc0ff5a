//! The standing of a store in an SQL database, and how it begins a new epoch: after it was restored from a
//! backup, or after an operator has reset its time.

use sqlx::{Any, Executor, Transaction};

use crate::clock::Timestamp;
use crate::standing::Standing;
use crate::tasks::to_its_end;
use crate::used_tokens::known::{next_second, report_restored};
use crate::used_tokens::sql::columns::{backend, to_column};
use crate::used_tokens::sql::state::{read_branches, read_state};
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
        let state = read_state(&mut *self.reader.acquire().await.map_err(&failed)?).await.map_err(failed)?;
        Ok(self.known.learn(state))
    }

    /// Returns the standing of the store after everything that this process has recorded so far.
    pub(super) async fn stand(&self, now: Timestamp) -> Result<Standing, StoreError> {
        let _held = self.known.one_after_the_other.lock().await;
        if let Some(rise) = self.known.begin_rise() {
            // Never raised to what this process knows, because a restored database would then look normal.
            let sql = "UPDATE used_tokens_state SET moment = moment + 1 \
                       WHERE name = 'position' AND moment >= $1";
            let query = sqlx::query(sql).bind(self.known.position());
            let risen = query.execute(&self.writer).await.map_err(backend("increase its position"))?;
            if risen.rows_affected() == 1 {
                rise.done();
            }
        }
        self.look_again(now).await?;
        Ok(self.known.standing())
    }

    /// Checks what other processes did, and what a restore has undone.
    pub(super) async fn look_again(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.refresh().await? {
            self.begin_epoch_after(&self.known.standing(), now).await?;
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
        let state = read_state(&mut transaction).await.map_err(&failed)?;
        let (epoch, position) = (clamped(remembered.epoch), clamped(remembered.position));
        let branches = read_branches(&mut transaction).await.map_err(&failed)?;
        let behind = state.standing().was_put_back(&branches, remembered);
        if behind {
            let fence = to_column(state.fence.max(next_second(now)));
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
            report_restored(self.fence());
        }
        Ok(behind)
    }
}

async fn commit(transaction: Transaction<'static, Any>) -> Result<(), sqlx::Error> {
    to_its_end(transaction.commit()).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
