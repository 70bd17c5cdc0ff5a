//! What handlers work with. Built once by [`crate::web::App::open`]; shared by all workers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use crate::client_address::ClientAddresses;
use crate::config::{Settings, Signup};
use crate::files::Shares;
use crate::health::Health;
use crate::id::Jti;
use crate::web::deliveries::Receipts;
use crate::web::forms::sent::SentForms;
use crate::web::forms::unsent::UnsentForms;
use crate::web::http::carried::Carried;
use crate::web::http::client_turns::ClientTurns;
use crate::web::http::cookies::Cookies;
use crate::web::identity::Email;
use crate::web::links::patience::Patience;
use crate::web::mail::trial::Trial;
use crate::web::nodes::ready::Readiness;
use crate::web::nodes::watch::Watch;
use crate::web::restored::Standings;
use crate::web::services::Administration;
use crate::web::sessions::Sessions;
use crate::web::shares::digests::Digests;
use crate::web::shares::editor::Manage;
use crate::web::shares::rights::Rights;
use crate::web::throttle::Throttle;
use crate::web::uploads::Uploads;

/// Everything that handlers share.
pub struct State {
    /// Accounts, passwords, links, tokens, and the present moment.
    pub administration: Administration,
    /// Where people reach the app, without a trailing slash.
    pub public_url: String,
    /// `Content-Security-Policy` of the pages.
    pub policy: HeaderValue,
    /// The same for the few pages that have a script.
    pub script_policy: HeaderValue,
    /// Sessions.
    pub sessions: Sessions,
    /// Limits on guessing, and on what may be written and mailed.
    pub throttle: Throttle,
    /// Forms that made something.
    pub sent_forms: SentForms,
    /// Who may read what.
    pub rights: Rights,
    /// The files.
    pub shares: Shares,
    /// Who may sign up.
    pub signup: SignupRules,
    /// For how long a device can be remembered; `None` where that is not offered.
    pub remember: Option<Duration>,
    /// Whether mails are only written down.
    pub outbox: bool,
    /// Sends test mails.
    pub mail_trial: Trial,
    /// Held while an action link does its work.
    pub turns: Turns,
    /// Held while a page is put together.
    pub page_turns: ClientTurns,
    /// Held while a form from a session is worked on.
    pub form_turns: ClientTurns,
    /// Turns for searches, which are heavy.
    pub searches: Arc<Semaphore>,
    /// Requests that are carried to their end.
    pub carried: Carried,
    /// Digests of files that were uploaded.
    pub digests: Digests,
    /// Files on their way in.
    pub uploads: Uploads,
    /// Changes of what lies in the shares.
    pub manage: Manage,
    /// Who asks.
    pub addresses: ClientAddresses,
    /// Whether the process does all that it should.
    pub health: Health,
    /// Most bytes of a form.
    pub form_max: usize,
    /// Cookies.
    pub cookies: Cookies,
    /// Forms that came too late for a log-in.
    pub unsent: UnsentForms,
    /// What became of tokens that were taken through links.
    pub receipts: Receipts,
    /// Whether a download service can serve.
    pub node: Readiness,
    /// Presses of links that wait for news.
    pub patience: Patience,
    /// Where the database stands, so that one that was put back is noticed.
    pub standings: Standings,
    /// How the download services are.
    pub node_watch: Watch,
}

/// Who may make an account for himself.
#[derive(Clone, Debug)]
pub struct SignupRules {
    /// Anybody, or only who was invited.
    pub mode: Signup,
    /// Mail domains in lower case; none means any.
    pub domains: Vec<String>,
    /// An account that is not activated for so long is forgotten.
    pub unactivated_max: Duration,
}

impl SignupRules {
    /// Those of the settings.
    pub fn new(settings: &Settings) -> SignupRules {
        let domain = |domain: &String| domain.trim().trim_start_matches('@').to_ascii_lowercase();
        SignupRules {
            mode: settings.web.signup,
            domains: settings.web.signup_domains.iter().map(domain).collect(),
            unactivated_max: settings.web.unactivated_max,
        }
    }

    /// Whether somebody with that address may sign up.
    pub fn admits(&self, email: &Email) -> bool {
        let domain = email.key().rsplit('@').next().unwrap_or_default();
        self.domains.is_empty() || self.domains.iter().any(|admitted| admitted == domain)
    }
}

/// Turns by jti, so that many clicks on one link at once don't each hash a password before they find
/// it spent. Two links may share a turn; that only makes one wait for the other.
pub struct Turns(Vec<Mutex<()>>);

impl Default for Turns {
    fn default() -> Turns {
        Turns(std::iter::repeat_with(Mutex::default).take(64).collect())
    }
}

impl Turns {
    /// Waits for the turn of that jti.
    pub async fn of(&self, jti: Jti) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        jti.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % 64).unwrap_or(0);
        match self.0.get(at) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}
