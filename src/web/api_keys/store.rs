//! Keys in the database: making, listing and revoking them. Each change is one transaction with its line in the audit
//! log.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::config::Network;
use crate::secret::Secret;
use crate::web::accounts::changes::AccountChanges;
use crate::web::accounts::store::Accounts;
use crate::web::api_keys::cache::KeyCache;
use crate::web::api_keys::key::{ApiKeyError, ApiKeyId, KeyLimits, ListedKey};
use crate::web::api_keys::key_text::PresentedKey;
use crate::web::api_keys::last_use::LastUses;
use crate::web::api_keys::terms::KeyTerms;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{digest_to_column, from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::identity::{Account, AccountId};

/// Maximum number of keys of one account that work.
pub const KEYS_MAX: i64 = 100;

/// How long keys are listed after they were revoked or expired.
const LISTED_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// All keys. Clones share one cache.
#[derive(Clone)]
pub struct ApiKeys {
    pub(super) db: Database,
    pub(super) accounts: Accounts,
    pub(super) account_changes: AccountChanges,
    pub(super) cache: KeyCache,
    pub(super) last_uses: LastUses,
}

/// The result of making a key.
#[derive(Debug)]
pub enum MakeKeyOutcome {
    /// It was made. This is the only time that the key itself is known.
    Made(ApiKeyId, Secret),
    /// The account has [`KEYS_MAX`] keys.
    TooMany,
    /// The account can't be used any more.
    NotAllowed,
}

impl ApiKeys {
    /// Manages the keys in `db`.
    pub fn new(db: Database, accounts: Accounts, account_changes: AccountChanges) -> ApiKeys {
        let (cache, last_uses) = (KeyCache::default(), LastUses::default());
        ApiKeys { db, accounts, account_changes, cache, last_uses }
    }

    /// Makes a key for an account.
    ///
    /// # Errors
    /// See [`ApiKeyError`]; nothing is made then.
    pub async fn make(
        &self,
        account: &Account,
        terms: &KeyTerms,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<MakeKeyOutcome, ApiKeyError> {
        let (id, key) = (ApiKeyId::random()?, PresentedKey::random()?);
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, account.id.as_str()).await? {
            return Ok(MakeKeyOutcome::NotAllowed);
        }
        let there: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM api_keys WHERE account = $1 AND revoked_at IS NULL \
             AND (ends_at IS NULL OR ends_at > $2)",
        )
        .bind(account.id.as_str())
        .bind(to_column(now))
        .fetch_one(&mut *transaction)
        .await?;
        if there >= KEYS_MAX {
            return Ok(MakeKeyOutcome::TooMany);
        }
        let networks: Vec<String> = terms.networks.iter().map(Network::to_string).collect();
        sqlx::query(
            "INSERT INTO api_keys (id, account, digest, name, hint, scopes, shares, networks, ends_at, created_at, \
             last_address) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '')",
        )
        .bind(id.as_str())
        .bind(account.id.as_str())
        .bind(digest_to_column(&key.digest()))
        .bind(&terms.name)
        .bind(key.hint())
        .bind(terms.scopes.to_string())
        .bind(terms.shares.as_ref().map(|shares| Vec::from_iter(shares.iter().map(String::as_str)).join("/")))
        .bind(Some(networks.join(" ")).filter(|networks| !networks.is_empty()))
        .bind(terms.ends_at.map(to_column))
        .bind(to_column(now))
        .execute(&mut *transaction)
        .await?;
        let subject = format!("{} (key {id}) of {}, for {}", terms.name, account.email, terms.scopes);
        audit::append(&mut transaction, actor, AuditEvent::ApiKeyMade, &subject, now).await?;
        self.db.commit(transaction).await?;
        Ok(MakeKeyOutcome::Made(id, key.into_secret()))
    }

    /// Returns the keys of an account, or of all accounts, the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(&self, account: Option<&AccountId>) -> Result<Vec<ListedKey>, QueryError> {
        let filter = if account.is_some() { "WHERE account = $1" } else { "" };
        let query = format!("SELECT * FROM api_keys {filter} ORDER BY created_at DESC, id");
        let query = sqlx::query(sqlx::AssertSqlSafe(query));
        let query = match account {
            Some(account) => query.bind(account.as_str()),
            None => query,
        };
        let rows = query.fetch_all(self.db.reader()).await?;
        Ok(rows.iter().map(listed_of).collect::<Result<_, _>>()?)
    }

    /// Returns the key with this id, whoever it belongs to. The id may be any text.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn by_id(&self, id: &ApiKeyId) -> Result<Option<ListedKey>, QueryError> {
        // PostgreSQL would return an error for a NUL instead of no row.
        if id.as_str().contains('\0') {
            return Ok(None);
        }
        let row = sqlx::query("SELECT * FROM api_keys WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.as_ref().map(listed_of).transpose()?)
    }

    /// Revokes a key for good. Returns false if it was already revoked.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revoke(&self, key: &ListedKey, actor: &Actor, now: Timestamp) -> Result<bool, QueryError> {
        let mut transaction = self.db.begin().await?;
        let revoked = sqlx::query("UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
            .bind(to_column(now))
            .bind(key.id.as_str())
            .execute(&mut *transaction)
            .await?;
        if revoked.rows_affected() == 0 {
            return Ok(false);
        }
        let subject = format!("{} (key {})", key.name, key.id);
        audit::append(&mut transaction, actor, AuditEvent::ApiKeyRevoked, &subject, now).await?;
        self.account_changes.commit(transaction, &key.account).await?;
        Ok(true)
    }

    /// Writes to the database when keys were last used.
    ///
    /// # Errors
    /// If the database fails; the uses are kept for the next time.
    pub async fn flush_uses(&self) -> Result<(), QueryError> {
        self.last_uses.flush(&self.db).await
    }

    /// Forgets keys that were revoked or expired long ago, and returns how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<u64, QueryError> {
        self.cache.prune(now);
        let gone = sqlx::query("DELETE FROM api_keys WHERE COALESCE(revoked_at, ends_at) <= $1")
            .bind(to_column(now.minus(LISTED_FOR)))
            .execute(self.db.writer())
            .await?;
        Ok(gone.rows_affected())
    }
}

fn listed_of(row: &AnyRow) -> Result<ListedKey, sqlx::Error> {
    let moment = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(from_column));
    let KeyLimits { shares, networks, ends_at } = limits_of(row)?;
    Ok(ListedKey {
        id: ApiKeyId::from_store(&row.try_get::<String, _>("id")?),
        account: AccountId::from_store(&row.try_get::<String, _>("account")?),
        name: row.try_get("name")?,
        hint: row.try_get("hint")?,
        scopes: row.try_get::<String, _>("scopes")?.parse().unwrap_or_default(),
        shares,
        networks,
        ends_at,
        created_at: from_column(row.try_get("created_at")?),
        last_used_at: moment("last_used_at")?,
        last_address: row.try_get("last_address")?,
        revoked_at: moment("revoked_at")?,
    })
}

/// Reads what limits a key.
pub(super) fn limits_of(row: &AnyRow) -> Result<KeyLimits, sqlx::Error> {
    let shares: Option<String> = row.try_get("shares")?;
    let networks: Option<String> = row.try_get("networks")?;
    let networks = networks.as_deref().unwrap_or_default().split_whitespace().map(str::parse::<Network>);
    Ok(KeyLimits {
        shares: shares.map(|shares| shares.split('/').map(str::to_owned).collect::<BTreeSet<String>>()),
        // A network that can't be read must not lift the limit.
        networks: networks.collect::<Result<_, _>>().map_err(|error| sqlx::Error::Decode(error.into()))?,
        ends_at: row.try_get::<Option<i64>, _>("ends_at")?.map(from_column),
    })
}
