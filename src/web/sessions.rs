//! Sessions: who is logged in, in which browser.
//!
//! The browser holds a random id; the database holds its digest. What was read is cached, and the
//! cache is checked against [`Generations`], so that the end of a session takes effect at once in
//! this process and within a second in another one.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use sqlx::Row;

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError, Secret};
use crate::web::account::{Account, AccountId};
use crate::web::accounts::{AccountError, Accounts, from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::generation::{Generation, Generations};
use crate::web::passwords::StoredPassword;

/// How exactly the moment of last use is kept on disk; a session may end that much too early in
/// another process or after a restart, never too late.
const LAST_SEEN_STEP: Duration = Duration::from_secs(60);

/// Most sessions in memory; beyond that the cache starts anew.
const MAX_CACHED: usize = 100_000;

/// A logged-in browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// Digest of the id in the browser's cookie.
    pub digest: Digest,
    /// Who is logged in, as of the current generation.
    pub account: Arc<Account>,
    /// When the log-in was.
    pub created_at: Timestamp,
}

/// A session could not be looked up or stored.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An account could not be read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No random bytes for the id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<sqlx::Error> for SessionError {
    fn from(error: sqlx::Error) -> SessionError {
        QueryError::from(error).into()
    }
}

/// When sessions end by themselves.
#[derive(Clone, Copy, Debug)]
pub struct SessionEnds {
    /// This long after the last use.
    pub idle: Duration,
    /// This long after the log-in, however busy.
    pub max: Duration,
}

/// Where a session is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The client's address.
    pub address: IpAddr,
    /// The browser in its own words (`User-Agent`), cut to what the database keeps.
    pub agent: String,
}

/// What a session begins with.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Whose it is.
    pub account: &'a AccountId,
    /// The password that he proved to know.
    pub password: &'a StoredPassword,
    /// Whether the device is to be remembered.
    pub remembered: bool,
    /// Where he is.
    pub place: &'a Place,
}

/// All sessions. Clones share one cache.
#[derive(Clone)]
pub struct Sessions {
    db: Database,
    accounts: Accounts,
    generations: Generations,
    ends: SessionEnds,
    cache: Arc<DashMap<[u8; 32], Arc<Cached>>>,
}

struct Cached {
    session: Session,
    generation: Generation,
    last_seen: AtomicU64,
    /// What the database has as the moment of last use.
    last_written: AtomicU64,
}

impl Sessions {
    /// The sessions in `db`.
    pub fn new(db: Database, accounts: Accounts, generations: Generations, ends: SessionEnds) -> Sessions {
        Sessions { db, accounts, generations, ends, cache: Arc::default() }
    }

    /// Starts a session for the owner of an account who has just proved to know `password`, and
    /// answers the id for his cookie; `None` when the account has been disabled or has got another
    /// password in the meantime.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start(&self, new: &NewSession<'_>, now: Timestamp) -> Result<Option<Secret>, SessionError> {
        let id = Secret::random::<32>()?;
        let mut transaction = self.db.begin().await?;
        // The update locks the account's row, as changing its password or disabling it does. So
        // either they come first and this finds no row, or they come later and end this session.
        let found = sqlx::query(
            "UPDATE accounts SET last_login_at = $1 WHERE id = $2 AND disabled = 0 AND password = $3",
        )
        .bind(to_column(now))
        .bind(new.account.as_str())
        .bind(new.password.as_str())
        .execute(&mut *transaction)
        .await?;
        if found.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query(
            "INSERT INTO sessions (digest, name, account, created_at, last_seen_at, remembered, address, agent) \
             VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
        )
        .bind(text_of(&id.digest()))
        .bind(Secret::random::<16>()?.reveal())
        .bind(new.account.as_str())
        .bind(to_column(now))
        .bind(i64::from(new.remembered))
        .bind(new.place.address.to_string())
        .bind(&new.place.agent)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// The session whose id a browser presents, if it has not ended; counts as a use of it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, id: &Secret, now: Timestamp) -> Result<Option<Session>, SessionError> {
        let digest = id.digest();
        // Before anything else is read: what is read later can only be newer than this.
        let generation = self.generations.current(now).await?;
        let known = self.cache.get(digest.as_bytes()).map(|cached| Arc::clone(&cached));
        let cached = match known {
            Some(cached) if cached.generation == generation => cached,
            outdated => match self.read(digest, generation, outdated.as_deref()).await? {
                Some(cached) => cached,
                None => {
                    self.cache.remove(digest.as_bytes());
                    return Ok(None);
                }
            },
        };
        if self.has_ended(&cached, now) {
            self.end(&digest).await?;
            return Ok(None);
        }
        self.note_use(&cached, now).await;
        Ok(Some(cached.session.clone()))
    }

    async fn read(
        &self,
        digest: Digest,
        generation: Generation,
        outdated: Option<&Cached>,
    ) -> Result<Option<Arc<Cached>>, SessionError> {
        let row = sqlx::query("SELECT account, created_at, last_seen_at FROM sessions WHERE digest = $1")
            .bind(text_of(&digest))
            .fetch_optional(self.db.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let account = AccountId::from_store(&row.try_get::<String, _>("account")?);
        let Some(account) = self.accounts.by_id(&account).await?.filter(|account| !account.disabled) else {
            return Ok(None);
        };
        let written = from_column(row.try_get("last_seen_at")?).secs();
        let seen = outdated.map_or(0, |cached| cached.last_seen.load(Ordering::Relaxed));
        let cached = Arc::new(Cached {
            session: Session {
                digest,
                account: Arc::new(account),
                created_at: from_column(row.try_get("created_at")?),
            },
            generation,
            last_seen: AtomicU64::new(written.max(seen)),
            last_written: AtomicU64::new(written),
        });
        if self.cache.len() >= MAX_CACHED {
            self.cache.clear();
        }
        self.cache.insert(*digest.as_bytes(), Arc::clone(&cached));
        Ok(Some(cached))
    }

    fn has_ended(&self, cached: &Cached, now: Timestamp) -> bool {
        let last_seen = Timestamp::from_secs(cached.last_seen.load(Ordering::Relaxed));
        now >= last_seen.plus(self.ends.idle) || now >= cached.session.created_at.plus(self.ends.max)
    }

    /// A use that can't be written down is still a use: at worst the session ends too early.
    async fn note_use(&self, cached: &Cached, now: Timestamp) {
        cached.last_seen.fetch_max(now.secs(), Ordering::Relaxed);
        let step = LAST_SEEN_STEP.min(self.ends.idle / 10).as_secs();
        let written = cached.last_written.load(Ordering::Relaxed);
        let due = now.secs() >= written.saturating_add(step.max(1));
        // Of many requests at once, the one that moves the mark writes.
        let mine = due
            && cached
                .last_written
                .compare_exchange(written, now.secs(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if !mine {
            return;
        }
        let update =
            sqlx::query("UPDATE sessions SET last_seen_at = $1 WHERE digest = $2 AND last_seen_at < $1")
                .bind(to_column(now))
                .bind(text_of(&cached.session.digest))
                .execute(self.db.writer())
                .await;
        if let Err(error) = update {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot note the use of a session");
        }
    }

    /// Ends one session, at once. Ending one that has ended changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(&self, digest: &Digest) -> Result<(), SessionError> {
        let mut transaction = self.db.begin().await?;
        let account: Option<String> = sqlx::query_scalar("SELECT account FROM sessions WHERE digest = $1")
            .bind(text_of(digest))
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(account) = account {
            sqlx::query("DELETE FROM sessions WHERE digest = $1")
                .bind(text_of(digest))
                .execute(&mut *transaction)
                .await?;
            self.generations.commit(transaction, &AccountId::from_store(&account)).await?;
        }
        self.cache.remove(digest.as_bytes());
        Ok(())
    }

    /// Forgets sessions that have ended by themselves, and answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, SessionError> {
        self.cache.retain(|_, cached| !self.has_ended(cached, now));
        // A session in use is written every `LAST_SEEN_STEP`; the margin spares those between.
        let unused_since = now.minus(self.ends.idle + LAST_SEEN_STEP);
        let gone = sqlx::query("DELETE FROM sessions WHERE last_seen_at <= $1 OR created_at <= $2")
            .bind(to_column(unused_since))
            .bind(to_column(now.minus(self.ends.max)))
            .execute(self.db.writer())
            .await?;
        Ok(gone.rows_affected())
    }
}

fn text_of(digest: &Digest) -> String {
    URL_SAFE_NO_PAD.encode(digest.as_bytes())
}
