//! A key: whose it is, what it may do, and whether it still works.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::client_address::is_within;
use crate::clock::Timestamp;
use crate::config::Network;
use crate::id::{FilePath, opaque_id};
use crate::secret::RandomError;
use crate::web::accounts::store::AccountError;
use crate::web::api_keys::scope::Scopes;
use crate::web::db::QueryError;
use crate::web::identity::{Account, AccountId};
use crate::words::words;

opaque_id! {
    /// The id of a key, which can't be used as the key.
    ApiKeyId
}

/// What limits a key, besides what its account may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyLimits {
    /// The shares that it is limited to; `None` for all.
    pub(super) shares: Option<BTreeSet<String>>,
    /// The networks from which it may be used; empty for all.
    pub(super) networks: Vec<Network>,
    /// When it expires; `None` for never.
    pub(super) ends_at: Option<Timestamp>,
}

/// A key that was presented and found. Whether it may be used now is up to
/// [`ApiKeys::find`](crate::web::api_keys::ApiKeys::find).
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The account that it acts for, as last read.
    pub account: Arc<Account>,
    /// What it may do.
    pub scopes: Scopes,
    pub(super) limits: KeyLimits,
}

impl ApiKey {
    /// Returns whether the key may be used for this path, as far as the key itself says.
    pub fn covers(&self, path: &FilePath) -> bool {
        self.limits.shares.as_ref().is_none_or(|shares| shares.contains(path.share()))
    }

    /// Returns the names of the shares that it is limited to; `None` for all.
    pub const fn shares(&self) -> Option<&BTreeSet<String>> {
        self.limits.shares.as_ref()
    }

    /// Returns when it expires; `None` for never.
    pub const fn ends_at(&self) -> Option<Timestamp> {
        self.limits.ends_at
    }

    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.limits.ends_at.is_some_and(|end| now >= end)
    }

    pub(super) fn admits(&self, address: IpAddr) -> bool {
        let networks = &self.limits.networks;
        networks.is_empty() || networks.iter().any(|network| is_within(network, address))
    }
}

words! {
    /// Whether a key works.
    pub enum KeyState {
        /// It works.
        Active = "active",
        /// It has expired.
        Ended = "ended",
        /// It was revoked.
        Revoked = "revoked",
    }
}

/// A key as its owner sees it in a list.
#[derive(Clone, Debug)]
pub struct ListedKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The account that it acts for.
    pub account: AccountId,
    /// The name that its owner gave it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The shares that it is limited to; `None` for all.
    pub shares: Option<BTreeSet<String>>,
    /// The networks from which it may be used; empty for all.
    pub networks: Vec<Network>,
    /// When it expires; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, accurate to a minute; `None` for never.
    pub last_used_at: Option<Timestamp>,
    /// The address from which it was last used; empty for none.
    pub last_address: String,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ListedKey {
    /// Returns whether it works at `now`.
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.ends_at.is_some_and(|end| now >= end) {
            KeyState::Ended
        } else {
            KeyState::Active
        }
    }
}

/// An operation on keys failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An account couldn't be read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The operating system provided no random bytes for a key.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<sqlx::Error> for ApiKeyError {
    fn from(error: sqlx::Error) -> ApiKeyError {
        QueryError::from(error).into()
    }
}
