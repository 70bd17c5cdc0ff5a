//! Wires the services: opens what they need, binds the listeners, and serves until stopped. Besides the
//! command line, this is the only module that knows both services.

mod announce;
mod arrival;
pub mod data_dir;
mod deadlines;
mod door;
mod host;
mod lengthless;
mod listen;
mod refusal;
mod requests;
mod signals;
mod spawned;
mod time;
mod transport;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_server::Server;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, web as routes};
use async_trait::async_trait;

use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::connection::Connections;
use crate::download::DownloadState;
use crate::download::key_source::{KeySource, KeySourceError};
use crate::download::receipts::{self, OverHttp, OverHttpError, Receipts};
use crate::download::remembered::Remembered;
use crate::files::{ShareError, Shares};
use crate::id::Jti;
use crate::secret::RandomError;
use crate::server::announce::announce;
use crate::server::data_dir::{DataDir, DataDirError, make_private};
use crate::server::door::Door;
use crate::server::listen::Limits;
use crate::server::signals::Signals;
use crate::server::spawned::Spawned;
use crate::telemetry::chain;
use crate::token::{SecretFileError, SharedSecret};
use crate::used_tokens::sled::{OpenError as StoreOpenError, SledUsedTokens};
use crate::used_tokens::sql::SqlUsedTokens;
use crate::used_tokens::{StoreError, UsedTokens};
use crate::web;
use crate::web::nodes::ready::NodeReady;
use crate::web::nodes::revoke::{RevokeError, RevokeTokens};

/// How long a separate download service waits for the web app at start.
const GREETING: Duration = Duration::from_secs(1);

/// Additional time for a stop, beyond `download.stop_timeout`.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How often to check whether another process has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Which services this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Both, in one process.
    Both,
    /// The web app.
    Web,
    /// The download service.
    Download,
}

impl Role {
    const fn has_web(self) -> bool {
        matches!(self, Role::Both | Role::Web)
    }

    const fn has_download(self) -> bool {
        matches!(self, Role::Both | Role::Download)
    }
}

/// The services can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener's address is in use, or isn't ours.
    #[error("cannot listen on {address} (`{key}`); is it in use by another process?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting.
        key: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The data directory can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A share can't be opened.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The web app can't be opened.
    #[error(transparent)]
    Web(#[from] web::services::OpenError),
    /// The first administrator's link can't be created.
    #[error(transparent)]
    FirstAdministrator(#[from] web::FirstAdminError),
    /// The used-token store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The shared used-token store doesn't answer.
    #[error("cannot use the shared used-token store (`download.used_tokens`); is its server running?")]
    SharedStore(#[source] StoreError),
    /// The public keys can't be loaded.
    #[error(transparent)]
    Keys(#[from] KeySourceError),
    /// The receipts can't be stored.
    #[error(transparent)]
    Receipts(#[from] receipts::OpenError),
    /// The times of the receipts can't be reset.
    #[error("cannot reset the times of undelivered receipts")]
    ReceiptsTime(#[source] receipts::OutboxError),
    /// The client for sending receipts can't be created.
    #[error(transparent)]
    Telling(#[from] OverHttpError),
    /// A shared secret can't be loaded.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The system provides no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The signal handlers can't be installed.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// A server ended unexpectedly.
    #[error("a listener failed")]
    Server(#[source] io::Error),
}

impl ServeError {
    /// Returns whether another process has what this one needs.
    fn is_in_use(&self) -> bool {
        match self {
            ServeError::Listen { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            ServeError::Store(error) => matches!(error, StoreOpenError::InUse { .. }),
            _ => false,
        }
    }
}

/// Serves until SIGINT or SIGTERM, or until a listener fails. A second signal stops waiting for running
/// transfers. When the services answer, `warnings` are computed and logged.
///
/// # Errors
/// If a service can't start, or ends unexpectedly.
pub async fn run(
    settings: Settings,
    role: Role,
    warnings: impl Future<Output = Vec<String>> + Send + 'static,
) -> Result<(), ServeError> {
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    make_default_shares(&settings);
    let mut running = tokio::select! {
        started = Box::pin(start_after_another(settings, role)) => started?,
        () = signals.stop() => return Ok(()),
    };
    announce(&running);
    let telling = tokio::spawn(async move {
        for line in warnings.await {
            tracing::warn!("{line}");
        }
    });
    let failed = tokio::select! {
        () = signals.stop() => Ok(()),
        failed = running.spawned.failed() => failed.map_err(ServeError::Server),
    };
    telling.abort();
    tracing::info!("stopping; running transfers may finish");
    Box::pin(running.stop_unless(signals.stop())).await;
    failed
}

/// Starts, and waits for another process on the same data directory that is stopping: it may have transfers
/// to finish for up to `download.stop_timeout`.
async fn start_after_another(settings: Settings, role: Role) -> Result<Running, ServeError> {
    let until = Instant::now() + settings.download.stop_timeout + STOP_PATIENCE;
    let mut waiting = false;
    loop {
        let error = match Box::pin(start(settings.clone(), role, Clock::wall())).await {
            Err(error) if error.is_in_use() && Instant::now() < until => error,
            ended => return ended,
        };
        if !waiting {
            // Another program won't release its address for us.
            if !DataDir::is_held(&settings.data_dir) {
                return Err(error);
            }
            tracing::warn!(cause = chain(&error), "waiting for another process to end");
            waiting = true;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Creates the folders of the default shares, so that the binary alone is sufficient. Other shares' folders
/// aren't created, because a missing one may be a disk that isn't mounted.
fn make_default_shares(settings: &Settings) {
    if settings.shares != Settings::default().shares {
        return;
    }
    for share in settings.shares.iter().filter(|share| !share.path.exists()) {
        match std::fs::create_dir_all(&share.path) {
            Ok(()) => {
                tracing::info!(path = %share.path.display(), "created the folder of the share `{}`", share.name)
            }
            Err(cause) => {
                tracing::warn!(path = %share.path.display(), %cause, "cannot create the folder of the share `{}`", share.name);
            }
        }
    }
}

/// Running services.
pub struct Running {
    /// The address of the web app's listener.
    pub web: Option<SocketAddr>,
    /// The address of the download service's listener.
    pub download: Option<SocketAddr>,
    /// The one-time link for creating the first administrator, if there is none yet. A secret.
    pub first_admin_link: Option<String>,
    /// The settings with free ports filled in.
    pub settings: Settings,
    spawned: Spawned,
    web_app: Option<web::App>,
    download_state: Option<Arc<DownloadState>>,
    receipts: Option<Arc<Receipts>>,
    remembered: Option<Arc<Remembered>>,
    stores: Vec<Arc<dyn UsedTokens>>,
    connections: Connections,
    data_dir: Arc<DataDir>,
    clock: Clock,
}

/// Opens everything, binds the listeners and starts serving. Returns when both services answer.
///
/// # Errors
/// If something can't be opened or bound; nothing keeps running then.
pub async fn start(settings: Settings, role: Role, clock: Clock) -> Result<Running, ServeError> {
    // The settings make it a large future.
    Box::pin(start_with(settings, role, clock, None)).await
}

/// [`start`] with an already open used-token store.
///
/// # Errors
/// If something can't be opened or bound; nothing keeps running then.
pub async fn start_with(
    mut settings: Settings,
    role: Role,
    clock: Clock,
    store: Option<Arc<dyn UsedTokens>>,
) -> Result<Running, ServeError> {
    // Bound first, so that a port in use is reported at once and early clients wait.
    let web_listener =
        bind_if(role.has_web(), settings.web.listen, "web.listen", &mut settings.web.public_url)?;
    let download_listener = bind_if(
        role.has_download(),
        settings.download.listen,
        "download.listen",
        &mut settings.download.public_url,
    )?;
    let data_dir = Arc::new(DataDir::hold(&settings.data_dir)?);
    let began = time::begin(&data_dir, &settings, &clock);
    let shares = Shares::open(&settings.shares)?;
    let mut running = Running {
        web: None,
        download: None,
        first_admin_link: None,
        spawned: Spawned::default(),
        web_app: None,
        download_state: None,
        receipts: None,
        remembered: None,
        stores: Vec::new(),
        connections: Connections::new(&settings),
        data_dir: data_dir.clone(),
        clock: clock.clone(),
        settings,
    };
    let opening = running.open(&clock, shares, store, began, web_listener, download_listener);
    // Boxed, like the stopping future, because futures of this size burden their callers.
    match Box::pin(opening).await {
        Ok(()) => {
            let leeway = running.settings.token.leeway;
            let watch = move || time::watch(data_dir.clone(), clock.clone(), leeway);
            running.spawned.task("watching the clock", watch);
            Ok(running)
        }
        Err(error) => {
            Box::pin(running.stop()).await;
            Err(error)
        }
    }
}

/// How long a stop waits for requests to the web app.
const WEB_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the web app on its listener, as in production.
///
/// # Errors
/// If the listener can't be used.
pub fn web_server(
    listener: TcpListener,
    app: &web::App,
    settings: &Settings,
    connections: &Connections,
) -> io::Result<Server> {
    let limits = Limits {
        connections: connections.clone(),
        max_connections: settings.web.max_connections,
        deadlines: settings.connection_limits,
        stop_timeout: WEB_STOP_TIMEOUT,
    };
    let app = app.clone();
    listen::serve(listener, limits, move || {
        let app = app.clone();
        App::new().wrap(from_fn(host::refuse_invalid)).configure(move |services| app.configure(services))
    })
}

impl Running {
    /// Opens and serves. After an error, the caller stops what is left.
    async fn open(
        &mut self,
        clock: &Clock,
        shares: Shares,
        store: Option<Arc<dyn UsedTokens>>,
        began: Timestamp,
        web_listener: Option<TcpListener>,
        download_listener: Option<TcpListener>,
    ) -> Result<(), ServeError> {
        // The web app comes last: tokens that it issues must not be older than the store's fence.
        if web_listener.is_some() {
            let app = web::App::open(&self.settings, clock.clone(), shares.clone()).await?;
            self.spawned.report_to(app.health().clone());
            self.web_app = Some(app);
        }
        let web_app = self.web_app.clone();
        if let Some(listener) = download_listener {
            self.serve_download(listener, web_app.as_ref(), clock, shares, store, began).await?;
        }
        if let (Some(listener), Some(app)) = (web_listener, web_app) {
            self.serve_web(listener, app).await?;
        }
        Ok(())
    }

    async fn serve_web(&mut self, listener: TcpListener, app: web::App) -> Result<(), ServeError> {
        self.web = listener.local_addr().ok();
        self.first_admin_link = app.first_admin_link().await?;
        let door = Door::of(&listener).map_err(ServeError::Server)?;
        let server = web_server(listener, &app, &self.settings, &self.connections);
        self.spawned.server(server.map_err(ServeError::Server)?, door);
        let looked_after = app.clone();
        self.spawned.task("keeping the web app", move || {
            let app = looked_after.clone();
            async move { app.upkeep().run().await }
        });
        let revoking = app.clone();
        self.spawned.task("revoking tokens", move || {
            let app = revoking.clone();
            async move { app.revoke_tokens().await }
        });
        self.spawned.task("sending mails", move || {
            let app = app.clone();
            async move { app.send_mails().await }
        });
        Ok(())
    }

    async fn serve_download(
        &mut self,
        listener: TcpListener,
        web_app: Option<&web::App>,
        clock: &Clock,
        shares: Shares,
        store: Option<Arc<dyn UsedTokens>>,
        began: Timestamp,
    ) -> Result<(), ServeError> {
        self.download = listener.local_addr().ok();
        let own_dir = self.settings.download_dir();
        make_private(&own_dir).map_err(|source| DataDirError::Io { path: own_dir.clone(), source })?;
        let configured = &self.settings.token.shared_secrets;
        let read = configured.iter().map(|secret| SharedSecret::read(&secret.kid, &secret.file));
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
                let first_signer = |app: &&web::App| app.signing_keys_made_now() && configured.is_empty();
                let nothing_before = web_app.filter(first_signer).map(|_| began);
                open_store(&self.settings, clock.clone(), nothing_before).await?
            }
        };
        self.stores.push(store.clone());
        let shared = self.settings.download.used_tokens.is_postgres();
        let leeway = self.settings.token.leeway;
        let remembered = Remembered::open(&own_dir, store.clone(), shared, clock.clone(), leeway).await;
        let remembered = Arc::new(remembered.map_err(ServeError::SharedStore)?);
        let receipts = self.open_receipts(store.as_ref(), clock.clone(), web_app).await?;
        receipts.remember_by(remembered.clone());
        receipts.greet(if web_app.is_some() { Duration::from_secs(30) } else { GREETING }).await;
        wait_for_fence(store.as_ref(), clock).await;
        self.remembered = Some(remembered.clone());
        self.spawned.task("remembering where stores stand", move || {
            let remembered = remembered.clone();
            async move { remembered.watch().await }
        });
        let state = DownloadState::new(&self.settings, clock.clone(), keys, shares, store, receipts.clone())?;
        let state = Arc::new(state.reporting(self.spawned.health().clone()));
        if let Some(app) = web_app {
            app.revoke_by(Arc::new(InProcess(state.clone())));
            app.ready_by(Arc::new(InProcess(state.clone())));
        }
        let watched = receipts.clone();
        self.spawned.task("watching deliveries", move || {
            let receipts = watched.clone();
            async move { receipts.watch().await }
        });
        let told = receipts.clone();
        self.spawned.task("telling receipts", move || {
            let receipts = told.clone();
            async move { receipts.tell_for_ever().await }
        });
        self.receipts = Some(receipts);
        let limits = Limits {
            connections: self.connections.clone(),
            max_connections: self.settings.download.max_connections,
            deadlines: self.settings.connection_limits,
            stop_timeout: self.settings.download.stop_timeout,
        };
        let data = Data::from(state.clone());
        let door = Door::of(&listener).map_err(ServeError::Server)?;
        let server = listen::serve(listener, limits, move || {
            App::new()
                .wrap(from_fn(host::refuse_invalid))
                .app_data(data.clone())
                .default_service(routes::to(crate::download::handle))
        });
        self.spawned.server(server.map_err(ServeError::Server)?, door);
        let looked_after = state.clone();
        self.spawned.task("keeping the download service", move || looked_after.clone().look_after());
        self.download_state = Some(state);
        Ok(())
    }

    async fn open_receipts(
        &self,
        store: &dyn UsedTokens,
        clock: Clock,
        web_app: Option<&web::App>,
    ) -> Result<Arc<Receipts>, ServeError> {
        let download = &self.settings.download;
        let rules = receipts::Rules {
            node: download.public_url.clone(),
            shared: download.used_tokens.is_postgres(),
            lease: download.lease,
            lease_max: download.lease_max,
            health: self.spawned.health().clone(),
        };
        let receipts = Receipts::open(&self.settings.download_dir(), store, clock, rules).await?;
        match web_app {
            Some(app) => receipts.tell_by(app.receipts()),
            None => {
                let key = self.settings.node_key_file();
                receipts.tell_by(Arc::new(OverHttp::new(&download.receipts, &key)?));
            }
        }
        Ok(Arc::new(receipts))
    }

    /// Serves until `stop` is ready or a listener fails, then stops gracefully.
    ///
    /// # Errors
    /// If a listener failed.
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let failed = tokio::select! {
            () = stop => Ok(()),
            failed = self.spawned.failed() => failed.map_err(ServeError::Server),
        };
        Box::pin(self.stop()).await;
        failed
    }

    /// Finishes running transfers (up to the time limit), refuses new ones, and closes the stores.
    pub async fn stop(self) {
        Box::pin(self.stop_unless(std::future::pending())).await;
    }

    /// Like [`Running::stop`], but waits for running transfers only until `at_once` is ready.
    async fn stop_unless(self, at_once: impl Future<Output = ()>) {
        self.spawned.health().begin_stop();
        tokio::select! {
            () = Box::pin(self.end(at_once)) => {}
            () = self.spawned.attend_to_doors() => {}
        }
    }

    async fn end(&self, at_once: impl Future<Output = ()>) {
        let mails = async {
            if let Some(app) = &self.web_app {
                Box::pin(app.finish_mails()).await;
            }
        };
        tokio::select! {
            _ = futures_util::future::join(self.spawned.stop_servers(), mails) => {}
            () = at_once => tracing::warn!("stopping at once; running transfers are cut off"),
        }
        self.spawned.stop_tasks();
        if let Some(remembered) = &self.remembered {
            remembered.finish().await;
        }
        if let Some(receipts) = &self.receipts {
            receipts.finish().await;
        }
        for store in &self.stores {
            store.close().await;
        }
        if let Some(app) = &self.web_app {
            app.close().await;
        }
        time::keep(&self.data_dir, &self.clock);
    }
}

/// The download service in the same process, which gets revocations directly.
struct InProcess(Arc<DownloadState>);

#[async_trait]
impl RevokeTokens for InProcess {
    async fn revoke(&self, jtis: &[Jti], _: Timestamp) -> Result<(), RevokeError> {
        self.0.revoke(jtis).await.map_err(|error| RevokeError::Store(error.into()))
    }
}

#[async_trait]
impl NodeReady for InProcess {
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
    if address.is_postgres() {
        let store = SqlUsedTokens::connect(address, &clock, nothing_issued_before).await;
        return Ok(Arc::new(store.map_err(ServeError::SharedStore)?));
    }
    let dir = settings.used_tokens_dir();
    let opened =
        tokio::task::spawn_blocking(move || SledUsedTokens::open(&dir, &clock, nothing_issued_before)).await;
    let store = opened.map_err(|gone| ServeError::Server(io::Error::other(gone)))??;
    Ok(Arc::new(store))
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

fn bind_if(
    wanted: bool,
    address: SocketAddr,
    key: &'static str,
    public_url: &mut String,
) -> Result<Option<TcpListener>, ServeError> {
    if !wanted {
        return Ok(None);
    }
    let fail = |source| ServeError::Listen { address, key, source };
    let listener = listen::bind(address).map_err(fail)?;
    // Port 0 picks a free port; the public address follows.
    if let Some(host) = public_url.strip_suffix(":0") {
        *public_url = format!("{host}:{}", listener.local_addr().map_err(fail)?.port());
    }
    Ok(Some(listener))
}
