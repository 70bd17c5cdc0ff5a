//! Logins of devices without a browser: the device shows a code, the person allows it in a browser that is logged in,
//! and the device gets an API key (RFC 8628).

mod user_code;

use std::time::Duration;

use sqlx::{Any, Row, Transaction};

use crate::clock::Timestamp;
use crate::human;
use crate::secret::{RandomError, Secret};
use crate::web::api_keys::{Scope, Scopes};
use crate::web::db::columns::{digest_to_column, from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::AccountId;

pub use user_code::{InvalidUserCode, UserCode};

/// How long a login waits.
pub const WAITS: Duration = Duration::from_secs(10 * 60);

/// How often a device may ask, in seconds.
pub const INTERVAL: u64 = 5;

/// A device that asks a little early is not slowed down for it.
const SOONEST: Duration = Duration::from_secs(INTERVAL - 1);

/// How many logins may wait at the same time.
const WAITING_MAX: i64 = 10_000;

/// The longest name of a device, in characters.
const NAME_MAX: usize = 60;

/// A login that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLogin {
    /// What the device calls itself.
    pub name: String,
    /// The address that it asked from.
    pub address: String,
    /// What its key will be allowed to do.
    pub scopes: Scopes,
}

/// A login that was begun.
pub struct Started {
    /// What the device asks with.
    pub device_code: Secret,
    /// What the person compares or types.
    pub user_code: UserCode,
}

/// The answer to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody has decided.
    Pending,
    /// It asks too often.
    TooOften,
    /// A person has refused it.
    Refused,
    /// There is no such login, or nobody decided in time.
    Expired,
    /// This person has allowed it. It is told once.
    Allowed(AccountId, DeviceLogin),
}

/// Something about a login failed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceLoginError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Too many logins are waiting.
    #[error("too many devices are waiting to be allowed")]
    TooMany,
}

impl From<sqlx::Error> for DeviceLoginError {
    fn from(error: sqlx::Error) -> DeviceLoginError {
        QueryError::from(error).into()
    }
}

/// The logins of devices. Cheap to clone.
#[derive(Clone)]
pub struct DeviceLogins {
    db: Database,
}

impl DeviceLogins {
    /// Keeps logins in `db`.
    pub const fn new(db: Database) -> DeviceLogins {
        DeviceLogins { db }
    }

    /// Returns the scopes that a device asks for; `None` if it can't have them. Keys for the administration are only
    /// made on the page for keys.
    pub fn scopes(asked: &str) -> Option<Scopes> {
        let scopes: Scopes = asked.parse().ok()?;
        (!scopes.is_empty() && !scopes.contains(Scope::Admin)).then_some(scopes)
    }

    /// Begins a login.
    ///
    /// # Errors
    /// See [`DeviceLoginError`].
    pub async fn start(
        &self,
        name: &str,
        address: String,
        scopes: Scopes,
        now: Timestamp,
    ) -> Result<Started, DeviceLoginError> {
        let started = Started { device_code: Secret::random::<32>()?, user_code: UserCode::random()? };
        let mut transaction = self.db.begin().await?;
        sqlx::query("DELETE FROM device_logins WHERE ends_at <= $1")
            .bind(to_column(now))
            .execute(&mut *transaction)
            .await?;
        let waiting: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM device_logins").fetch_one(&mut *transaction).await?;
        if waiting >= WAITING_MAX {
            return Err(DeviceLoginError::TooMany);
        }
        sqlx::query(
            "INSERT INTO device_logins (digest, user_digest, name, address, scopes, state, created_at, ends_at, asked_at) \
             VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7, $6)",
        )
        .bind(digest_to_column(&started.device_code.digest()))
        .bind(digest_to_column(&started.user_code.digest()))
        .bind(named(name))
        .bind(address)
        .bind(scopes.to_string())
        .bind(to_column(now))
        .bind(to_column(now.plus(WAITS)))
        .execute(&mut *transaction)
        .await?;
        self.db.commit(transaction).await?;
        Ok(started)
    }

    /// Returns the waiting login with this code.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn waiting(&self, code: &UserCode, now: Timestamp) -> Result<Option<DeviceLogin>, QueryError> {
        let row = sqlx::query(
            "SELECT name, address, scopes FROM device_logins WHERE user_digest = $1 AND state = 'waiting' AND ends_at > $2",
        )
        .bind(digest_to_column(&code.digest()))
        .bind(to_column(now))
        .fetch_optional(self.db.reader())
        .await?;
        Ok(row.map(|row| read(&row)).transpose()?)
    }

    /// Notes that a person has allowed or refused the login with this code, and returns whether it was waiting.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn decide(
        &self,
        code: &UserCode,
        account: &AccountId,
        is_allowed: bool,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let mut transaction = self.db.begin().await?;
        let decided = sqlx::query(
            "UPDATE device_logins SET state = $1, account = $2 \
             WHERE user_digest = $3 AND state = 'waiting' AND ends_at > $4",
        )
        .bind(if is_allowed { "allowed" } else { "refused" })
        .bind(account.as_str())
        .bind(digest_to_column(&code.digest()))
        .bind(to_column(now))
        .execute(&mut *transaction)
        .await?;
        self.db.commit(transaction).await?;
        Ok(decided.rows_affected() == 1)
    }

    /// Answers a device. A login that was decided ends with the answer.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ask(&self, device_code: &str, now: Timestamp) -> Result<Answer, QueryError> {
        let digest = digest_to_column(&Secret::presented(device_code).digest());
        let mut transaction = self.db.begin().await?;
        let row = sqlx::query("SELECT * FROM device_logins WHERE digest = $1 AND ends_at > $2")
            .bind(&digest)
            .bind(to_column(now))
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(Answer::Expired) };
        let asked_at = from_column(row.try_get("asked_at")?);
        let answer = match row.try_get::<String, _>("state")?.as_str() {
            "waiting" if now < asked_at.plus(SOONEST) => Answer::TooOften,
            "waiting" => Answer::Pending,
            "allowed" => Answer::Allowed(AccountId::from_store(row.try_get("account")?), read(&row)?),
            _ => Answer::Refused,
        };
        match &answer {
            Answer::Pending | Answer::TooOften => {
                sqlx::query("UPDATE device_logins SET asked_at = $1 WHERE digest = $2")
                    .bind(to_column(now))
                    .bind(&digest)
                    .execute(&mut *transaction)
                    .await?;
            }
            // Only one of two requests at once gets the key.
            _ if !remove(&mut transaction, &digest).await? => return Ok(Answer::Expired),
            _ => {}
        }
        self.db.commit(transaction).await?;
        Ok(answer)
    }
}

async fn remove(transaction: &mut Transaction<'static, Any>, digest: &str) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query("DELETE FROM device_logins WHERE digest = $1").bind(digest);
    Ok(removed.execute(&mut **transaction).await?.rows_affected() == 1)
}

fn read(row: &sqlx::any::AnyRow) -> Result<DeviceLogin, sqlx::Error> {
    let scopes: String = row.try_get("scopes")?;
    Ok(DeviceLogin {
        name: row.try_get("name")?,
        address: row.try_get("address")?,
        scopes: scopes.parse().unwrap_or_default(),
    })
}

/// Returns what a device calls itself, so that it can be shown.
fn named(typed: &str) -> String {
    let name: String =
        typed.trim().chars().filter(|c| !c.is_control()).take(NAME_MAX).collect::<String>().trim().to_owned();
    match name.as_str() {
        "" => "a device".to_owned(),
        name => human::name(name).into_owned(),
    }
}
