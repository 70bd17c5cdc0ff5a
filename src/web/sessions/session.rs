//! A session, and what it begins and ends with.

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
    pub place: ClientInfo,
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
pub struct SessionLifetimes {
    /// This long after the last use.
    pub idle: Duration,
    /// This long after the log-in, however busy.
    pub max: Duration,
    /// On a device to remember, this long after the log-in, used or not.
    pub remember: Duration,
}

impl SessionLifetimes {
    /// Whether a session has ended by itself that began and was last used then.
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

/// What a session begins with.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Who proved by what that he is the owner of which account.
    pub proof: &'a LoginProof,
    /// Whether the device is to be remembered.
    pub remembered: bool,
    /// Where he is.
    pub place: &'a ClientInfo,
}

/// Which sessions to end.
#[derive(Clone, Copy, Debug)]
pub enum SessionSelection<'a> {
    /// The one of that name.
    Named(&'a str),
    /// All but the one whose id has that digest.
    AllBut(&'a Digest),
    /// All.
    All,
}
