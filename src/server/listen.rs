//! The listeners of a service with their limits: actix's HTTP/1 service, with our [`SocketTransport`] below, our request handling
//! above, and deadlines around everything.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::{HttpServiceBuilder, KeepAlive, Request, Response};
use actix_rt::net::{TcpStream, UnixStream};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, apply_fn_factory, fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;

use crate::config::ConnectionLimits;
use crate::connection::{Connection, ConnectionSlot, Connections, ListenerId};
use crate::server::access_log::AccessLog;
use crate::server::bound_listener::{BoundListener, ListeningSocket};
use crate::server::client_stream::ClientStream;
use crate::server::deadlines::WithDeadlines;
use crate::server::requests::{self, TrackedBody};
use crate::server::transport::SocketTransport;

/// Connections beyond the limit that may be open until the displaced ones are closed.
const GIVING_WAY: usize = 256;
/// HTTP's dispatcher collects its output in a buffer of this size, and keeps it between responses unless it grew
/// larger: two portions of a large page. Files pass it by.
const WRITE_BUFFER: usize = 128 * 1024;
/// How long a peer has to close its connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of a listener.
#[derive(Clone)]
pub(super) struct ListenerLimits {
    /// All connections of the process.
    pub(crate) connections: Connections,
    /// Maximum number of connections.
    pub(crate) max_connections: usize,
    /// The deadlines of each connection.
    pub(crate) deadlines: ConnectionLimits,
    /// How long a graceful stop waits.
    pub(crate) stop_timeout: Duration,
    /// Where requests are recorded.
    pub(crate) access_log: AccessLog,
}

/// Serves an actix-web application on the listeners of a service.
///
/// # Errors
/// If a listener can't be used.
pub(super) fn serve<F, I, S, B>(
    listeners: Vec<BoundListener>,
    limits: ListenerLimits,
    application: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(64);
    let most = limits.max_connections.saturating_add(GIVING_WAY);
    let mut builder = ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections(most.div_ceil(workers).max(1))
        .shutdown_timeout(limits.stop_timeout.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let id = limits.connections.listener(limits.max_connections);
    for listener in listeners {
        let (address, socket) = (listener.address(), listener.into_socket());
        let (limits, application, stopping) = (limits.clone(), application.clone(), stopping.clone());
        builder = match socket {
            ListeningSocket::Tcp(socket) => builder.listen("tcp", socket, move || {
                http::<TcpStream, _, _, _>(address, id, limits.clone(), stopping.clone(), application())
            }),
            ListeningSocket::Unix(socket) => builder.listen_uds("unix", socket, move || {
                http::<UnixStream, _, _, _>(None, id, limits.clone(), stopping.clone(), application())
            }),
        }?;
    }
    Ok(builder.run())
}

/// Serves an application on the connections of one listener, which are `T`s. `address` is the listener's, if it has one.
fn http<T, I, S, B>(
    address: Option<SocketAddr>,
    id: ListenerId,
    limits: ListenerLimits,
    stopping: GracefulShutdownSignal,
    application: I,
) -> impl ServiceFactory<T, Config = ()>
where
    T: Into<ClientStream> + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let (connections, deadlines, access_log) = (limits.connections, limits.deadlines, limits.access_log);
    let app = map_config(application, |_| AppConfig::default());
    let app = apply_fn_factory(app, move |mut request: Request, app: &_| {
        let mut entry = access_log.begin(&request);
        let begun = request.conn_data::<Connection>().cloned().map(|connection| {
            let admitted = requests::is_admitted(&request, &connection);
            (requests::begin(&mut request, &connection), admitted)
        });
        let answering = match &begun {
            Some((_, false)) => None,
            _ => Some(Service::call(app, request)),
        };
        async move {
            let (Some(answering), Some((serving, _))) = (answering, begun) else {
                return Ok(requests::crowded(entry));
            };
            let mut response: Response<B> = answering.await?.into();
            entry.answered(&mut response);
            Ok(response.map_body(|_, body| TrackedBody::of(body, serving, entry)))
        }
    });
    let mut http = HttpServiceBuilder::default()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        // We enforce our own deadlines; see `deadlines`.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        // A client that closes its side has hung up. Its handlers end at once, so that its next
        // connection isn't blocked.
        .h1_allow_half_closed(false)
        .h1_write_buffer_size(WRITE_BUFFER);
    if let Some(address) = address {
        http = http.local_addr(address);
    }
    let http = http
        .on_connect_ext(|transport: &SocketTransport, data| {
            data.insert(transport.line().clone());
            data.insert(transport.connection().clone());
        })
        .h1(app);
    let http = Rc::new(http);
    fn_factory(move || {
        let (connections, making) = (connections.clone(), http.new_service(()));
        async move {
            let http = Rc::new(making.await?);
            Ok::<_, ()>(fn_service(move |stream: T| {
                let stream: ClientStream = stream.into();
                let peer = stream.addresses().map(|(_, peer)| peer);
                let place = ConnectionSlot::take(&connections, id, peer.map(|peer| peer.ip()));
                let connection = place.connection(deadlines);
                let transport = SocketTransport::new(stream, connection.clone());
                WithDeadlines::new(http.call((transport, peer)), connection, place)
            }))
        }
    })
}
