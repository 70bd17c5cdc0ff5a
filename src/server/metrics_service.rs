//! `GET /metrics` on a listener of its own (`metrics.listen`): the metrics of all services of this process, in
//! the text format of Prometheus.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{ALLOW, CONTENT_TYPE};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::web::{self as routes, Data};
use actix_web::{App, HttpRequest, HttpResponse};
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use crate::access::AccessNote;
use crate::client_address::ClientAddresses;
use crate::config::ProxyHeader;
use crate::connection::Connections;
use crate::download::DownloadState;
use crate::server::access_log::AccessLog;
use crate::server::bound_listener::BoundListener;
use crate::server::error::ServeError;
use crate::server::listen::ListenerLimits;
use crate::server::process_metrics::ProcessMetrics;
use crate::server::running::RunningServices;
use crate::server::stop_responder::StopResponder;
use crate::server::{host, listen};
use crate::web::WebApp;

const PATH: &str = "/metrics";
/// The version of the format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// However often somebody asks, the metrics are read once in this time.
const FRESH: Duration = Duration::from_secs(1);
/// Scrapers are few; a flood here must not take what downloads need.
const MAX_CONNECTIONS: usize = 32;
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// The registry, and what is read for each answer.
struct Published {
    registry: Registry,
    process: ProcessMetrics,
    connections: Connections,
    web: Option<WebApp>,
    download: Option<Arc<DownloadState>>,
    latest: Mutex<Option<(Instant, String)>>,
}

impl Published {
    async fn text(&self) -> String {
        let mut latest = self.latest.lock().await;
        if let Some((at, text)) = &*latest
            && at.elapsed() < FRESH
        {
            return text.clone();
        }
        if let Some(download) = &self.download {
            download.update_metrics().await;
        }
        if let Some(web) = &self.web {
            web.update_metrics().await;
        }
        self.process.update(&self.connections);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _written = encode(&mut text, &self.registry);
        *latest = Some((Instant::now(), text.clone()));
        text
    }
}

impl RunningServices {
    /// Serves the metrics of the services that run.
    pub(super) fn serve_metrics(&mut self, listeners: Vec<BoundListener>) -> Result<(), ServeError> {
        self.metrics = listeners.iter().find_map(BoundListener::address);
        let mut registry = Registry::default();
        let process = ProcessMetrics::register(&mut registry, self.clock.now());
        let ours = registry.sub_registry_with_prefix("oncelink");
        self.http_metrics.register(ours);
        if let Some(download) = &self.download_state {
            download.register_metrics(ours);
        }
        if let Some(web) = &self.web_app {
            web.register_metrics(ours);
        }
        let published = Data::new(Published {
            registry,
            process,
            connections: self.connections.clone(),
            web: self.web_app.clone(),
            download: self.download_state.clone(),
            latest: Mutex::default(),
        });
        let limits = ListenerLimits {
            connections: self.connections.clone(),
            max_connections: MAX_CONNECTIONS,
            deadlines: self.settings.connection_limits,
            stop_timeout: STOP_TIMEOUT,
            access_log: AccessLog::new(
                "metrics",
                ClientAddresses::new(&[], ProxyHeader::XForwardedFor, "metrics").without_warning(),
                self.http_metrics.clone(),
            ),
        };
        let responders = StopResponder::for_listeners(&listeners).map_err(ServeError::Server)?;
        let server = listen::serve(listeners, limits, move || {
            App::new()
                .wrap(from_fn(host::refuse_invalid))
                .app_data(published.clone())
                .default_service(routes::to(answer))
        });
        self.spawned.server(server.map_err(ServeError::Server)?, responders);
        Ok(())
    }
}

async fn answer(request: HttpRequest, published: Data<Published>) -> HttpResponse {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = match (request.path(), is_read) {
        (PATH, true) => HttpResponse::Ok().insert_header((CONTENT_TYPE, FORMAT)).body(published.text().await),
        (PATH, false) => HttpResponse::MethodNotAllowed().insert_header((ALLOW, "GET, HEAD")).finish(),
        _ => HttpResponse::build(StatusCode::NOT_FOUND).body("metrics are at /metrics\n"),
    };
    let route = if request.path() == PATH { PATH } else { "" };
    AccessNote { route: route.into(), ..AccessNote::default() }.on(&mut response);
    response
}
