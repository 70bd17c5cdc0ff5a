//! Opens what the download service needs, and serves it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, web as routes};
use async_trait::async_trait;

use crate::archive::ManifestProvider;
use crate::brand::Brand;
use crate::client_address::ClientAddresses;
use crate::clock::{Clock, Timestamp};
use crate::config::{Settings, StoreKind};
use crate::download::archives::{Archives, HttpManifestProvider};
use crate::download::key_source::KeySource;
use crate::download::receipts::{self, HttpReceiptSink, HttpReceiptSinkError, Receipts};
use crate::download::remembered::Remembered;
use crate::download::{DownloadRules, DownloadState};
use crate::files::Shares;
use crate::id::Jti;
use crate::server::access_log::AccessLog;
use crate::server::bound_listener::BoundListener;
use crate::server::data_dir::{DataDirError, make_private};
use crate::server::error::ServeError;
use crate::server::listen::ListenerLimits;
use crate::server::running::RunningServices;
use crate::server::stop_responder::StopResponder;
use crate::server::{host, listen};
use crate::telemetry::chain;
use crate::token::{HmacSecret, TokenRules};
use crate::used_tokens::UsedTokens;
use crate::used_tokens::redis::RedisUsedTokens;
use crate::used_tokens::sled::SledUsedTokens;
use crate::used_tokens::sql::SqlUsedTokens;
use crate::web;
use crate::web::nodes::readiness::ReadinessProbe;
use crate::web::nodes::revoke::{RevocationSink, RevokeError};

/// How long a separate download service waits for the web app at start.
const GREETING: Duration = Duration::from_secs(1);

impl RunningServices {
    pub(super) async fn serve_download(
        &mut self,
        listeners: Vec<BoundListener>,
        web_app: Option<&web::WebApp>,
        clock: &Clock,
        shares: Shares,
        store: Option<Arc<dyn UsedTokens>>,
        began: Timestamp,
    ) -> Result<(), ServeError> {
        self.download = listeners.iter().find_map(BoundListener::address);
        let own_dir = self.settings.download_dir();
        make_private(&own_dir).map_err(|source| DataDirError::Io { path: own_dir.clone(), source })?;
        let configured = &self.settings.token.shared_secrets;
        let read = configured.iter().map(|secret| HmacSecret::read(&secret.kid, &secret.file));
        let secrets = read.collect::<Result<Vec<_>, _>>()?;
        let keys = match web_app {
            Some(app) => KeySource::in_process(Box::new(app.jwks()), secrets)?,
            None => KeySource::new(&self.settings.download.keys, Some(own_dir.join("jwks.json")), secrets)?,
        };
        if let Err(e) = keys.load(clock.now()).await {
            // Not fatal: the web app may start later and is queried again.
            tracing::warn!(cause = chain(&e), "no public keys yet; every token is refused until there are");
        }
        let store = match store {
            Some(store) => store,
            None => {
                // Tokens can't be older than the first key, unless other programs sign, too.
                let first_signer = |app: &&web::WebApp| app.signing_keys_made_now() && configured.is_empty();
                let nothing_before = web_app.filter(first_signer).map(|_| began);
                open_store(&self.settings, clock.clone(), nothing_before).await?
            }
        };
        self.stores.push(store.clone());
        let shared = self.settings.download.used_tokens.is_shared();
        let leeway = self.settings.token.leeway;
        let remembered = Remembered::open(&own_dir, store.clone(), shared, clock.clone(), leeway).await;
        let remembered = Arc::new(remembered.map_err(ServeError::SharedStore)?);
        let receipts = self.open_receipts(store.as_ref(), clock.clone(), web_app).await?;
        receipts.set_remembered(remembered.clone());
        receipts.report_at_start(if web_app.is_some() { Duration::from_secs(30) } else { GREETING }).await;
        wait_for_fence(store.as_ref(), clock).await;
        self.remembered = Some(remembered.clone());
        self.spawned.task("remembering standings", move || {
            let remembered = remembered.clone();
            async move { remembered.watch().await }
        });
        let manifests: Arc<dyn ManifestProvider> = match web_app {
            Some(app) => app.manifests(),
            None => {
                let key = self.settings.node_key_file();
                let provider = HttpManifestProvider::new(&self.settings.download.receipts, &key);
                Arc::new(provider.map_err(HttpReceiptSinkError::from)?)
            }
        };
        let content = (shares, Archives::new(own_dir.join("manifests"), Some(manifests)));
        let state =
            DownloadState::new(rules(&self.settings), clock.clone(), keys, content, store, receipts.clone())?;
        let brand = Brand::open(&self.settings.brand)?;
        let state = Arc::new(state.with_brand(brand).with_health(self.spawned.health().clone()));
        if let Some(app) = web_app {
            app.set_revocation_sink(Arc::new(InProcess(state.clone())));
            app.set_readiness_probe(Arc::new(InProcess(state.clone())));
        }
        let watched = receipts.clone();
        self.spawned.task("watching deliveries", move || {
            let receipts = watched.clone();
            async move { receipts.watch().await }
        });
        let reported = receipts.clone();
        self.spawned.task("reporting receipts", move || {
            let receipts = reported.clone();
            async move { receipts.run().await }
        });
        self.receipts = Some(receipts);
        let limits = ListenerLimits {
            connections: self.connections.clone(),
            max_connections: self.settings.download.max_connections,
            deadlines: self.settings.connection_limits,
            stop_timeout: self.settings.download.stop_timeout,
            access_log: AccessLog::new(
                "download",
                state.addresses.without_warning(),
                self.http_metrics.clone(),
            ),
        };
        let data = Data::from(state.clone());
        let responders = StopResponder::for_listeners(&listeners).map_err(ServeError::Server)?;
        let server = listen::serve(listeners, limits, move || {
            App::new()
                .wrap(from_fn(host::refuse_invalid))
                .app_data(data.clone())
                .default_service(routes::to(crate::download::handle))
        });
        self.spawned.server(server.map_err(ServeError::Server)?, responders);
        let maintained = state.clone();
        self.spawned.task("maintaining the download service", move || maintained.clone().maintain());
        self.download_state = Some(state);
        Ok(())
    }

    async fn open_receipts(
        &self,
        store: &dyn UsedTokens,
        clock: Clock,
        web_app: Option<&web::WebApp>,
    ) -> Result<Arc<Receipts>, ServeError> {
        let download = &self.settings.download;
        let rules = receipts::ReceiptSettings {
            node: download.public_url.clone(),
            shared: download.used_tokens.is_shared(),
            lease: download.lease,
            lease_max: download.lease_max,
            health: self.spawned.health().clone(),
        };
        let receipts = Receipts::open(&self.settings.download_dir(), store, clock, rules).await?;
        match web_app {
            Some(app) => receipts.set_sink(app.receipts()),
            None => {
                let key = self.settings.node_key_file();
                receipts.set_sink(Arc::new(HttpReceiptSink::new(&download.receipts, &key)?));
            }
        }
        Ok(Arc::new(receipts))
    }
}

/// Converts the settings to the rules of the download service.
fn rules(settings: &Settings) -> DownloadRules {
    let (download, token) = (&settings.download, &settings.token);
    DownloadRules {
        rules: TokenRules {
            issuer: settings.web.public_url.clone(),
            audience: download.public_url.clone(),
            leeway: token.leeway,
            max_lifetime: token.max_lifetime,
        },
        resume: download.resume,
        lease: download.lease,
        lease_max: download.lease_max,
        addresses: ClientAddresses::new(&download.trusted_proxies, download.proxy_header, "download"),
        resend_proxied: download.resend_proxied,
        invalid_per_minute: download.invalid_per_minute,
        batch_verification: download.batch_verification,
        node_key: settings.node_key_file(),
        web_url: settings.web.public_url.clone(),
    }
}

/// The download service in the same process, which gets revocations directly.
struct InProcess(Arc<DownloadState>);

#[async_trait]
impl RevocationSink for InProcess {
    async fn revoke(&self, jtis: &[Jti], _: Timestamp) -> Result<(), RevokeError> {
        self.0.revoke(jtis).await.map_err(|error| RevokeError::Store(error.into()))
    }
}

#[async_trait]
impl ReadinessProbe for InProcess {
    async fn is_ready(&self) -> bool {
        self.0.ready().await.is_ok()
    }
}

async fn open_store(
    settings: &Settings,
    clock: Clock,
    nothing_issued_before: Option<Timestamp>,
) -> Result<Arc<dyn UsedTokens>, ServeError> {
    let address = &settings.download.used_tokens;
    match address.kind() {
        StoreKind::Postgres => {
            let store = SqlUsedTokens::connect(address, &clock, nothing_issued_before).await;
            Ok(Arc::new(store.map_err(ServeError::SharedStore)?))
        }
        StoreKind::Redis => {
            let store = RedisUsedTokens::connect(address, &clock, nothing_issued_before).await;
            Ok(Arc::new(store.map_err(ServeError::SharedStore)?))
        }
        StoreKind::Embedded => {
            let dir = settings.used_tokens_dir();
            let open = move || SledUsedTokens::open(&dir, &clock, nothing_issued_before);
            let opened = tokio::task::spawn_blocking(open).await;
            let store = opened.map_err(|gone| ServeError::Server(io::Error::other(gone)))??;
            Ok(Arc::new(store))
        }
    }
}

/// A store with a fence refuses tokens issued in the second it was created, and nobody should get one of
/// those. Waits at most a second, and only if the store is new or was in doubt.
async fn wait_for_fence(store: &dyn UsedTokens, clock: &Clock) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..100 {
        if store.fence() <= clock.now() {
            return;
        }
        tick.tick().await;
    }
}
