//! Sessions in the database.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use sqlx::Row;

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError, Secret};
use crate::web::accounts::changes::{Generation, Generations};
use crate::web::accounts::proof::Proof;
use crate::web::accounts::store::{AccountError, Accounts};
use crate::web::audit::{self, Actor, Deed};
use crate::web::db::columns::{from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::place::Place;
use crate::web::identity::{Account, AccountId};

/// How exactly the moment of last use is kept on disk; a session may end that much too early in
/// another process or after a restart, never too late.
const LAST_SEEN_STEP: Duration = Duration::from_secs(60);

/// Most sessions in memory; beyond that a new one takes the place of one that was not used lately.
const MAX_CACHED: usize = 250_000;

/// A logged-in browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// Digest of the id in the browser's cookie.
    pub digest: Digest,
    /// Who is logged in, as of the current generation.
    pub account: Arc<Account>,
    /// When the log-in was.
    pub created_at: Timestamp,
    /// Whether the device is remembered.
    pub remembered: bool,
}

/// A session as its owner sees it in a list.
#[derive(Clone, Debug)]
pub struct ListedSession {
    /// What it is called by in forms; worth nothing as a cookie.
    pub name: String,
    /// Digest of its id, by which the one that asks knows itself.
    pub digest: String,
    /// When the log-in was.
    pub created_at: Timestamp,
    /// When it was last used, to a minute.
    pub last_seen_at: Timestamp,
    /// Whether the device is remembered.
    pub remembered: bool,
    /// Where it was last used.
    pub place: Place,
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
    /// On a device to remember, this long after the log-in, used or not.
    pub remember: Duration,
}

/// What a session begins with.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Who proved by what that he is the owner of which account.
    pub proof: &'a Proof,
    /// Whether the device is to be remembered.
    pub remembered: bool,
    /// Where he is.
    pub place: &'a Place,
}

/// Which sessions to end.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// The one of that name.
    Named(&'a str),
    /// All but the one whose id has that digest.
    AllBut(&'a Digest),
    /// All.
    All,
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

    /// Starts a session for whoever has just proved to own an account, and answers the id for his
    /// cookie; `None` when the account is not active, or has been disabled or has got another password
    /// in the meantime.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start(&self, new: &NewSession<'_>, now: Timestamp) -> Result<Option<Secret>, SessionError> {
        let id = Secret::random::<32>()?;
        let account = new.proof.account();
        let mut transaction = self.db.begin().await?;
        // The update locks the account's row, as changing its password or disabling it does. So
        // either they come first and this finds no row, or they come later and end this session.
        let found = sqlx::query(
            "UPDATE accounts SET last_login_at = $1 \
             WHERE id = $2 AND disabled = 0 AND password = $3 AND activated_at IS NOT NULL",
        )
        .bind(to_column(now))
        .bind(account.id.as_str())
        .bind(new.proof.password().as_str())
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
        .bind(account.id.as_str())
        .bind(to_column(now))
        .bind(i64::from(new.remembered))
        .bind(new.place.address.to_string())
        .bind(&new.place.agent)
        .execute(&mut *transaction)
        .await?;
        let actor = Actor::account(account, new.place.address);
        audit::append(&mut transaction, &actor, Deed::LoggedIn, &new.place.agent, now).await?;
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
            Some(cached) if self.generations.holds(&cached.session.account.id, cached.generation) => cached,
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
        let columns = "SELECT account, created_at, last_seen_at, remembered FROM sessions WHERE digest = $1";
        let row = sqlx::query(columns).bind(text_of(&digest)).fetch_optional(self.db.reader()).await?;
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
                remembered: row.try_get::<i64, _>("remembered")? != 0,
            },
            generation,
            last_seen: AtomicU64::new(written.max(seen)),
            last_written: AtomicU64::new(written),
        });
        if self.cache.len() >= MAX_CACHED {
            self.make_room();
        }
        self.cache.insert(*digest.as_bytes(), Arc::clone(&cached));
        Ok(Some(cached))
    }

    /// Drops the half that was used least lately. Rare, and it costs those sessions one read each.
    fn make_room(&self) {
        let mut seen: Vec<u64> =
            self.cache.iter().map(|cached| cached.last_seen.load(Ordering::Relaxed)).collect();
        let middle = seen.len() / 2;
        let (_, limit, _) = seen.select_nth_unstable(middle);
        let limit = *limit;
        self.cache.retain(|_, cached| cached.last_seen.load(Ordering::Relaxed) > limit);
    }

    fn has_ended(&self, cached: &Cached, now: Timestamp) -> bool {
        let last_seen = Timestamp::from_secs(cached.last_seen.load(Ordering::Relaxed));
        let began = cached.session.created_at;
        match cached.session.remembered {
            true => now >= began.plus(self.ends.remember),
            false => now >= last_seen.plus(self.ends.idle) || now >= began.plus(self.ends.max),
        }
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

    /// The sessions of an account that have not ended, the last used first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, account: &AccountId, now: Timestamp) -> Result<Vec<ListedSession>, SessionError> {
        let rows = sqlx::query(
            "SELECT digest, name, created_at, last_seen_at, remembered, address, agent FROM sessions \
             WHERE account = $1 ORDER BY last_seen_at DESC, name",
        )
        .bind(account.as_str())
        .fetch_all(self.db.reader())
        .await?;
        let mut listed = Vec::new();
        for row in &rows {
            let address: String = row.try_get("address")?;
            let session = ListedSession {
                name: row.try_get("name")?,
                digest: row.try_get("digest")?,
                created_at: from_column(row.try_get("created_at")?),
                last_seen_at: from_column(row.try_get("last_seen_at")?),
                remembered: row.try_get::<i64, _>("remembered")? != 0,
                place: Place {
                    address: address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                    agent: row.try_get("agent")?,
                },
            };
            let over = match session.remembered {
                true => now >= session.created_at.plus(self.ends.remember),
                false => {
                    now >= session.last_seen_at.plus(self.ends.idle + LAST_SEEN_STEP)
                        || now >= session.created_at.plus(self.ends.max)
                }
            };
            if !over {
                listed.push(session);
            }
        }
        Ok(listed)
    }

    /// Ends sessions of an account: those that `which` chooses. Answers how many, at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_some(
        &self,
        account: &Account,
        which: Which<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<u64, SessionError> {
        let mut transaction = self.db.begin().await?;
        let (condition, value) = match which {
            Which::Named(name) => ("name = $2", name.to_owned()),
            Which::AllBut(digest) => ("digest <> $2", text_of(digest)),
            Which::All => ("digest <> $2", String::new()),
        };
        let ended = sqlx::query(sqlx::AssertSqlSafe(format!(
            "DELETE FROM sessions WHERE account = $1 AND {condition}"
        )))
        .bind(account.id.as_str())
        .bind(value)
        .execute(&mut *transaction)
        .await?;
        if ended.rows_affected() == 0 {
            return Ok(0);
        }
        audit::append(&mut transaction, actor, Deed::SessionsEnded, account.email.as_str(), now).await?;
        self.generations.commit(transaction, &account.id).await?;
        Ok(ended.rows_affected())
    }

    /// Its owner logs out of one session. Logging out of one that has ended changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn log_out(
        &self,
        session: &Session,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let mut transaction = self.db.begin().await?;
        let ended = sqlx::query("DELETE FROM sessions WHERE digest = $1")
            .bind(text_of(&session.digest))
            .execute(&mut *transaction)
            .await?;
        if ended.rows_affected() > 0 {
            audit::append(&mut transaction, actor, Deed::LoggedOut, "", now).await?;
            self.generations.commit(transaction, &session.account.id).await?;
        }
        self.cache.remove(session.digest.as_bytes());
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
        let gone = sqlx::query(
            "DELETE FROM sessions WHERE (remembered = 0 AND (last_seen_at <= $1 OR created_at <= $2)) \
             OR (remembered <> 0 AND created_at <= $3)",
        )
        .bind(to_column(unused_since))
        .bind(to_column(now.minus(self.ends.max)))
        .bind(to_column(now.minus(self.ends.remember)))
        .execute(self.db.writer())
        .await?;
        Ok(gone.rows_affected())
    }
}

fn text_of(digest: &Digest) -> String {
    URL_SAFE_NO_PAD.encode(digest.as_bytes())
}
