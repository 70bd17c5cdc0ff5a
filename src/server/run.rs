//! Serves until a signal ends it, and waits for another process on the same data directory.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::config::{Settings, SettingsTable};
use crate::server::announce::announce;
use crate::server::data_dir::DataDir;
use crate::server::error::ServeError;
use crate::server::open::start;
use crate::server::role::Role;
use crate::server::running::RunningServices;
use crate::server::signals::{Request, Signals};
use crate::telemetry::{LogLevel, chain};

/// Additional time for a stop, beyond `download.stop_timeout`.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How often to check whether another process has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Where the settings came from, to read them again at a SIGHUP.
pub struct SettingsSource {
    /// The settings file, if there is one.
    pub file: Option<PathBuf>,
    /// The values in force.
    pub table: SettingsTable,
    /// Changes which lines are logged.
    pub log: LogLevel,
}

/// Serves until SIGINT or SIGTERM, or until a listener fails. A SIGHUP reloads the settings. A second signal stops waiting for running
/// transfers. Once the services accept requests, `warnings` are computed and logged.
///
/// # Errors
/// If a service can't start, or ends unexpectedly.
pub async fn run(
    settings: Settings,
    role: Role,
    source: SettingsSource,
    warnings: impl Future<Output = Vec<String>> + Send + 'static,
) -> Result<(), ServeError> {
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    make_default_shares(&settings);
    let mut running = tokio::select! {
        started = Box::pin(start_after_another(settings, role)) => started?,
        () = signals.stop() => return Ok(()),
    };
    announce(&running);
    let logging = tokio::spawn(async move {
        for line in warnings.await {
            tracing::warn!("{line}");
        }
    });
    let SettingsSource { file, mut table, log } = source;
    if let Some(app) = &running.web_app {
        app.show_settings(table.clone());
    }
    let failed = loop {
        let request = tokio::select! {
            request = signals.next() => request,
            failed = running.spawned.failed() => break failed.map_err(ServeError::Server),
        };
        match request {
            Request::Stop => break Ok(()),
            Request::Reload => {
                let loaded = Settings::of_process_with_table(file.as_deref());
                Box::pin(running.reload(loaded, &mut table, &log)).await;
            }
        }
    };
    logging.abort();
    tracing::info!("stopping; running transfers may finish");
    Box::pin(running.stop_unless(signals.stop())).await;
    failed
}

/// Starts, and waits for another process on the same data directory that is stopping: it may have transfers
/// to finish for up to `download.stop_timeout`.
async fn start_after_another(settings: Settings, role: Role) -> Result<RunningServices, ServeError> {
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
