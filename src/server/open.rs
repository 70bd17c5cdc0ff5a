//! Opens what the services need, binds the listeners, and starts serving.

use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::config::{Listen, ListenAddress, Settings, ShareSettings};
use crate::connection::Connections;
use crate::files::{ShareFolders, Shares};
use crate::server::bound_listener::BoundListener;
use crate::server::data_dir::DataDir;
use crate::server::error::ServeError;
use crate::server::http_metrics::HttpMetrics;
use crate::server::role::Role;
use crate::server::running::RunningServices;
use crate::server::task_set::TaskSet;
use crate::server::{inherited, time};
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
    let web = role.has_web().then(|| bind(&WEB, &settings.web.listen, &settings.socket_names)).transpose()?;
    let download = role
        .has_download()
        .then(|| bind(&DOWNLOAD, &settings.download.listen, &settings.socket_names))
        .transpose()?;
    let metrics = settings.metrics.listen.as_ref();
    let metrics = metrics.map(|listen| bind(&METRICS, listen, &settings.socket_names)).transpose()?;
    fill_in_port(&mut settings.web.public_url, web.as_deref());
    fill_in_port(&mut settings.download.public_url, download.as_deref());
    let mut data_dir = DataDir::hold(&settings.data_dir)?;
    for (place, listeners) in [(&WEB, &web), (&DOWNLOAD, &download)] {
        if listeners.iter().flatten().any(|listener| listener.is_inherited) {
            data_dir.run_alone(place.socket)?;
        }
    }
    let data_dir = Arc::new(data_dir);
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
    let listeners = Listeners { web, download, metrics };
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
    web: Option<Vec<BoundListener>>,
    download: Option<Vec<BoundListener>>,
    metrics: Option<Vec<BoundListener>>,
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
        if let Some(download) = listeners.download {
            self.serve_download(download, web_app.as_ref(), clock, Shares::new(folders), store, began)
                .await?;
        }
        if let (Some(web), Some(app)) = (listeners.web, web_app) {
            self.serve_web(web, app).await?;
        }
        if let Some(metrics) = listeners.metrics {
            self.serve_metrics(metrics)?;
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

/// Where a service is configured to listen.
struct Place {
    /// The setting.
    key: &'static str,
    /// The name of its sockets from systemd.
    socket: &'static str,
}

const WEB: Place = Place { key: "web.listen", socket: "web" };
const DOWNLOAD: Place = Place { key: "download.listen", socket: "download" };
const METRICS: Place = Place { key: "metrics.listen", socket: "metrics" };

fn bind(place: &Place, listen: &Listen, socket_names: &[String]) -> Result<Vec<BoundListener>, ServeError> {
    let Place { key, socket } = *place;
    let mut listeners = Vec::new();
    for address in listen.addresses() {
        let fail = |source| ServeError::Listen { address: address.to_string(), key, source };
        match address {
            ListenAddress::Tcp(address) => listeners.push(BoundListener::tcp(*address).map_err(fail)?),
            ListenAddress::Unix { path, mode } => {
                listeners.push(BoundListener::unix(path, *mode).map_err(fail)?);
            }
            ListenAddress::Systemd => {
                let passed = inherited::sockets(socket, socket_names).map_err(fail)?;
                if passed.is_empty() {
                    return Err(ServeError::NotPassed { key, name: socket });
                }
                listeners.extend(passed);
            }
        }
    }
    Ok(listeners)
}

/// Port 0 picks a free port; the public address follows.
fn fill_in_port(public_url: &mut String, listeners: Option<&[BoundListener]>) {
    let port = listeners.and_then(|listeners| listeners.iter().find_map(BoundListener::address));
    if let (Some(host), Some(address)) = (public_url.strip_suffix(":0"), port) {
        *public_url = format!("{host}:{}", address.port());
    }
}
