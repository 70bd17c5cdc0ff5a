//! Transactions. Their beginning and their end run in tasks of their own, to the end, whatever happens to the
//! request. If the future of a `BEGIN` is dropped, the pool doesn't know that its connection is in a transaction. The
//! next request on that connection would write into it, and be told that it had written.

use std::time::Instant;

use sqlx::{Any, Transaction};

use crate::tasks::to_its_end;
use crate::web::db::{Database, Engine, QueryError};

impl Database {
    /// Begins a transaction that will write. On SQLite it takes the write lock immediately, because a
    /// transaction that reads first and writes later is refused if another one has written in between.
    ///
    /// # Errors
    /// If the database doesn't respond.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, QueryError> {
        let statement = match self.engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN",
        };
        let pool = self.writer().clone();
        let asked = Instant::now();
        let begun = to_its_end(async move { pool.begin_with(statement).await }).await;
        self.times.begun(asked.elapsed());
        Ok(begun.unwrap_or(Err(sqlx::Error::WorkerCrashed))?)
    }

    /// Commits a transaction.
    ///
    /// # Errors
    /// If the database doesn't respond; either nothing has changed then, or everything has.
    pub async fn commit(&self, transaction: Transaction<'static, Any>) -> Result<(), QueryError> {
        let asked = Instant::now();
        let done = to_its_end(transaction.commit()).await;
        self.times.committed(asked.elapsed());
        Ok(done.unwrap_or(Err(sqlx::Error::WorkerCrashed))?)
    }

    /// Locks an account until the end of the transaction; anyone else who locks it waits. Returns whether the
    /// account exists and isn't disabled.
    ///
    /// # Errors
    /// If the database doesn't respond.
    pub async fn lock_account(
        &self,
        transaction: &mut Transaction<'static, Any>,
        account: &str,
    ) -> Result<bool, QueryError> {
        let query = format!("SELECT disabled FROM accounts WHERE id = $1{}", self.row_lock("accounts"));
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        let disabled: Option<i64> = query.bind(account).fetch_optional(&mut **transaction).await?;
        Ok(disabled == Some(0))
    }

    /// Returns what a `SELECT` ends with that locks the rows of `table` that it finds until the end of the
    /// transaction.
    pub(crate) fn row_lock(&self, table: &'static str) -> String {
        match self.engine {
            // SQLite has only one writer, which is this transaction.
            Engine::Sqlite => String::new(),
            Engine::Postgres => format!(" FOR NO KEY UPDATE OF {table}"),
        }
    }

    /// Whether only one transaction writes at a time, so that none ever waits for a row of another.
    pub(crate) fn has_one_writer(&self) -> bool {
        self.engine == Engine::Sqlite
    }
}
