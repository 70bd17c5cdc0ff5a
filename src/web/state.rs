//! What handlers work with. Built once by [`crate::web::App::open`]; shared by all workers.

use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use tokio::sync::Semaphore;

use crate::client_address::ClientAddresses;
use crate::files::Shares;
use crate::web::administration::Administration;
use crate::web::cookies::Cookies;
use crate::web::rights::Rights;
use crate::web::sessions::Sessions;
use crate::web::throttle::Throttle;

/// Everything that handlers share.
pub struct State {
    /// Accounts, passwords, links, tokens, and the present moment.
    pub administration: Administration,
    /// Where people reach the app, without a trailing slash.
    pub public_url: String,
    /// `Content-Security-Policy` of the pages.
    pub policy: HeaderValue,
    /// Sessions.
    pub sessions: Sessions,
    /// Limits on guessing.
    pub throttle: Throttle,
    /// Who may read what.
    pub rights: Rights,
    /// The files.
    pub shares: Shares,
    /// Held while an action link does its work, so that many clicks on one at once don't each hash
    /// a password before they find it spent.
    pub activating: tokio::sync::Mutex<()>,
    /// Turns for searches, which are heavy.
    pub searches: Arc<Semaphore>,
    /// Who asks.
    pub addresses: ClientAddresses,
    /// Cookies.
    pub cookies: Cookies,
}
