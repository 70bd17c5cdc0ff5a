//! Wires the services: opens what they need, binds the listeners, serves until told to stop.
//! The only module beside the command line that knows both services.

mod arrival;
mod host;
mod listen;
mod transport;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_server::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, web as routes};
use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::download::DownloadState;
use crate::download::key_source::{KeySource, KeySourceError};
use crate::download::receipts::{self, OverHttp, OverHttpError, Receipts};
use crate::files::{ShareError, Shares};
use crate::id::Jti;
use crate::secret::RandomError;
use crate::server::listen::Limits;
use crate::telemetry::chain;
use crate::token::{SecretFileError, SharedSecret};
use crate::used_tokens::sled::{OpenError as StoreOpenError, SledUsedTokens};
use crate::used_tokens::sql::SqlUsedTokens;
use crate::used_tokens::{StoreError, UsedTokens};
use crate::web;
use crate::web::issued::{RevokeError, RevokeTokens};

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

/// Why the services can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener's address is taken or not ours.
    #[error("cannot listen on {address} (`{key}`); is it in use by another process?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting.
        key: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The data directory can't be made or written.
    #[error("cannot use the data directory {} (`data_dir`); make it writable for this user", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A share can't be opened.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The web app can't be opened.
    #[error(transparent)]
    Web(#[from] web::OpenError),
    /// The first administrator's link can't be made.
    #[error(transparent)]
    FirstAdministrator(#[from] web::FirstAdminError),
    /// The used-token store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The shared used-token store does not answer.
    #[error("cannot use the shared used-token store (`download.used_tokens`); does its server run?")]
    SharedStore(#[source] StoreError),
    /// The public keys can't be had.
    #[error(transparent)]
    Keys(#[from] KeySourceError),
    /// The receipts can't be kept.
    #[error(transparent)]
    Receipts(#[from] receipts::OpenError),
    /// The web app can't be told of receipts.
    #[error(transparent)]
    Telling(#[from] OverHttpError),
    /// A shared secret can't be had.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A server ended by itself.
    #[error("a listener failed")]
    Server(#[source] io::Error),
}

/// Serves until SIGINT or SIGTERM, or until a listener fails.
///
/// # Errors
/// When a service can't start or ends by itself.
pub async fn run(settings: Settings, role: Role) -> Result<(), ServeError> {
    let running = start(settings, role, Clock::wall()).await?;
    announce(&running);
    running.until(stop_signal()).await
}

/// Services under way.
pub struct Running {
    /// Where the web app listens.
    pub web: Option<SocketAddr>,
    /// Where the download service listens.
    pub download: Option<SocketAddr>,
    /// The one-time link that makes the first administrator, if there is none yet. A secret.
    pub first_admin_link: Option<String>,
    /// The settings with free ports filled in.
    pub settings: Settings,
    servers: Vec<JoinHandle<io::Result<()>>>,
    handles: Vec<ServerHandle>,
    tasks: Vec<JoinHandle<()>>,
    web_app: Option<web::App>,
    download_state: Option<Arc<DownloadState>>,
    receipts: Option<Arc<Receipts>>,
    stores: Vec<Arc<dyn UsedTokens>>,
}

/// Opens everything, binds and begins to serve; returns when both services answer.
///
/// # Errors
/// When something can't be opened or bound; nothing is left running then.
pub async fn start(settings: Settings, role: Role, clock: Clock) -> Result<Running, ServeError> {
    // The settings make it a large future.
    Box::pin(start_with(settings, role, clock, None)).await
}

/// [`start`] with a used-token store that is open already.
///
/// # Errors
/// When something can't be opened or bound; nothing is left running then.
pub async fn start_with(
    mut settings: Settings,
    role: Role,
    clock: Clock,
    store: Option<Arc<dyn UsedTokens>>,
) -> Result<Running, ServeError> {
    // Bound first: a port in use should be said at once, and clients that come early wait.
    let web_listener =
        bind_if(role.has_web(), settings.web.listen, "web.listen", &mut settings.web.public_url)?;
    let download_listener = bind_if(
        role.has_download(),
        settings.download.listen,
        "download.listen",
        &mut settings.download.public_url,
    )?;
    make_private_dir(&settings.data_dir)?;
    let began = clock.now();
    let shares = Shares::open(&settings.shares)?;
    let mut running = Running {
        web: None,
        download: None,
        first_admin_link: None,
        servers: Vec::new(),
        handles: Vec::new(),
        tasks: Vec::new(),
        web_app: None,
        download_state: None,
        receipts: None,
        stores: Vec::new(),
        settings,
    };
    // The web app last: a token that it issues must not be older than the store's fence.
    let web_app = match role.has_web() {
        true => Some(web::App::open(&running.settings, clock.clone(), shares.clone()).await?),
        false => None,
    };
    if let Some(listener) = download_listener {
        running.serve_download(listener, web_app.as_ref(), &clock, shares, store, began).await?;
    }
    if let (Some(listener), Some(app)) = (web_listener, web_app) {
        running.serve_web(listener, app).await?;
    }
    Ok(running)
}

impl Running {
    async fn serve_web(&mut self, listener: TcpListener, app: web::App) -> Result<(), ServeError> {
        self.web = listener.local_addr().ok();
        self.first_admin_link = app.first_admin_link().await?;
        let limits = Limits {
            max_connections: self.settings.web.max_connections,
            stop_timeout: Duration::from_secs(5),
        };
        let configured = app.clone();
        let server = listen::serve(listener, limits, move || {
            let app = configured.clone();
            App::new().wrap(from_fn(host::refuse_invalid)).configure(move |services| app.configure(services))
        });
        self.add(server.map_err(ServeError::Server)?);
        let looked_after = app.clone();
        self.tasks.push(actix_rt::spawn(async move { looked_after.tasks().await }));
        let revoking = app.clone();
        self.tasks.push(actix_rt::spawn(async move { revoking.revoke_tokens().await }));
        let sending = app.clone();
        self.tasks.push(actix_rt::spawn(async move { sending.send_mails().await }));
        self.web_app = Some(app);
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
        make_private_dir(&own_dir)?;
        let configured = &self.settings.token.shared_secrets;
        let read = configured.iter().map(|secret| SharedSecret::read(&secret.kid, &secret.file));
        let secrets = read.collect::<Result<Vec<_>, _>>()?;
        let keys = match web_app {
            Some(app) => KeySource::in_process(Box::new(app.jwks()), secrets)?,
            None => KeySource::new(&self.settings.download.keys, Some(own_dir.join("jwks.json")), secrets)?,
        };
        if let Err(e) = keys.load(clock.now()).await {
            // Not fatal: the web app may start later, and is asked again.
            tracing::warn!(cause = chain(&e), "no public keys yet: every token is refused until there are");
        }
        let store = match store {
            Some(store) => store,
            None => {
                // Tokens can't be older than the first key that could sign them, unless others sign too.
                let first_signer = |app: &&web::App| app.signing_keys_made_now() && configured.is_empty();
                let nothing_before = web_app.filter(first_signer).map(|_| began);
                open_store(&self.settings, clock.clone(), nothing_before).await?
            }
        };
        wait_for_fence(store.as_ref(), clock).await;
        self.stores.push(store.clone());
        let receipts = self.open_receipts(store.as_ref(), clock.clone(), web_app).await?;
        let state = DownloadState::new(&self.settings, clock.clone(), keys, shares, store, receipts.clone())?;
        let state = Arc::new(state);
        if let Some(app) = web_app {
            app.revoke_by(Arc::new(InProcess(state.clone())));
        }
        let watched = receipts.clone();
        self.tasks.push(tokio::spawn(async move { watched.watch().await }));
        let told = receipts.clone();
        self.tasks.push(tokio::spawn(async move { told.tell_for_ever().await }));
        self.receipts = Some(receipts);
        let limits = Limits {
            max_connections: self.settings.download.max_connections,
            stop_timeout: self.settings.download.stop_timeout,
        };
        let data = Data::from(state.clone());
        let server = listen::serve(listener, limits, move || {
            App::new()
                .wrap(from_fn(host::refuse_invalid))
                .app_data(data.clone())
                .default_service(routes::to(crate::download::handle))
        });
        self.add(server.map_err(ServeError::Server)?);
        self.tasks.push(tokio::spawn(state.clone().look_after()));
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

    fn add(&mut self, server: Server) {
        self.handles.push(server.handle());
        self.servers.push(tokio::spawn(server));
    }

    /// Serves until `stop` is ready or a listener fails; then stops gracefully.
    ///
    /// # Errors
    /// When a listener failed.
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let servers = std::mem::take(&mut self.servers);
        let failed = futures_util::future::select_all(servers);
        tokio::select! {
            () = stop => {
                self.stop().await;
                Ok(())
            }
            (ended, _, _) = failed => {
                self.stop().await;
                let ended = ended.map_err(|gone| ServeError::Server(io::Error::other(gone)))?;
                ended.map_err(ServeError::Server)
            }
        }
    }

    /// Finishes the transfers under way (up to the limit), refuses new ones, closes the stores.
    pub async fn stop(self) {
        if let Some(state) = &self.download_state {
            state.begin_stop();
        }
        let listeners = futures_util::future::join_all(self.handles.iter().map(|handle| handle.stop(true)));
        let mails = async {
            if let Some(app) = &self.web_app {
                Box::pin(app.finish_mails()).await;
            }
        };
        tokio::join!(listeners, mails);
        for task in &self.tasks {
            task.abort();
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
    }
}

/// The download service in the same process, told of revocations directly.
struct InProcess(Arc<DownloadState>);

#[async_trait]
impl RevokeTokens for InProcess {
    async fn revoke(&self, jtis: &[Jti], _: Timestamp) -> Result<(), RevokeError> {
        self.0.revoke(jtis).await.map_err(|error| RevokeError::Store(error.into()))
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

/// A store that can't speak for the past refuses tokens of the very second it was made in; nobody
/// should be given one of those. At most a second, and only when the store is new or was doubted.
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
    // Port 0 takes a free one; the public address follows.
    if let Some(host) = public_url.strip_suffix(":0") {
        *public_url = format!("{host}:{}", listener.local_addr().map_err(fail)?.port());
    }
    Ok(Some(listener))
}

fn make_private_dir(path: &Path) -> Result<(), ServeError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| ServeError::DataDir { path: path.to_owned(), source })
}

/// Tells the terminal where to go. Written past the log: the first administrator's link is a secret.
fn announce(running: &Running) {
    use std::io::Write;
    let mut text = String::new();
    if running.web.is_some() {
        text += &format!("Web app:           {}\n", running.settings.web.public_url);
    }
    if running.download.is_some() {
        text += &format!("Download service:  {}\n", running.settings.download.public_url);
    }
    if let Some(link) = &running.first_admin_link {
        text += &format!(
            "\nThere is no administrator yet. Make the first one with this link; it works once:\n{link}\n"
        );
    }
    // A terminal that is gone is no reason not to serve.
    let _written = io::stdout().lock().write_all(text.as_bytes());
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without a handler the signal's default ends the process, and the stores are made for that.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping: transfers under way may finish");
}
