//! Serves the web app.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_server::Server;
use actix_web::App;
use actix_web::middleware::from_fn;

use crate::config::Settings;
use crate::connection::Connections;
use crate::server::access_log::AccessLog;
use crate::server::bound_listener::BoundListener;
use crate::server::error::ServeError;
use crate::server::http_metrics::HttpMetrics;
use crate::server::listen::ListenerLimits;
use crate::server::running::RunningServices;
use crate::server::stop_responder::StopResponder;
use crate::server::{host, listen};
use crate::web;

/// How long a stop waits for requests to the web app.
const WEB_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the web app on its listener, as in production.
///
/// # Errors
/// If the listener can't be used.
pub fn web_server(
    listener: TcpListener,
    app: &web::WebApp,
    settings: &Settings,
    connections: &Connections,
) -> io::Result<Server> {
    serve(vec![listener.into()], app, settings, connections, HttpMetrics::default())
}

fn serve(
    listeners: Vec<BoundListener>,
    app: &web::WebApp,
    settings: &Settings,
    connections: &Connections,
    metrics: HttpMetrics,
) -> io::Result<Server> {
    let limits = ListenerLimits {
        connections: connections.clone(),
        max_connections: settings.web.max_connections,
        deadlines: settings.connection_limits,
        stop_timeout: WEB_STOP_TIMEOUT,
        access_log: AccessLog::new("web", app.addresses().without_warning(), metrics),
    };
    let app = app.clone();
    listen::serve(listeners, limits, move || {
        let app = app.clone();
        App::new().wrap(from_fn(host::refuse_invalid)).configure(move |services| app.configure(services))
    })
}

impl RunningServices {
    pub(super) async fn serve_web(
        &mut self,
        listeners: Vec<BoundListener>,
        app: web::WebApp,
    ) -> Result<(), ServeError> {
        self.web = listeners.iter().find_map(BoundListener::address);
        self.first_admin_link = app.first_admin_link().await?;
        let responders = StopResponder::for_listeners(&listeners).map_err(ServeError::Server)?;
        let metrics = self.http_metrics.clone();
        let server = serve(listeners, &app, &self.settings, &self.connections, metrics);
        self.spawned.server(server.map_err(ServeError::Server)?, responders);
        let maintained = app.clone();
        self.spawned.task("maintaining the web app", move || {
            let app = maintained.clone();
            async move { app.upkeep().run().await }
        });
        let revoking = app.clone();
        self.spawned.task("revoking tokens", move || {
            let app = revoking.clone();
            async move { app.revoke_tokens().await }
        });
        let preparing = app.clone();
        self.spawned.task("preparing archives", move || {
            let app = preparing.clone();
            async move { app.prepare_archives().await }
        });
        let telling = app.clone();
        self.spawned.task("sending messages to webhooks", move || {
            let app = telling.clone();
            async move { app.send_webhooks().await }
        });
        self.spawned.task("sending mails", move || {
            let app = app.clone();
            async move { app.send_mails().await }
        });
        Ok(())
    }
}
