//! The services and limits that handlers use, built once by [`crate::web::WebApp::open`] and shared by all
//! workers.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use actix_web::web::Data;
use tokio::sync::Semaphore;

use crate::brand::Brand;
use crate::client_address::ClientAddresses;
use crate::config::{NodeSettings, Settings, SettingsTable, Signup};
use crate::files::Shares;
use crate::health::Health;
use crate::reloadable::Reloadable;
use crate::secret::random_bytes;
use crate::web::archives::ArchiveMaker;
use crate::web::deliveries::DeliveryStore;
use crate::web::forms::idempotency::IdempotencyStore;
use crate::web::forms::request_keys::RequestKeys;
use crate::web::forms::unsent::UnsentForms;
use crate::web::http::carried::CarriedRequests;
use crate::web::http::client_turns::ClientSlots;
use crate::web::http::cookies::Cookies;
use crate::web::http::error::WebError;
use crate::web::http::jti_locks::JtiLocks;
use crate::web::identity::Email;
use crate::web::links::long_poll::LongPolls;
use crate::web::mail::test_mail::TestMailer;
use crate::web::metrics::WebMetrics;
use crate::web::nodes::monitor::NodeMonitor;
use crate::web::restored::RestoreDetector;
use crate::web::services::Services;
use crate::web::sessions::Sessions;
use crate::web::shares::digests::FileDigests;
use crate::web::shares::editor::ShareEditor;
use crate::web::shares::rights::Rights;
use crate::web::throttle::Throttle;
use crate::web::uploads::Uploads;

/// Everything that handlers share.
pub struct AppState {
    /// Accounts, passwords, links, tokens and the clock.
    pub services: Services,
    /// The address at which people reach the app, without a trailing slash.
    pub public_url: String,
    /// The operator's name, logo, color and support address.
    pub brand: Arc<Brand>,
    /// The `Content-Security-Policy` of the pages.
    pub policy: HeaderValue,
    /// The policy of the few pages whose scripts send requests.
    pub script_policy: HeaderValue,
    /// Sessions.
    pub sessions: Sessions,
    /// Limits on guesses, on writes and on mails.
    pub throttle: Throttle,
    /// The forms that have created something.
    pub sent_forms: IdempotencyStore,
    /// The requests of programs that have created something.
    pub request_keys: RequestKeys,
    /// Who may read, write and manage which share.
    pub rights: Rights,
    /// The files in the shares.
    pub shares: Shares,
    /// Who may sign up.
    pub signup: SignupRules,
    /// Whether administrators need a second factor for the administration.
    pub admins_need_factor: bool,
    /// How long a device can be remembered; `None` where that is not offered.
    pub remember: Option<Duration>,
    /// The settings in force, to show.
    pub settings_table: Reloadable<SettingsTable>,
    /// Sends test mails.
    pub test_mailer: TestMailer,
    /// Locks held while an action link is used.
    pub action_locks: JtiLocks,
    /// Limits the pages that are made at once for one client.
    pub page_turns: ClientSlots,
    /// Limits the forms from sessions that are processed at once for one client.
    pub form_turns: ClientSlots,
    /// Limits the searches that run at once, because they are heavy.
    pub searches: Arc<Semaphore>,
    /// The requests that are carried to their end.
    pub carried: CarriedRequests,
    /// Digests of uploaded files.
    pub digests: FileDigests,
    /// Makes archives of files.
    pub archives: ArchiveMaker,
    /// Uploads in progress.
    pub uploads: Uploads,
    /// Makes changes in the shares.
    pub editor: ShareEditor,
    /// Finds the address of a client, also behind proxies.
    pub addresses: ClientAddresses,
    /// The health of the background tasks.
    pub health: Health,
    /// The maximum size of a form in bytes.
    pub form_max: usize,
    /// Reads and makes cookies.
    pub cookies: Cookies,
    /// Forms that arrived after their senders' logins had ended.
    pub unsent: UnsentForms,
    /// What the download services report about the tokens of links.
    pub deliveries: DeliveryStore,
    /// Limits the presses of links that wait for reports.
    pub long_polls: LongPolls,
    /// Detects that the database was restored from a backup.
    pub restore_detector: RestoreDetector,
    /// Which download services are ready.
    pub nodes: NodeMonitor,
    /// What is counted for operators.
    pub(crate) metrics: WebMetrics,
}

impl AppState {
    /// Returns the state of the app that received the request.
    ///
    /// # Errors
    /// When the app was built without one.
    pub(crate) fn of(request: &HttpRequest) -> Result<Data<AppState>, WebError> {
        let state = request.app_data::<Data<AppState>>();
        state.cloned().ok_or_else(|| WebError::Internal("the app's state is missing".into()))
    }
}

impl AppState {
    /// Returns the download service for the next token.
    ///
    /// # Errors
    /// [`WebError::NoNode`] when none is ready.
    pub(crate) async fn node_for_token(&self) -> Result<&NodeSettings, WebError> {
        let services = &self.services;
        let (now, dice) = (services.clock.now(), u64::from_be_bytes(random_bytes()?));
        let chosen = self.nodes.choose(&services.nodes, &services.issuer, dice, now).await?;
        chosen.ok_or(WebError::NoNode)
    }

    /// Returns the download service with this name; `None` if there is none, or it can't get tokens now.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn node_named(&self, name: &str) -> Result<Option<&NodeSettings>, WebError> {
        let services = &self.services;
        let now = services.clock.now();
        Ok(self.nodes.named(&services.nodes, &services.issuer, name, now).await?)
    }
}

/// Who may sign up.
#[derive(Clone, Debug)]
pub struct SignupRules {
    /// Whether anyone may sign up, or only people who were invited.
    pub mode: Signup,
    /// The admitted mail domains in lower case; empty for any.
    pub domains: Vec<String>,
    /// How long an account that is not activated is kept.
    pub unactivated_max: Duration,
}

impl SignupRules {
    /// Reads the rules from the settings.
    pub fn new(settings: &Settings) -> SignupRules {
        let domain = |domain: &String| domain.trim().trim_start_matches('@').to_ascii_lowercase();
        SignupRules {
            mode: settings.web.signup,
            domains: settings.web.signup_domains.iter().map(domain).collect(),
            unactivated_max: settings.web.unactivated_max,
        }
    }

    /// Returns whether a person with that address may sign up.
    pub fn admits(&self, email: &Email) -> bool {
        let domain = email.key().rsplit('@').next().unwrap_or_default();
        self.domains.is_empty() || self.domains.iter().any(|admitted| admitted == domain)
    }
}
