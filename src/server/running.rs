//! Services that run, and how they stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Settings;
use crate::connection::Connections;
use crate::download::DownloadState;
use crate::download::receipts::Receipts;
use crate::download::remembered::Remembered;
use crate::files::ShareFolders;
use crate::server::data_dir::DataDir;
use crate::server::error::ServeError;
use crate::server::http_metrics::HttpMetrics;
use crate::server::task_set::TaskSet;
use crate::server::time;
use crate::used_tokens::UsedTokens;
use crate::web;

/// Running services.
pub struct RunningServices {
    /// The address of the web app's first listener that has one.
    pub web: Option<SocketAddr>,
    /// The same of the download service.
    pub download: Option<SocketAddr>,
    /// The same of the metrics.
    pub metrics: Option<SocketAddr>,
    /// The one-time link for creating the first administrator, or `None` if there is one already. It is a secret.
    pub first_admin_link: Option<String>,
    /// The settings with free ports filled in.
    pub settings: Settings,
    /// The folders of the shares, of both services.
    pub(super) folders: ShareFolders,
    pub(super) spawned: TaskSet,
    pub(super) web_app: Option<web::WebApp>,
    pub(super) download_state: Option<Arc<DownloadState>>,
    pub(super) receipts: Option<Arc<Receipts>>,
    pub(super) remembered: Option<Arc<Remembered>>,
    pub(super) stores: Vec<Arc<dyn UsedTokens>>,
    pub(super) connections: Connections,
    pub(super) http_metrics: HttpMetrics,
    pub(super) data_dir: Arc<DataDir>,
    pub(super) clock: Clock,
}

impl RunningServices {
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

    /// Like [`RunningServices::stop`], but waits for running transfers only until `at_once` is ready.
    pub(super) async fn stop_unless(self, at_once: impl Future<Output = ()>) {
        self.spawned.health().begin_stop();
        tokio::select! {
            () = Box::pin(self.end(at_once)) => {}
            () = self.spawned.answer_while_stopping() => {}
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
