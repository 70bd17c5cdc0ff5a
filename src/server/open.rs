//! Opens what the services need, binds the listeners, and starts serving.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::config::{Settings, ShareSettings};
use crate::connection::Connections;
use crate::files::{ShareFolders, Shares};
use crate::server::data_dir::DataDir;
use crate::server::error::ServeError;
use crate::server::http_metrics::HttpMetrics;
use crate::server::role::Role;
use crate::server::running::RunningServices;
use crate::server::task_set::TaskSet;
use crate::server::{listen, time};
use crate::used_tokens::UsedTokens;
use crate::web;

/// Opens everything, binds the listeners and starts serving. Returns when the services accept requests.
///
/// # Errors
/// If something can't be opened or bound; nothing keeps running then.
pub async fn start(settings: Settings, role: Role, clock: Clock) -> Result<RunningServices, ServeError> {
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
) -> Result<RunningServices, ServeError> {
    // Bound first, so that a port in use is reported at once and early clients wait.
    let web_listener =
        bind_if(role.has_web(), settings.web.listen, "web.listen", &mut settings.web.public_url)?;
    let download_listener = bind_if(
        role.has_download(),
        settings.download.listen,
        "download.listen",
        &mut settings.download.public_url,
    )?;
    let metrics_listener = match settings.metrics.listen {
        Some(address) => bind_if(true, address, "metrics.listen", &mut String::new())?,
        None => None,
    };
    let data_dir = Arc::new(DataDir::hold(&settings.data_dir)?);
    let began = time::begin(&data_dir, &settings, &clock);
    create_default_folders(&settings.shares);
    let folders = ShareFolders::open(&settings.shares)?;
    let mut running = RunningServices {
        web: None,
        download: None,
        metrics: None,
        http_metrics: HttpMetrics::default(),
        first_admin_link: None,
        folders: folders.clone(),
        spawned: TaskSet::default(),
        web_app: None,
        download_state: None,
        receipts: None,
        remembered: None,
        stores: Vec::new(),
        connections: Connections::new(settings.web.body_memory, settings.connection_limits.settled),
        data_dir: data_dir.clone(),
        clock: clock.clone(),
        settings,
    };
    let listeners = Listeners { web: web_listener, download: download_listener, metrics: metrics_listener };
    let opening = running.open(&clock, folders, store, began, listeners);
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

/// The bound listeners.
struct Listeners {
    web: Option<TcpListener>,
    download: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl RunningServices {
    /// Opens and serves. After an error, the caller stops what is left.
    async fn open(
        &mut self,
        clock: &Clock,
        folders: ShareFolders,
        store: Option<Arc<dyn UsedTokens>>,
        began: Timestamp,
        listeners: Listeners,
    ) -> Result<(), ServeError> {
        // The web app is served last: tokens that it issues must not be older than the store's fence.
        if listeners.web.is_some() {
            let app = web::WebApp::open(&self.settings, clock.clone(), folders.clone()).await?;
            self.spawned.report_to(app.health().clone());
            self.web_app = Some(app);
        }
        let web_app = self.web_app.clone();
        if let Some(listener) = listeners.download {
            self.serve_download(listener, web_app.as_ref(), clock, Shares::new(folders), store, began)
                .await?;
        }
        if let (Some(listener), Some(app)) = (listeners.web, web_app) {
            self.serve_web(listener, app).await?;
        }
        if let Some(listener) = listeners.metrics {
            self.serve_metrics(listener)?;
        }
        Ok(())
    }
}

/// Creates the folders of the default shares, so that the program alone starts in an empty folder.
fn create_default_folders(shares: &[ShareSettings]) {
    for share in shares.iter().filter(|share| Settings::creates_folder_of(share) && !share.path.exists()) {
        match std::fs::create_dir_all(&share.path) {
            Ok(()) => {
                tracing::info!(share = share.name, path = %share.path.display(), "created the folder of a share");
            }
            // The share is unavailable then, which is logged, too.
            Err(error) => {
                tracing::warn!(share = share.name, path = %share.path.display(), "cannot create the folder: {error}");
            }
        }
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
