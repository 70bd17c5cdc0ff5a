//! Whether what this process cached of accounts and sessions still holds.
//!
//! One counter in the database is raised, in the same transaction, by every change of an account
//! and every end of a session, whichever process makes it. A cached value remembers the counter it
//! was read under and counts only while the counter has not moved. A process reads the counter at
//! most once a second, so another process's change takes effect here within a second; its own
//! changes take effect at once.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::web::account::AccountId;
use crate::web::db::{Database, QueryError};

/// How old the known counter may be.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The counter. Clones share what is known of it.
#[derive(Clone)]
pub struct Generations {
    shared: Arc<Shared>,
}

struct Shared {
    db: Database,
    /// Invariant: only ever grows.
    known: AtomicI64,
    /// When `known` was last asked for, by both clocks: the clock of the rules can be moved by
    /// hand, the monotonic one goes on when the wall clock is set back.
    asked: Mutex<Option<(Timestamp, Instant)>>,
    /// Held while asking, so that a thousand requests ask once.
    asking: tokio::sync::Mutex<()>,
}

/// A value of the counter: what was read under it holds while it is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(i64);

impl Generations {
    /// Watches the counter in `db`.
    pub fn new(db: Database) -> Generations {
        let shared = Shared {
            db,
            known: AtomicI64::new(0),
            asked: Mutex::new(None),
            asking: tokio::sync::Mutex::new(()),
        };
        Generations { shared: Arc::new(shared) }
    }

    /// The current generation, at most one second old.
    ///
    /// # Errors
    /// When the database does not answer; nothing cached may be used then.
    pub async fn current(&self, now: Timestamp) -> Result<Generation, QueryError> {
        if !self.is_fresh(now) {
            let _asking = self.shared.asking.lock().await;
            if !self.is_fresh(now) {
                // Taken before the question, because the answer may be as old as the question.
                let asked = Some((now, Instant::now()));
                let number: i64 =
                    sqlx::query_scalar("SELECT number FROM generations WHERE name = 'accounts'")
                        .fetch_one(self.shared.db.reader())
                        .await?;
                self.shared.known.fetch_max(number, Ordering::AcqRel);
                *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            }
        }
        Ok(Generation(self.shared.known.load(Ordering::Acquire)))
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        let asked = *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|(at, instant)| at == now && instant.elapsed() < TRUSTED_FOR)
    }

    /// Commits a transaction that changed an account or ended a session, and with it the next
    /// generation.
    ///
    /// # Errors
    /// When the database does not answer; nothing has changed then, or everything has.
    pub async fn commit(
        &self,
        mut transaction: Transaction<'static, Any>,
        account: &AccountId,
    ) -> Result<(), QueryError> {
        tracing::trace!(%account, "changed");
        // Read back in a statement of its own: on SQLite a RETURNING that is not read to its end
        // leaves the statement open.
        sqlx::query("UPDATE generations SET number = number + 1 WHERE name = 'accounts'")
            .execute(&mut *transaction)
            .await?;
        let number: i64 = sqlx::query_scalar("SELECT number FROM generations WHERE name = 'accounts'")
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.shared.known.fetch_max(number, Ordering::AcqRel);
        Ok(())
    }
}
