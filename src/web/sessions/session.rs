//! A session, how it begins, and when it ends.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::secret::{Digest, RandomError};
use crate::web::accounts::proof::LoginProof;
use crate::web::accounts::store::AccountError;
use crate::web::db::QueryError;
use crate::web::identity::Account;
use crate::web::identity::client_info::ClientInfo;

/// A logged-in browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// Digest of the id in the browser's cookie.
    pub digest: Digest,
    /// The account that is logged in, as last read.
    pub account: Arc<Account>,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// Whether the device is remembered.
    pub remembered: bool,
}

/// A session as its owner sees it in a list.
#[derive(Clone, Debug)]
pub struct ListedSession {
    /// Its name in forms, which can't be used as a cookie.
    pub name: String,
    /// The digest of its id, by which the current session is recognized.
    pub digest: String,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When it was last used, accurate to a minute.
    pub last_seen_at: Timestamp,
    /// Whether the device is remembered.
    pub remembered: bool,
    /// The client that used it last.
    pub place: ClientInfo,
}

/// A session couldn't be looked up or stored.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// An account couldn't be read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The operating system provided no random bytes for the id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<sqlx::Error> for SessionError {
    fn from(error: sqlx::Error) -> SessionError {
        QueryError::from(error).into()
    }
}

/// When sessions expire.
#[derive(Clone, Copy, Debug)]
pub struct SessionLifetimes {
    /// This long after the last use.
    pub idle: Duration,
    /// This long after login, even if in use.
    pub max: Duration,
    /// On a remembered device, this long after login, whether in use or not.
    pub remember: Duration,
}

impl SessionLifetimes {
    /// Returns whether a session that began at `began` and was last used at `last_seen` has expired.
    pub(super) fn is_over(
        &self,
        remembered: bool,
        began: Timestamp,
        last_seen: Timestamp,
        now: Timestamp,
    ) -> bool {
        match remembered {
            true => now >= began.plus(self.remember),
            false => now >= last_seen.plus(self.idle) || now >= began.plus(self.max),
        }
    }
}

/// What is needed to start a session.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// The proof that the user owns the account.
    pub proof: &'a LoginProof,
    /// Whether to remember the device.
    pub remembered: bool,
    /// The client that logs in.
    pub place: &'a ClientInfo,
}

/// Which sessions to end.
#[derive(Clone, Copy, Debug)]
pub enum SessionSelection<'a> {
    /// The one with this name.
    Named(&'a str),
    /// All except the one whose id has this digest.
    AllBut(&'a Digest),
    /// All.
    All,
}
