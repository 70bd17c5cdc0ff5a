//! Whether what this process cached of accounts and sessions still holds.
//!
//! Every change of an account and every end of a session, whichever process makes it, takes the next
//! number in the same transaction and puts down which account it concerns. A cached value remembers
//! the number it was read under and counts until its own account has changed under a later one. A
//! process asks for new changes at most once a second, so another process's change takes effect here
//! within a second; its own changes take effect at once.

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

/// How many changes are kept; a process that missed more of them trusts nothing it cached.
const KEPT: i64 = 10_000;

/// Most accounts whose last change is remembered one by one.
const MAX_REMEMBERED: usize = 50_000;

/// The changes. Clones share what is known of it.
#[derive(Clone)]
pub struct AccountChanges {
    shared: Arc<Shared>,
}

struct Shared {
    db: Database,
    /// The number up to which changes are known. Invariant: only ever grows.
    known: AtomicI64,
    /// Nothing that was read under an earlier number than this counts. Invariant: only ever grows.
    floor: AtomicI64,
    /// The number of the last known change of each account that changed since `floor`.
    changed: DashMap<AccountId, i64>,
    /// When `known` was last asked for, by both clocks: the clock of the rules can be moved by
    /// hand, the monotonic one goes on when the wall clock is set back.
    asked: Mutex<Option<(Timestamp, Instant)>>,
    /// Held while asking, so that a thousand requests ask once.
    asking: tokio::sync::Mutex<()>,
}

/// A number under which something was read.
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

    /// The current number, at most one second old; asked for before anything is read that is to be
    /// cached under it.
    ///
    /// # Errors
    /// When the database does not answer; nothing cached may be used then.
    pub async fn current(&self, now: Timestamp) -> Result<ChangeNumber, QueryError> {
        if !self.is_fresh(now) {
            let _asking = self.shared.asking.lock().await;
            if !self.is_fresh(now) {
                // Taken before the question, because the answer may be as old as the question.
                let asked = Some((now, Instant::now()));
                self.catch_up().await?;
                *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            }
        }
        Ok(ChangeNumber(self.shared.known.load(Ordering::Acquire)))
    }

    /// Whether what was read of `account` under `generation` still holds, as far as this process knows.
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
            // Some were forgotten before they were asked for, or there were none yet at all.
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
            // The floor first: in between too little counts, never too much.
            shared.floor.fetch_max(number, Ordering::AcqRel);
            shared.changed.clear();
        }
        let mut last = shared.changed.entry(account.clone()).or_insert(number);
        *last = number.max(*last);
    }

    /// Forgets changes of which every process has heard.
    ///
    /// # Errors
    /// When the database fails.
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

    /// Commits a transaction that changed `account` or ended a session of it, and with it the next
    /// number.
    ///
    /// # Errors
    /// When the database does not answer; nothing has changed then, or everything has.
    pub async fn commit(
        &self,
        mut transaction: Transaction<'static, Any>,
        account: &AccountId,
    ) -> Result<(), QueryError> {
        // Read back in a statement of its own: on SQLite a RETURNING that is not read to its end
        // leaves the statement open.
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
        transaction.commit().await?;
        // `known` stays: there may be changes of others before this one that nobody asked for yet.
        self.note(account, number);
        Ok(())
    }
}
