//! The download tokens that were issued and may still matter, so that disabling or deleting an
//! account can revoke them. What is to be revoked stands in the database until the download service
//! has it on record: nothing is lost when that is down, or when this process ends.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Any, Row, Transaction};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::token::claims::MAX_REVOKED;
use crate::web::account::AccountId;
use crate::web::accounts::to_column;
use crate::web::db::{Database, QueryError};
use crate::web::issue::{IssueError, Issuer};

/// How often what is to be revoked is looked for where nobody calls: another process may have marked it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long the download service may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Jtis in one command, so that its token stays well below the longest that is read.
const PER_COMMAND: i64 = if MAX_REVOKED < 64 { MAX_REVOKED as i64 } else { 64 };

/// The download service did not take a revocation.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The command could not be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// It can't be reached.
    #[error("cannot reach the download service")]
    Unreachable(#[from] reqwest::Error),
    /// It answered something else than that it is done.
    #[error("the download service answered {0}")]
    Answer(u16),
    /// Its used-token store failed.
    #[error("the download service could not put it on record")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<sqlx::Error> for RevokeError {
    fn from(error: sqlx::Error) -> RevokeError {
        QueryError::from(error).into()
    }
}

/// Puts jtis on record as revoked at the download service.
#[async_trait]
pub trait RevokeTokens: Send + Sync {
    /// All of them, durably; doing it twice changes nothing.
    ///
    /// # Errors
    /// When it is not certain that all are on record; then it must be tried again.
    async fn revoke(&self, jtis: &[Jti], now: Timestamp) -> Result<(), RevokeError>;
}

/// A download service in another process, told by signed commands.
pub struct OverHttp {
    /// Signs the commands.
    pub issuer: Issuer,
    /// Sends them; it must follow no redirect and use no proxy, for they are secrets.
    pub client: reqwest::Client,
}

impl OverHttp {
    /// Commands signed by `issuer` to the download service that it issues tokens for.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(issuer: Issuer) -> Result<OverHttp, reqwest::Error> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let builder = builder.no_proxy().timeout(PATIENCE);
        // A machine without the system's certificates can still talk plain http to its neighbour.
        let plain = issuer.download_url.starts_with("http://");
        let builder = if plain { builder.tls_certs_only([]) } else { builder };
        Ok(OverHttp { issuer, client: builder.build()? })
    }
}

#[async_trait]
impl RevokeTokens for OverHttp {
    async fn revoke(&self, jtis: &[Jti], now: Timestamp) -> Result<(), RevokeError> {
        let command = self.issuer.issue_command(jtis, now)?;
        let at = format!("{}/revocations", self.issuer.download_url);
        let answer = self.client.post(at).bearer_auth(&command.token).send().await?;
        match answer.status().as_u16() {
            204 => Ok(()),
            status => Err(RevokeError::Answer(status)),
        }
    }
}

/// The issued tokens. Clones are the same.
#[derive(Clone)]
pub struct Issued {
    db: Database,
    /// How long a token may matter beyond its end: a transfer that began in time may go on.
    beyond: Duration,
    marked: Arc<Notify>,
    to: Arc<OnceLock<Arc<dyn RevokeTokens>>>,
}

impl Issued {
    /// Those in `db`; `lease_max` as the download service has it.
    pub fn new(db: Database, leeway: Duration, lease_max: Duration) -> Issued {
        Issued { db, beyond: leeway * 2 + lease_max, marked: Arc::default(), to: Arc::default() }
    }

    /// Says once and for all how revocations reach the download service.
    pub fn revoke_by(&self, to: Arc<dyn RevokeTokens>) {
        let _only_the_first_counts = self.to.set(to);
    }

    /// Whether somebody said so.
    pub fn has_way(&self) -> bool {
        self.to.get().is_some()
    }

    /// Puts a token down before anybody gets it. Answers whether the account may still have one: it
    /// is disabled either before this, and there is no token, or after it, and finds this one.
    ///
    /// # Errors
    /// When the database fails; then the token must not be given to anybody.
    pub async fn record(
        &self,
        account: &AccountId,
        jti: Jti,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let mut transaction = self.db.begin().await?;
        let may = sqlx::query("UPDATE accounts SET last_download_at = $1 WHERE id = $2 AND disabled = 0")
            .bind(to_column(now))
            .bind(account.as_str())
            .execute(&mut *transaction)
            .await?;
        if may.rows_affected() == 0 {
            return Ok(false);
        }
        self.put_down(&mut transaction, account, jti, expires_at).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Puts a token down in the transaction that decides whether it may be given out, which has the
    /// account's row: disabling the account comes before that transaction, or finds the token.
    pub(super) async fn put_down(
        &self,
        transaction: &mut Transaction<'static, Any>,
        account: &AccountId,
        jti: Jti,
        expires_at: Timestamp,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO issued_tokens (jti, account, forget_at, revoke) VALUES ($1, $2, $3, 0)")
            .bind(jti.to_string())
            .bind(account.as_str())
            .bind(to_column(expires_at.plus(self.beyond)))
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }

    /// Has what was marked revoked now.
    pub fn wake(&self) {
        self.marked.notify_one();
    }

    /// Delivers what is to be revoked, once, and answers how many jtis that were.
    ///
    /// # Errors
    /// When the download service does not take it; it stays marked.
    pub async fn deliver(&self, now: Timestamp) -> Result<usize, RevokeError> {
        let Some(to) = self.to.get() else { return Ok(0) };
        let mut delivered = 0;
        loop {
            let rows = sqlx::query("SELECT jti FROM issued_tokens WHERE revoke = 1 LIMIT $1")
                .bind(PER_COMMAND)
                .fetch_all(self.db.reader())
                .await?;
            let texts = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            let jtis: Vec<Jti> = texts.iter().filter_map(|jti| jti.parse().ok()).collect();
            if texts.is_empty() {
                return Ok(delivered);
            }
            if !jtis.is_empty() {
                to.revoke(&jtis, now).await?;
            }
            for jti in &texts {
                sqlx::query("DELETE FROM issued_tokens WHERE jti = $1")
                    .bind(jti)
                    .execute(self.db.writer())
                    .await?;
            }
            delivered += jtis.len();
        }
    }

    /// Delivers what is marked, for ever. Ends when it is dropped.
    pub async fn run(&self, now: impl Fn() -> Timestamp) {
        let mut was_down = false;
        loop {
            let _woken_or_not = tokio::time::timeout(LOOK_EVERY, self.marked.notified()).await;
            match self.deliver(now()).await {
                Ok(0) => was_down = false,
                Ok(count) => {
                    was_down = false;
                    tracing::info!(count, "tokens revoked");
                }
                // Once, not every two seconds.
                Err(error) if !was_down => {
                    was_down = true;
                    let cause = crate::telemetry::chain(&error);
                    tracing::warn!(cause, "tokens wait to be revoked; trying on");
                }
                Err(_) => {}
            }
        }
    }

    /// Forgets tokens that can't matter any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM issued_tokens WHERE forget_at <= $1")
            .bind(to_column(now))
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}

/// Marks all tokens of an account to be revoked, in the transaction of the reason.
pub(super) async fn mark(
    transaction: &mut Transaction<'static, Any>,
    account: &AccountId,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE issued_tokens SET revoke = 1 WHERE account = $1")
        .bind(account.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Marks all tokens that were taken through a link to be revoked, in the transaction of the reason.
pub(super) async fn mark_link(
    transaction: &mut Transaction<'static, Any>,
    link: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE issued_tokens SET revoke = 1 WHERE jti IN (SELECT link_tokens.jti FROM link_tokens \
         JOIN link_uses ON link_uses.id = link_tokens.use_id \
         JOIN recipients ON recipients.id = link_uses.recipient WHERE recipients.link = $1)",
    )
    .bind(link)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
