//! Where a store or a server is.

use std::fmt;
use std::ops::Deref;

use serde::Deserialize;

/// The name of an embedded store or the address of a server. An address may contain a password, which
/// `Debug` and `Display` leave out.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoreAddress(String);

impl StoreAddress {
    /// Returns the whole address, including the password.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns where the store keeps its data.
    pub fn kind(&self) -> StoreKind {
        match self.0.split_once("://").map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => StoreKind::Postgres,
            Some("redis" | "rediss") => StoreKind::Redis,
            _ => StoreKind::Embedded,
        }
    }

    /// Returns whether several processes can use the store at once, on several machines.
    pub fn is_shared(&self) -> bool {
        match self.kind() {
            StoreKind::Embedded => false,
            StoreKind::Postgres | StoreKind::Redis => true,
        }
    }
}

/// Where a store keeps its data. Code that depends on it matches every kind, so that the compiler points to
/// it when there is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In files in the data directory, for one process.
    Embedded,
    /// On a PostgreSQL server, which several processes can share.
    Postgres,
    /// On a Redis server, which several processes can share; only for used tokens.
    Redis,
}

impl Deref for StoreAddress {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for StoreAddress {
    fn from(text: &str) -> StoreAddress {
        StoreAddress(text.to_owned())
    }
}

impl From<String> for StoreAddress {
    fn from(text: String) -> StoreAddress {
        StoreAddress(text)
    }
}

/// Prints only the scheme, such as `postgres://…`, if there is one.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once("://") {
            Some((scheme, _)) => write!(f, "{scheme}://…"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreAddress({self})")
    }
}
