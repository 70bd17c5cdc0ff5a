//! Finds the key that a program presents, and decides whether it may be used now.

use std::net::IpAddr;
use std::sync::Arc;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::accounts::changes::ChangeNumber;
use crate::web::api_keys::cache::CachedKey;
use crate::web::api_keys::key::{ApiKey, ApiKeyError};
use crate::web::api_keys::key_text::PresentedKey;
use crate::web::api_keys::store::{ApiKeys, limits_of};
use crate::web::api_keys::{ApiKeyId, Scopes};
use crate::web::db::columns::{digest_to_column, from_column};
use crate::web::identity::AccountId;

/// What is known about a key that was presented.
#[derive(Clone, Debug)]
pub enum KeyCheck {
    /// It may be used.
    Valid(Arc<ApiKey>),
    /// There is no such key, or it has expired, was revoked, or its account can't be used.
    Invalid,
    /// It may not be used from this address.
    Elsewhere,
}

impl ApiKeys {
    /// Returns what is known about a key without reading it from the database, which costs a few microseconds; `None`
    /// if it has to be [looked up](ApiKeys::look_up).
    ///
    /// # Errors
    /// If the database doesn't respond; nothing cached may be used then.
    pub async fn find(
        &self,
        presented: &PresentedKey,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Option<KeyCheck>, ApiKeyError> {
        // Read before anything else, so that anything read later can only be newer.
        self.account_changes.current(now).await?;
        let cached = self.cache.find(&presented.digest());
        let holds =
            |cached: &Arc<CachedKey>| self.account_changes.holds(&cached.key.account.id, cached.read_at);
        Ok(cached.filter(holds).map(|cached| self.judge(&cached, address, now)))
    }

    /// Reads a key from the database and returns what is known about it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn look_up(
        &self,
        presented: &PresentedKey,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<KeyCheck, ApiKeyError> {
        let number = self.account_changes.current(now).await?;
        let digest = presented.digest();
        match self.read(&digest, number).await? {
            Some(cached) => Ok(self.judge(&cached, address, now)),
            None => {
                self.cache.remove(&digest);
                Ok(KeyCheck::Invalid)
            }
        }
    }

    /// Decides about a key, and notes its use.
    fn judge(&self, cached: &CachedKey, address: IpAddr, now: Timestamp) -> KeyCheck {
        let key = &cached.key;
        if key.has_ended(now) {
            return KeyCheck::Invalid;
        }
        if !key.admits(address) {
            return KeyCheck::Elsewhere;
        }
        if cached.is_worth_recording(now) {
            self.last_uses.note(&key.id, address, now);
        }
        KeyCheck::Valid(Arc::clone(key))
    }

    async fn read(
        &self,
        digest: &Digest,
        number: ChangeNumber,
    ) -> Result<Option<Arc<CachedKey>>, ApiKeyError> {
        let query = "SELECT id, account, scopes, shares, networks, ends_at, last_used_at FROM api_keys \
                     WHERE digest = $1 AND revoked_at IS NULL";
        let row = sqlx::query(query).bind(digest_to_column(digest)).fetch_optional(self.db.reader()).await?;
        let Some(row) = row else { return Ok(None) };
        let account = AccountId::from_store(&row.try_get::<String, _>("account")?);
        let Some(account) = self.accounts.by_id(&account).await?.filter(|account| !account.disabled) else {
            return Ok(None);
        };
        let key = ApiKey {
            id: ApiKeyId::from_store(&row.try_get::<String, _>("id")?),
            account: Arc::new(account),
            // A word of a newer release grants nothing here.
            scopes: row.try_get::<String, _>("scopes")?.parse::<Scopes>().unwrap_or_default(),
            limits: limits_of(&row)?,
        };
        let recorded = row.try_get::<Option<i64>, _>("last_used_at")?.map(from_column);
        let cached = Arc::new(CachedKey::new(key, number, recorded));
        self.cache.insert(digest, Arc::clone(&cached));
        Ok(Some(cached))
    }
}
