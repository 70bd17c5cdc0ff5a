//! A listener with its limits: actix's HTTP/1 service, with our [`SocketTransport`] below, our request handling
//! above, and deadlines around everything.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::{HttpServiceBuilder, KeepAlive, Request, Response};
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, apply_fn_factory, fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ConnectionLimits;
use crate::connection::{Connection, ConnectionSlot, Connections};
use crate::server::access_log::AccessLog;
use crate::server::deadlines::WithDeadlines;
use crate::server::requests::{self, TrackedBody};
use crate::server::transport::SocketTransport;

/// The kernel's queue of connections that no worker has accepted yet. If it is full, clients retry only after
/// a second, so it is as large as the kernel usually allows.
const BACKLOG: i32 = 4096;
/// Connections beyond the limit that may be open until the displaced ones are closed.
const GIVING_WAY: usize = 256;
/// HTTP's dispatcher collects its output in a buffer of this size, and keeps it between responses unless it grew
/// larger: two portions of a large page. Files pass it by.
const WRITE_BUFFER: usize = 128 * 1024;
/// How long a peer has to close its connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of a listener.
#[derive(Clone)]
pub(crate) struct ListenerLimits {
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

/// Binds a listener, even to a port that a terminated process used a moment ago.
///
/// # Errors
/// If the address isn't available.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Serves an actix-web application on a listener.
///
/// # Errors
/// If the listener can't be used.
pub(crate) fn serve<F, I, S, B>(
    listener: TcpListener,
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
    let address = listener.local_addr()?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(64);
    let most = limits.max_connections.saturating_add(GIVING_WAY);
    let builder = ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections(most.div_ceil(workers).max(1))
        .shutdown_timeout(limits.stop_timeout.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let id = limits.connections.listener(limits.max_connections);
    let (connections, deadlines, access_log) = (limits.connections, limits.deadlines, limits.access_log);
    let builder = builder.listen(address.to_string(), listener, move || {
        let stopping = stopping.clone();
        let access_log = access_log.clone();
        let app = map_config(application(), |_| AppConfig::default());
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
        let http = HttpServiceBuilder::default()
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
            .h1_write_buffer_size(WRITE_BUFFER)
            .local_addr(address)
            .on_connect_ext(|transport: &SocketTransport, data| {
                data.insert(transport.line().clone());
                data.insert(transport.connection().clone());
            })
            .h1(app);
        let connections = connections.clone();
        let http = Rc::new(http);
        fn_factory(move || {
            let (connections, making) = (connections.clone(), http.new_service(()));
            async move {
                let http = Rc::new(making.await?);
                Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                    let peer = stream.peer_addr().ok();
                    let place = ConnectionSlot::take(&connections, id, peer.map(|peer| peer.ip()));
                    let connection = place.connection(deadlines);
                    let transport = SocketTransport::new(stream, connection.clone());
                    WithDeadlines::new(http.call((transport, peer)), connection, place)
                }))
            }
        })
    })?;
    Ok(builder.run())
}
