//! Decides whether cached accounts and sessions are still valid.
//!
//! Every change of an account and every end of a session, in any process, increments a counter and records
//! the account under the new number, in the same transaction. A cached value remembers the number under which
//! it was read, and is valid until its account changes under a later number. A process reads new changes at
//! most once a second, so changes by other processes take effect within a second, and its own immediately.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;

/// How old the known counter may be.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How many changes are kept; a process that missed more than that discards everything it cached.
const KEPT: i64 = 10_000;

/// Maximum number of accounts whose last change is remembered individually.
const MAX_REMEMBERED: usize = 50_000;

/// The feed of changes. Clones share their state.
#[derive(Clone)]
pub struct AccountChanges {
    shared: Arc<Shared>,
}

struct Shared {
    db: Database,
    /// The number up to which changes are known. Invariant: never decreases.
    known: AtomicI64,
    /// Anything read under an earlier number is invalid. Invariant: never decreases.
    floor: AtomicI64,
    /// The number of the last known change of each account that changed since `floor`.
    changed: DashMap<AccountId, i64>,
    /// When `known` was last read, by both clocks: the application's clock can be set by tests, and the
    /// monotonic clock continues even if the wall clock is set back.
    asked: Mutex<Option<(Timestamp, Instant)>>,
    /// Held while reading, so that of a thousand requests only one reads.
    asking: tokio::sync::Mutex<()>,
}

/// The number under which something was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeNumber(i64);

impl AccountChanges {
    /// Watches the changes in `db`.
    pub fn new(db: Database) -> AccountChanges {
        let shared = Shared {
            db,
            known: AtomicI64::new(0),
            floor: AtomicI64::new(0),
            changed: DashMap::new(),
            asked: Mutex::new(None),
            asking: tokio::sync::Mutex::new(()),
        };
        AccountChanges { shared: Arc::new(shared) }
    }

    /// Returns the current number, which is at most one second old. Call this before reading anything that
    /// will be cached under it.
    ///
    /// # Errors
    /// If the database doesn't respond; nothing cached may be used then.
    pub async fn current(&self, now: Timestamp) -> Result<ChangeNumber, QueryError> {
        if !self.is_fresh(now) {
            let _asking = self.shared.asking.lock().await;
            if !self.is_fresh(now) {
                // The time before the query, because the result may be as old as that.
                let asked = Some((now, Instant::now()));
                self.catch_up().await?;
                *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            }
        }
        Ok(ChangeNumber(self.shared.known.load(Ordering::Acquire)))
    }

    /// Returns whether what was read of `account` under `generation` is still valid, as far as this process
    /// knows.
    pub fn holds(&self, account: &AccountId, generation: ChangeNumber) -> bool {
        let changed = self.shared.changed.get(account).map_or(0, |number| *number);
        generation.0 >= self.shared.floor.load(Ordering::Acquire).max(changed)
    }

    async fn catch_up(&self) -> Result<(), QueryError> {
        let shared = &self.shared;
        let known = shared.known.load(Ordering::Acquire);
        let number: i64 = sqlx::query_scalar("SELECT number FROM generations WHERE name = 'accounts'")
            .fetch_one(shared.db.reader())
            .await?;
        if number > known {
            let rows =
                sqlx::query("SELECT number, account FROM account_changes WHERE number > $1 AND number <= $2")
                    .bind(known)
                    .bind(number)
                    .fetch_all(shared.db.reader())
                    .await?;
            for row in &rows {
                self.note(
                    &AccountId::from_store(&row.try_get::<String, _>("account")?),
                    row.try_get("number")?,
                );
            }
            // Some changes were deleted before this process read them, or it has read none yet.
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) < number - known {
                shared.floor.fetch_max(number, Ordering::AcqRel);
            }
        }
        shared.known.fetch_max(number, Ordering::AcqRel);
        Ok(())
    }

    fn note(&self, account: &AccountId, number: i64) {
        let shared = &self.shared;
        if shared.changed.len() >= MAX_REMEMBERED {
            // The floor is raised first, so that in between too little is considered valid, never too much.
            shared.floor.fetch_max(number, Ordering::AcqRel);
            shared.changed.clear();
        }
        let mut last = shared.changed.entry(account.clone()).or_insert(number);
        *last = number.max(*last);
    }

    /// Deletes changes that every process has read.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM account_changes WHERE number <= $1")
            .bind(self.shared.known.load(Ordering::Acquire) - KEPT)
            .execute(self.shared.db.writer())
            .await?;
        Ok(())
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        let asked = *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|(at, instant)| at == now && instant.elapsed() < TRUSTED_FOR)
    }

    /// Commits a transaction that changed `account` or ended one of its sessions, and records that change.
    ///
    /// # Errors
    /// If the database doesn't respond; either nothing has changed then, or everything has.
    pub async fn commit(
        &self,
        mut transaction: Transaction<'static, Any>,
        account: &AccountId,
    ) -> Result<(), QueryError> {
        // Read in a separate statement: on SQLite, a RETURNING that isn't read to its end leaves the
        // statement open.
        sqlx::query("UPDATE generations SET number = number + 1 WHERE name = 'accounts'")
            .execute(&mut *transaction)
            .await?;
        let number: i64 = sqlx::query_scalar("SELECT number FROM generations WHERE name = 'accounts'")
            .fetch_one(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO account_changes (number, account) VALUES ($1, $2)")
            .bind(number)
            .bind(account.as_str())
            .execute(&mut *transaction)
            .await?;
        self.shared.db.commit(transaction).await?;
        // `known` stays the same: other processes may have made changes before this one that weren't read
        // yet.
        self.note(account, number);
        Ok(())
    }
}
