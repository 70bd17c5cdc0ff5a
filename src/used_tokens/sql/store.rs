//! The store in its database: how it is opened, and what this process knows about it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{AnyPool, Connection, Executor};

use crate::clock::{Clock, Timestamp};
use crate::postgres;
use crate::secret::{Secret, random_bytes};
use crate::used_tokens::StoreError;
use crate::used_tokens::claim_queue::ClaimQueue;
use crate::used_tokens::known::KnownStore;
use crate::used_tokens::sql::columns::{backend, from_column, to_column};
use crate::used_tokens::sql::group;
use crate::used_tokens::sql::state::{begin_branch, read_state};
use crate::used_tokens::sql::tables::{SCHEMA_LOCK, TABLES, add_later_columns};

/// How long a query waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Used tokens in an SQL database.
pub struct SqlUsedTokens {
    pub(super) reader: AnyPool,
    pub(super) writer: AnyPool,
    pub(super) known: KnownStore,
    pub(super) opened_mark: Timestamp,
    pub(super) closed: AtomicBool,
    /// Writes claims in groups, in a store that has its own connections and closes them.
    pub(super) claim_queue: Option<ClaimQueue>,
}

impl SqlUsedTokens {
    /// Opens the store in a database that others use as well, through their connections, and raises `clock`
    /// to its latest recorded time. Creates its tables if necessary. The fence of a new store is
    /// `nothing_issued_before`, or the current time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open(
        reader: AnyPool,
        writer: AnyPool,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
    ) -> Result<SqlUsedTokens, StoreError> {
        let fence = nothing_issued_before.unwrap_or_else(|| clock.now());
        let failed = backend("open");
        let mut connection = writer.acquire().await.map_err(&failed)?;
        let is_postgres = connection.backend_name() == "PostgreSQL";
        // On SQLite, the write lock is taken immediately: a transaction that reads first fails without
        // waiting if another process writes in the meantime.
        let begin = if is_postgres { "BEGIN" } else { "BEGIN IMMEDIATE" };
        let mut transaction = connection.begin_with(begin).await.map_err(&failed)?;
        if is_postgres {
            transaction.execute(SCHEMA_LOCK).await.map_err(&failed)?;
        }
        transaction.execute(sqlx::raw_sql(TABLES)).await.map_err(&failed)?;
        add_later_columns(&mut transaction, is_postgres).await.map_err(&failed)?;
        let random = i64::from_be_bytes(
            random_bytes::<8>().map_err(|e| StoreError::Backend { action: "open", source: e.into() })?,
        ) & i64::MAX;
        let (now, fence) = (to_column(clock.now()), to_column(fence));
        for (name, value) in
            [("fence", fence), ("mark", now), ("store", random), ("epoch", 0), ("position", 0)]
        {
            let insert =
                "INSERT INTO used_tokens_state (name, moment) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
            sqlx::query(insert).bind(name).bind(value).execute(&mut *transaction).await.map_err(&failed)?;
        }
        let branch =
            Secret::random::<12>().map_err(|e| StoreError::Backend { action: "open", source: e.into() })?;
        begin_branch(&mut transaction, branch.reveal()).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        // SQLite's pool has one connection for writes.
        drop(connection);
        // Claims don't update the mark, because that single row would serialize them; each record has its own
        // time instead.
        let mark = sqlx::query_scalar(
            "SELECT MAX(moment) FROM (SELECT MAX(marked_at) AS moment FROM used_tokens UNION ALL \
             SELECT moment FROM used_tokens_state WHERE name = 'mark') AS moments",
        );
        let mark: i64 = mark.fetch_one(&writer).await.map_err(&failed)?;
        let opened_mark = from_column(mark);
        clock.raise_to(opened_mark);
        let state = read_state(&mut *writer.acquire().await.map_err(&failed)?).await.map_err(&failed)?;
        Ok(SqlUsedTokens {
            reader,
            writer,
            known: KnownStore::new(state),
            opened_mark,
            closed: AtomicBool::new(false),
            claim_queue: None,
        })
    }

    /// Opens the store in its own PostgreSQL database, which several nodes can share.
    ///
    /// # Errors
    /// If the server doesn't answer.
    pub async fn connect(
        address: &str,
        clock: &Clock,
        nothing_issued_before: Option<Timestamp>,
    ) -> Result<SqlUsedTokens, StoreError> {
        postgres::check(address)
            .await
            .map_err(|error| StoreError::Backend { action: "connect", source: error.into() })?;
        sqlx::any::install_default_drivers();
        // Each connection is tested: no claim may fail because the server closed it. Most claims don't come this way.
        let pool = postgres::pool(16, PATIENCE).test_before_acquire(true).connect(address).await;
        let pool = pool.map_err(backend("connect"))?;
        let store = SqlUsedTokens::open(pool.clone(), pool, clock, nothing_issued_before).await?;
        let claim_queue = Some(ClaimQueue::start(group::writers(address)?, store.known.moved()));
        Ok(SqlUsedTokens { claim_queue, ..store })
    }

    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }
}
