//! The web app: accounts, sessions, browsing, and the private key that signs tokens.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig, scope};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::archive::ManifestProvider;
use crate::brand::Brand;
use crate::client_address::ClientAddresses;
use crate::clock::Clock;
use crate::config::{SecondFactorRule, Settings};
use crate::files::ShareFolders;
use crate::health::Health;
use crate::http_client::HttpError;
use crate::receipt::ReceiptSink;
use crate::reloadable::Reloadable;
use crate::telemetry::chain;
use crate::web::accounts::store::AccountError;
use crate::web::archives::ArchiveMaker;
use crate::web::composer::MailComposer;
use crate::web::db::QueryError;
use crate::web::deliveries::DeliveryStore;
use crate::web::forms::idempotency::IdempotencyStore;
use crate::web::forms::request_keys::RequestKeys;
use crate::web::forms::unsent::UnsentForms;
use crate::web::http::carried::CarriedRequests;
use crate::web::http::client_turns::ClientSlots;
use crate::web::http::cookies::Cookies;
use crate::web::http::jti_locks::JtiLocks;
use crate::web::http::state::{AppState, SignupRules};
use crate::web::http::{branded, compressed, csrf, layout, middleware, problem, routes};
use crate::web::links::listing::LinkListings;
use crate::web::links::long_poll::LongPolls;
use crate::web::mail::message::MessageComposer;
use crate::web::mail::sender::MailSender;
use crate::web::mail::test_mail::TestMailer;
use crate::web::mail::transport::MailTransport;
use crate::web::mail::way::MailWay;
use crate::web::membership::action_links::ActionLinkError;
use crate::web::metrics::{MetricSources, WebMetrics};
use crate::web::nodes::monitor::NodeMonitor;
use crate::web::nodes::node_key::NodeKey;
use crate::web::nodes::readiness::ReadinessProbe;
use crate::web::nodes::revoke::RevocationSink;
use crate::web::restored::{RESTORED_MARK, RestoreDetector};
use crate::web::retention::Retention;
use crate::web::services::{Services, WebOpenError};
use crate::web::sessions::{SessionLifetimes, Sessions};
use crate::web::shares::digests::FileDigests;
use crate::web::shares::disk::WritableShares;
use crate::web::shares::editor::ShareEditor;
use crate::web::throttle::Throttle;
use crate::web::upkeep::Upkeep;
use crate::web::uploads::Uploads;
use crate::web::webhooks::sender::WebhookSender;

pub mod accounts;
pub mod api_keys;
pub mod archives;
pub mod arrivals;
pub mod audit;
pub mod composer;
pub mod db;
pub mod deliveries;
pub mod device_logins;
pub mod forms;
pub mod http;
pub mod identity;
pub mod instance;
pub mod links;
pub mod mail;
pub mod membership;
pub(crate) mod metrics;
pub mod nodes;
pub mod reload;
pub mod requests;
pub mod restored;
pub mod retention;
pub mod revocations;
pub mod second_factor;
pub mod services;
pub mod sessions;
mod settings;
pub mod shares;
pub mod storage;
pub mod throttle;
pub mod time_reset;
pub mod tokens;
pub mod upkeep;
pub mod uploads;
pub mod webhooks;
/// How long closing waits for requests whose clients have disconnected, and for the database.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Maximum number of searches that run at the same time.
const SEARCHES_AT_ONCE: usize = 4;

/// The link for the first administrator could not be created.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// The database failed.
    #[error(transparent)]
    Accounts(#[from] AccountError),
    /// The link could not be issued.
    #[error(transparent)]
    Action(#[from] ActionLinkError),
}

/// The web app, ready to serve requests. Cheap to clone.
#[derive(Clone)]
pub struct WebApp {
    state: Data<AppState>,
    sender: MailSender,
    upkeep: Arc<Upkeep>,
}

impl WebApp {
    /// Opens the database and the keys and prepares everything that handlers need.
    ///
    /// # Errors
    /// See [`WebOpenError`].
    pub async fn open(
        settings: &Settings,
        clock: Clock,
        folders: ShareFolders,
    ) -> Result<WebApp, WebOpenError> {
        let services = Box::pin(Services::open(settings, clock.clone())).await?;
        services.passwords.prepare();
        services.nodes.hold_own_key(NodeKey::open(&settings.node_key_file())?);
        services.issued.revocations.assign_nodes().await?;
        let now = services.clock.now();
        instance::review_readers(&services.db, &settings.shares, &services.issued, now).await?;
        let standings = RestoreDetector::open(
            settings.data_dir.join("web.witness"),
            &settings.database_file().with_file_name(RESTORED_MARK),
            services.db.clone(),
            services.links.key.clone(),
            services.issued.clone(),
            services.used.clone(),
            services.clock.clone(),
        )
        .await?;
        let ends = SessionLifetimes {
            idle: settings.web.session_idle,
            max: settings.web.session_max,
            remember: settings.web.session_remember,
        };
        let listed = services.nodes.services().iter();
        let downloads: Vec<String> =
            listed.map(|node| csrf::origin_of(&node.public_url).to_owned()).collect();
        let downloads: Vec<&str> = downloads.iter().map(String::as_str).collect();
        let (db, queue) = (services.db.clone(), services.queue.clone());
        let policy = layout::content_security_policy(&downloads);
        let digests = FileDigests::new(services.db.clone());
        let writable = WritableShares::new(folders);
        let archives = ArchiveMaker::new(services.db.clone(), writable.readable().clone());
        let uploads = Uploads::new(settings.into(), services.db.clone(), writable.clone(), clock);
        let rights = services.rights.clone();
        let keep = settings.web.trash_keep;
        let editor = ShareEditor::new(services.db.clone(), writable.clone(), rights.clone(), keep);
        let throttle = Throttle::new(&settings.links);
        throttle.set_api_requests(settings.api.requests);
        let state = AppState {
            deliveries: DeliveryStore::new(db.clone(), queue, services.clock.clone(), settings)
                .with_restore_detector(standings.clone()),
            restore_detector: standings,
            long_polls: LongPolls::default(),
            nodes: NodeMonitor::default(),
            public_url: settings.web.public_url.clone(),
            brand: Brand::open(&settings.brand)?,
            policy: HeaderValue::from_str(&policy).map_err(|error| WebOpenError::Address(error.into()))?,
            script_policy: HeaderValue::from_str(&layout::with_script(&policy))
                .map_err(|error| WebOpenError::Address(error.into()))?,
            sessions: Sessions::new(
                services.db.clone(),
                services.accounts.clone(),
                services.account_changes.clone(),
                ends,
            ),
            services,
            throttle,
            sent_forms: IdempotencyStore::new(db.clone()),
            request_keys: RequestKeys::new(db.clone()),
            rights,
            shares: writable.readable().clone(),
            action_locks: JtiLocks::default(),
            page_turns: ClientSlots::default(),
            form_turns: ClientSlots::default(),
            signup: SignupRules::new(settings),
            admins_need_factor: settings.web.second_factor == SecondFactorRule::Administrators,
            remember: Some(settings.web.session_remember).filter(|kept| !kept.is_zero()),
            test_mailer: TestMailer::new(settings),
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
            settings_table: Reloadable::default(),
            carried: CarriedRequests::new(settings.web.max_connections),
            digests,
            archives,
            uploads,
            editor,
            addresses: ClientAddresses::new(&settings.web.trusted_proxies, settings.web.proxy_header, "web"),
            health: Health::default(),
            form_max: usize::try_from(settings.web.form_max).unwrap_or(usize::MAX),
            cookies: Cookies::new(&settings.web.public_url),
            unsent: UnsentForms::default(),
            metrics: WebMetrics::default(),
        };
        let sender = sender(settings, &state)?;
        let upkeep = Arc::new(Upkeep {
            services: state.services.clone(),
            restore_detector: state.restore_detector.clone(),
            deliveries: state.deliveries.clone(),
            sender: sender.clone(),
            sessions: state.sessions.clone(),
            sent_forms: state.sent_forms.clone(),
            request_keys: state.request_keys.clone(),
            throttle: state.throttle.clone(),
            archives: state.archives.clone(),
            uploads: state.uploads.clone(),
            editor: state.editor.clone(),
            nodes: state.nodes.clone(),
            retention: Retention::new(db, settings),
        });
        // Before the first request: finishes or undoes what a crash interrupted.
        let app = WebApp { state: Data::new(state), sender, upkeep };
        Box::pin(app.upkeep.settle(app.state.services.clock.now())).await;
        Ok(app)
    }

    /// Returns a one-time address for creating the first administrator; `None` if there already is one.
    ///
    /// # Errors
    /// When the database fails or the link can't be signed.
    pub async fn first_admin_link(&self) -> Result<Option<String>, FirstAdminError> {
        let services = &self.state.services;
        if services.accounts.has_administrator().await? {
            return Ok(None);
        }
        Ok(Some(services.actions.first_administrator(services.clock.now()).await?))
    }

    /// Returns a function that returns the public keys as a JWKS, for a download service in the same process.
    /// It must be called again when a key is unknown, because keys rotate.
    pub fn jwks(&self) -> impl Fn() -> String + Clone + Send + Sync + 'static {
        let (signer, clock) =
            (Arc::clone(&self.state.services.issuer.signer), self.state.services.clock.clone());
        move || signer.jwks(clock.now())
    }

    /// Whether opening the app created the first signing key, which means that this is the first start.
    pub fn signing_keys_made_now(&self) -> bool {
        self.state.services.issuer.signer.made_now()
    }

    /// Returns the health of the app, which records failures in the background and the start of a shutdown.
    pub fn health(&self) -> &Health {
        &self.state.health
    }

    /// Adds the metrics of this app to those that are published.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.state.metrics.register(&self.state.services.db, registry);
    }

    /// Updates the metrics that are read rather than counted.
    pub async fn update_metrics(&self) {
        let AppState { services, health, metrics, .. } = &**self.state;
        let from = MetricSources {
            db: &services.db,
            queue: &services.queue,
            webhooks: &services.webhooks,
            revocations: &services.issued.revocations,
            nodes: &services.nodes,
            signer: &services.issuer.signer,
            health,
            now: services.clock.now(),
        };
        if let Err(error) = metrics.update(from).await {
            tracing::warn!(cause = chain(&error), "cannot read what the metrics are about");
        }
    }

    /// Adds the app's routes to a server.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        cfg.app_data(self.state.clone()).service(
            scope("")
                // Innermost for the handlers, which `carry` may run in another task, and outermost for refusals.
                .wrap(from_fn(branded::branded))
                .wrap(from_fn(middleware::pages_in_turn))
                .wrap(from_fn(middleware::carry))
                .wrap(from_fn(problem::edge))
                .wrap(from_fn(branded::branded))
                .wrap(from_fn(compressed::compressed))
                .configure(routes),
        );
    }

    /// Returns how clients are found, also behind proxies.
    pub fn addresses(&self) -> &ClientAddresses {
        &self.state.addresses
    }

    /// Returns the background work.
    pub fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// Sets how revocations reach the download service of the same settings, which runs in this process.
    /// Other download services receive them over HTTP.
    pub fn set_revocation_sink(&self, to: Arc<dyn RevocationSink>) {
        let nodes = &self.state.services.nodes;
        nodes.own_is_here();
        if !nodes.services().iter().any(|node| nodes.runs_here(node)) {
            let address = nodes.own_audience();
            tracing::warn!(
                address,
                "no `[[node]]` has the public address of the download service here: it gets no tokens"
            );
        }
        self.state.services.issued.revocations.set_own_sink(to);
    }

    /// Sets how the download service in this process is asked whether it is ready.
    pub fn set_readiness_probe(&self, node: Arc<dyn ReadinessProbe>) {
        self.state.nodes.readiness().set_in_process(node);
    }

    /// Returns the sink for receipts from a download service in the same process.
    pub fn receipts(&self) -> Arc<dyn ReceiptSink> {
        Arc::new(self.state.deliveries.clone())
    }

    /// Returns where a download service in the same process gets manifests of archives.
    pub fn manifests(&self) -> Arc<dyn ManifestProvider> {
        Arc::new(self.state.archives.clone())
    }

    /// Returns the preparation of archives.
    pub fn archives(&self) -> &ArchiveMaker {
        &self.state.archives
    }

    /// Calculates the checksums of queued files until the future is dropped.
    pub async fn prepare_archives(&self) {
        let services = &self.state.services;
        self.state.archives.run(|| services.clock.now()).await;
    }

    /// Delivers revocations until the future is dropped.
    pub async fn revoke_tokens(&self) {
        let services = &self.state.services;
        if let Err(error) = services.issued.revocations.set_http_sinks(&services.issuer) {
            let cause = chain(&error);
            tracing::error!(cause, "cannot send revocations to the download services");
        }
        services.issued.revocations.run(|| services.clock.now()).await;
    }

    /// Sends mails until [`WebApp::finish_mails`] is called.
    pub async fn send_mails(&self) {
        self.sender.run().await;
    }

    /// Stops sending mails: running attempts are finished, or their mails given back to the queue.
    pub async fn finish_mails(&self) {
        self.sender.finish().await;
    }

    /// Sends messages to webhooks until the future is dropped.
    pub async fn send_webhooks(&self) {
        match self.webhook_sender() {
            Ok(sender) => sender.run().await,
            Err(error) => {
                tracing::warn!(cause = chain(&error), "messages to webhooks wait for the next start");
                std::future::pending().await
            }
        }
    }

    /// Sends all messages to webhooks that are due now, once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn send_due_webhooks(&self) -> Result<(), QueryError> {
        if let Ok(sender) = self.webhook_sender() {
            while sender.round().await? > 0 {}
        }
        Ok(())
    }

    fn webhook_sender(&self) -> Result<WebhookSender, HttpError> {
        let AppState { services, metrics, .. } = &**self.state;
        let counted = metrics.clone();
        let count = Arc::new(move |accepted| counted.count_webhook_attempt(accepted));
        WebhookSender::new(services.webhooks.clone(), services.clock.clone(), count)
    }

    /// Tries to send all mails that are due now, once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn send_due_mails(&self) -> Result<(), QueryError> {
        while self.sender.round().await? > 0 {}
        Ok(())
    }

    /// Closes the database after running requests have finished. Does not wait long for a database that
    /// doesn't respond.
    pub async fn close(&self) {
        if tokio::time::timeout(CLOSE_PATIENCE, self.state.carried.finish()).await.is_err() {
            tracing::warn!(
                "requests were interrupted by the shutdown; the next start settles what they began"
            );
        }
        if tokio::time::timeout(CLOSE_PATIENCE, Box::pin(self.close_database())).await.is_err() {
            tracing::warn!("the account database does not respond; closing without it");
        }
    }

    async fn close_database(&self) {
        Box::pin(self.upkeep.flush_views()).await;
        Box::pin(self.upkeep.flush_key_uses()).await;
        if let Err(error) = self.state.restore_detector.advance().await {
            let cause = chain(&error);
            tracing::warn!(cause, "cannot read the standing of the account database");
        }
        self.state.services.db.close().await;
    }
}

fn sender(settings: &Settings, state: &AppState) -> Result<MailSender, WebOpenError> {
    let AppState { services, deliveries: receipts, shares, rights, brand, .. } = state;
    let public_url = settings.web.public_url.clone();
    let listings = LinkListings::new(shares.clone(), rights.clone());
    let correspondent = MailComposer {
        accounts: services.accounts.clone(),
        actions: services.actions.clone(),
        self_service: services.self_service.clone(),
        deliveries: receipts.clone(),
        links: services.links.clone(),
        requests: services.requests.clone(),
        listings,
        notices: services.notices.clone(),
        webhooks: services.webhooks.clone(),
        public_url,
    };
    let way = WebApp::way_of_mail(settings, brand.clone())?;
    Ok(MailSender::new(services.queue.clone(), Arc::new(correspondent), way, services.clock.clone()))
}

impl WebApp {
    fn way_of_mail(settings: &Settings, brand: Arc<Brand>) -> Result<MailWay, WebOpenError> {
        let origin = csrf::origin_of(&settings.web.public_url);
        let host = origin.split("://").last().unwrap_or_default().to_owned();
        let composer = MessageComposer::new(&settings.mail, host, brand).map_err(WebOpenError::Sender)?;
        Ok(MailWay::new(composer, MailTransport::open(settings)?, settings.mail.per_second))
    }
}
