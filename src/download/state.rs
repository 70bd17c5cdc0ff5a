//! The state of the download service: public keys, shares, the used-token store and the ledger.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::brand::Brand;
use crate::client_address::{ClientAddresses, neighbourhood};
use crate::clock::{Clock, Timestamp};
use crate::config::{Network, ProxyHeader, Resume};
use crate::download::archives::Archives;
use crate::download::buffer_budget::BufferBudget;
use crate::download::key_source::KeySource;
use crate::download::ledger::Ledger;
use crate::download::metrics::DownloadMetrics;
use crate::download::problem::DownloadRefusal;
use crate::download::receipts::Receipts;
use crate::download::view::edge::ViewEdge;
use crate::download::view::registry::Views;
use crate::files::Shares;
use crate::health::Health;
use crate::id::Jti;
use crate::secret::{RandomError, random_bytes};
use crate::token::TokenRules;
use crate::used_tokens::{StoreError, UsedTokens};

/// The rules by which a download service works.
pub struct DownloadRules {
    /// What tokens must claim.
    pub rules: TokenRules,
    /// Who may resume.
    pub resume: Resume,
    /// How long after the last byte a client may resume.
    pub lease: Duration,
    /// How long after the redemption a client may resume at most.
    pub lease_max: Duration,
    /// How the addresses of clients are found.
    pub addresses: ClientAddresses,
    /// How many bytes may be sent again without the resume key behind a trusted proxy.
    pub resend_proxied: u64,
    /// How many invalid tokens an address may send in a minute; 0 for any number.
    pub invalid_per_minute: u32,
    /// Whether EdDSA signatures are verified in batches.
    pub batch_verification: bool,
    /// The file with the node key.
    pub node_key: PathBuf,
    /// The web app's address, where people get a new link.
    pub web_url: String,
}

/// The state of one download service, shared by its workers.
pub struct DownloadState {
    pub(crate) keys: KeySource,
    pub(crate) rules: TokenRules,
    /// Whether EdDSA signatures are verified in batches.
    pub(crate) batch_verification: bool,
    pub(crate) shares: Shares,
    /// The manifests of archives.
    pub(crate) archives: Archives,
    pub(crate) store: Arc<dyn UsedTokens>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) receipts: Arc<Receipts>,
    /// The views that are or were recently sent.
    pub(crate) views: Views,
    /// Who may show views in their pages.
    pub(crate) view_edge: ViewEdge,
    pub(crate) clock: Clock,
    pub(crate) resume: Resume,
    pub(crate) lease: Duration,
    pub(crate) lease_max: Duration,
    pub(crate) max_lifetime: Duration,
    pub(crate) addresses: ClientAddresses,
    /// The memory budget for file data that is being sent.
    pub(crate) portions: BufferBudget,
    /// How many bytes may be sent again without the resume key behind a trusted proxy.
    pub(crate) resend_proxied: u64,
    /// The file with the node key.
    pub(crate) node_key: PathBuf,
    /// The web app's address, where people get a new link; shown on refusal pages.
    pub(crate) web_url: String,
    pub(super) invalid: Option<DefaultKeyedRateLimiter<IpAddr>>,
    /// The operator's name, logo, color and support address.
    pub(crate) brand: Arc<Brand>,
    pub(crate) metrics: DownloadMetrics,
    health: Health,
    request_prefix: u32,
    requests: AtomicU64,
}

impl DownloadState {
    /// Creates the service.
    ///
    /// # Errors
    /// If the system provides no random bytes.
    pub fn new(
        settings: DownloadRules,
        clock: Clock,
        keys: KeySource,
        (shares, archives): (Shares, Archives),
        store: Arc<dyn UsedTokens>,
        receipts: Arc<Receipts>,
    ) -> Result<DownloadState, RandomError> {
        let invalid = NonZeroU32::new(settings.invalid_per_minute)
            .map(|count| RateLimiter::keyed(Quota::per_minute(count)));
        Ok(DownloadState {
            keys,
            batch_verification: settings.batch_verification,
            max_lifetime: settings.rules.max_lifetime,
            views: Views::default(),
            view_edge: ViewEdge::new(&settings.rules.issuer, &settings.rules.audience),
            rules: settings.rules,
            shares,
            archives,
            store,
            ledger: Arc::default(),
            receipts,
            clock,
            resume: settings.resume,
            lease: settings.lease,
            lease_max: settings.lease_max,
            addresses: settings.addresses,
            portions: BufferBudget::default(),
            resend_proxied: settings.resend_proxied,
            node_key: settings.node_key,
            web_url: settings.web_url,
            invalid,
            brand: Brand::built_in(),
            metrics: DownloadMetrics::default(),
            health: Health::default(),
            request_prefix: u32::from_be_bytes(random_bytes()?),
            requests: AtomicU64::new(0),
        })
    }

    /// Gets the public keys now, because the operator asked for it.
    pub(crate) async fn read_keys_again(&self) {
        self.keys.refresh(self.clock.now()).await;
    }

    /// Trusts these proxies from now on.
    pub(crate) fn set_proxies(&self, trusted: &[Network], header: ProxyHeader) {
        self.addresses.set_proxies(trusted, header);
    }

    /// Returns an id for a request that appears in both the log and the response.
    pub(crate) fn request_id(&self) -> String {
        format!("{:08x}-{:x}", self.request_prefix, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts an invalid token against its sender.
    ///
    /// # Errors
    /// [`DownloadRefusal::TooMany`] if there were too many from this address.
    pub(crate) fn count_invalid(&self, address: IpAddr) -> Result<(), DownloadRefusal> {
        let Some(limiter) = &self.invalid else { return Ok(()) };
        limiter.check_key(&neighbourhood(address)).map_err(|not_until| DownloadRefusal::TooMany {
            retry_after: not_until.wait_time_from(DefaultClock::default().now()),
        })
    }

    /// Returns whether the service can redeem tokens now: the store is writable, keys are loaded, the fence
    /// has passed, all background tasks run and the process isn't stopping.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        self.health.verdict()?;
        if !self.keys.is_ready() {
            return Err("no keys yet".to_owned());
        }
        if self.store.fence() > self.clock.now() {
            return Err("waiting for the fence to pass".to_owned());
        }
        self.store.ready().await.map_err(|_| "the used-token store cannot be written".to_owned())
    }

    /// Includes the health of the process in the readiness check.
    #[must_use]
    pub fn with_health(self, health: Health) -> DownloadState {
        DownloadState { health, ..self }
    }

    /// Shows this brand on the pages.
    #[must_use]
    pub fn with_brand(self, brand: Arc<Brand>) -> DownloadState {
        DownloadState { brand, ..self }
    }

    /// Records jtis as revoked, and stops their transfers.
    ///
    /// # Errors
    /// If the used-token store doesn't answer; some may be revoked then.
    pub async fn revoke(&self, jtis: &[Jti]) -> Result<(), StoreError> {
        let now = self.clock.now();
        for jti in jtis {
            self.store.revoke(*jti, now, self.revocation_end(now)).await?;
            self.ledger.revoke(*jti);
            self.views.revoke(*jti);
            self.receipts.revoked(*jti);
            tracing::info!(%jti, "revoked");
        }
        Ok(())
    }

    /// Stops the transfers of a jti that the store says is revoked.
    pub(crate) fn revoked_elsewhere(&self, jti: Jti) {
        self.ledger.revoke(jti);
        self.views.revoke(jti);
        self.receipts.revoked(jti);
        tracing::info!(%jti, "revoked elsewhere");
    }

    /// Returns how long to keep the revocation of a token that may be unknown here.
    fn revocation_end(&self, now: Timestamp) -> Timestamp {
        now.plus(self.max_lifetime.max(self.lease_max))
            .plus(self.rules.leeway * 2)
            .plus(Duration::from_secs(3600))
    }
}
