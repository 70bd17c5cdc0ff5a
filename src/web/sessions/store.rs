//! Sessions in the database.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::secret::{Digest, Secret};
use crate::web::accounts::changes::{AccountChanges, ChangeNumber};
use crate::web::accounts::store::Accounts;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::Database;
use crate::web::db::columns::{digest_to_column, from_column, to_column};
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::{Account, AccountId};
use crate::web::sessions::cache::{Cache, Cached};
use crate::web::sessions::session::{
    ListedSession, NewSession, Session, SessionError, SessionLifetimes, SessionSelection,
};

/// How accurately the time of last use is stored. A session may end this much too early in another process or
/// after a restart, but never too late.
const LAST_SEEN_STEP: Duration = Duration::from_secs(60);

/// All sessions. Clones share one cache.
#[derive(Clone)]
pub struct Sessions {
    db: Database,
    accounts: Accounts,
    account_changes: AccountChanges,
    ends: SessionLifetimes,
    cache: Cache,
}

impl Sessions {
    /// Manages the sessions in `db`.
    pub fn new(
        db: Database,
        accounts: Accounts,
        generations: AccountChanges,
        ends: SessionLifetimes,
    ) -> Sessions {
        Sessions { db, accounts, account_changes: generations, ends, cache: Cache::default() }
    }

    /// Starts a session for a user who has just proved that they own an account, and returns the id for their
    /// cookie. Returns `None` if the account is not active, or was disabled or got another password in the
    /// meantime.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn start(&self, new: &NewSession<'_>, now: Timestamp) -> Result<Option<Secret>, SessionError> {
        let id = Secret::random::<32>()?;
        let account = new.proof.account();
        let mut transaction = self.db.begin().await?;
        // The update locks the account's row, as do changing its password and disabling it. So either they
        // come first and this finds no row, or they come later and end this session.
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
        .bind(digest_to_column(&id.digest()))
        .bind(Secret::random::<16>()?.reveal())
        .bind(account.id.as_str())
        .bind(to_column(now))
        .bind(i64::from(new.remembered))
        .bind(new.place.address.to_string())
        .bind(&new.place.agent)
        .execute(&mut *transaction)
        .await?;
        let actor = Actor::account(account, new.place.address);
        audit::append(&mut transaction, &actor, AuditEvent::LoggedIn, &new.place.agent, now).await?;
        self.db.commit(transaction).await?;
        Ok(Some(id))
    }

    /// Returns the session with the id that a browser presents, if it hasn't ended, and records the use.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &Secret, now: Timestamp) -> Result<Option<Session>, SessionError> {
        let digest = id.digest();
        // Read before anything else, so that anything read later can only be newer.
        let generation = self.account_changes.current(now).await?;
        let cached = match self.cache.get(&digest) {
            Some(cached) if self.account_changes.holds(&cached.session.account.id, cached.generation) => {
                cached
            }
            outdated => match self.read(digest, generation, outdated.as_deref()).await? {
                Some(cached) => cached,
                None => {
                    self.cache.remove(&digest);
                    return Ok(None);
                }
            },
        };
        if cached.has_ended(&self.ends, now) {
            self.end(&digest).await?;
            return Ok(None);
        }
        self.note_use(&cached, now).await;
        Ok(Some(cached.session.clone()))
    }

    async fn read(
        &self,
        digest: Digest,
        generation: ChangeNumber,
        outdated: Option<&Cached>,
    ) -> Result<Option<Arc<Cached>>, SessionError> {
        let columns = "SELECT account, created_at, last_seen_at, remembered FROM sessions WHERE digest = $1";
        let row =
            sqlx::query(columns).bind(digest_to_column(&digest)).fetch_optional(self.db.reader()).await?;
        let Some(row) = row else { return Ok(None) };
        let account = AccountId::from_store(&row.try_get::<String, _>("account")?);
        let Some(account) = self.accounts.by_id(&account).await?.filter(|account| !account.disabled) else {
            return Ok(None);
        };
        let session = Session {
            digest,
            account: Arc::new(account),
            created_at: from_column(row.try_get("created_at")?),
            remembered: row.try_get::<i64, _>("remembered")? != 0,
        };
        let written = from_column(row.try_get("last_seen_at")?);
        let cached = Arc::new(Cached::new(session, generation, written, outdated));
        self.cache.insert(Arc::clone(&cached));
        Ok(Some(cached))
    }

    /// Records a use. A failure isn't an error: at worst, the session ends too early.
    async fn note_use(&self, cached: &Cached, now: Timestamp) {
        if !cached.note_use(LAST_SEEN_STEP.min(self.ends.idle / 10), now) {
            return;
        }
        let update =
            sqlx::query("UPDATE sessions SET last_seen_at = $1 WHERE digest = $2 AND last_seen_at < $1")
                .bind(to_column(now))
                .bind(digest_to_column(&cached.session.digest))
                .execute(self.db.writer())
                .await;
        if let Err(error) = update {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot record the use of a session");
        }
    }

    /// Ends a session immediately. Does nothing if it has already ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end(&self, digest: &Digest) -> Result<(), SessionError> {
        let mut transaction = self.db.begin().await?;
        let account: Option<String> = sqlx::query_scalar("SELECT account FROM sessions WHERE digest = $1")
            .bind(digest_to_column(digest))
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(account) = account {
            sqlx::query("DELETE FROM sessions WHERE digest = $1")
                .bind(digest_to_column(digest))
                .execute(&mut *transaction)
                .await?;
            self.account_changes.commit(transaction, &AccountId::from_store(&account)).await?;
        }
        self.cache.remove(digest);
        Ok(())
    }

    /// Returns the sessions of an account that haven't ended, the most recently used first.
    ///
    /// # Errors
    /// If the database fails.
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
                place: ClientInfo {
                    address: address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                    agent: row.try_get("agent")?,
                },
            };
            let last_seen = session.last_seen_at.plus(LAST_SEEN_STEP);
            if !self.ends.is_over(session.remembered, session.created_at, last_seen, now) {
                listed.push(session);
            }
        }
        Ok(listed)
    }

    /// Ends the selected sessions of an account immediately, and returns how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_selected(
        &self,
        account: &Account,
        which: SessionSelection<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<u64, SessionError> {
        let mut transaction = self.db.begin().await?;
        let (condition, value) = match which {
            SessionSelection::Named(name) => ("name = $2", name.to_owned()),
            SessionSelection::AllBut(digest) => ("digest <> $2", digest_to_column(digest)),
            SessionSelection::All => ("digest <> $2", String::new()),
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
        audit::append(&mut transaction, actor, AuditEvent::SessionsEnded, account.email.as_str(), now)
            .await?;
        self.account_changes.commit(transaction, &account.id).await?;
        Ok(ended.rows_affected())
    }

    /// Logs the user out of a session. Does nothing if it has already ended.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn log_out(
        &self,
        session: &Session,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let mut transaction = self.db.begin().await?;
        let ended = sqlx::query("DELETE FROM sessions WHERE digest = $1")
            .bind(digest_to_column(&session.digest))
            .execute(&mut *transaction)
            .await?;
        if ended.rows_affected() > 0 {
            audit::append(&mut transaction, actor, AuditEvent::LoggedOut, "", now).await?;
            self.account_changes.commit(transaction, &session.account.id).await?;
        }
        self.cache.remove(&session.digest);
        Ok(())
    }

    /// Deletes expired sessions, and returns how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, SessionError> {
        self.cache.prune(&self.ends, now);
        // The last use is written only every `LAST_SEEN_STEP`, so a session may have been used later than the
        // database says.
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
