//! One listener with its limits: an HTTP/1 service of actix between our own [`Transport`] beneath and
//! our own requests above, and around it all the deadlines.

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
use crate::connection::{Connection, Connections, Place};
use crate::download::WRITE_BUFFER;
use crate::server::deadlines::Bounded;
use crate::server::requests::{self, Answer};
use crate::server::transport::Transport;

/// Connections that the kernel holds ready before a worker takes them. One that finds no room there is
/// tried again by its client only after a second, so it is as large as the kernel usually lets it be.
const BACKLOG: i32 = 4096;
/// Connections beyond the limit that may be open until those that gave way are closed.
const GIVING_WAY: usize = 256;
/// A peer that is told to go has this long to do so.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What an operator may set for a listener.
#[derive(Clone)]
pub(crate) struct Limits {
    /// All connections of the process.
    pub(crate) connections: Connections,
    /// Most connections at once.
    pub(crate) max_connections: usize,
    /// Deadlines of each.
    pub(crate) deadlines: ConnectionLimits,
    /// How long a graceful stop waits.
    pub(crate) stop_timeout: Duration,
}

/// Binds a listener; a port that was in use a moment ago by a process that is gone can be had.
///
/// # Errors
/// When the address can't be had.
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
/// When the listener can't be used.
pub(crate) fn serve<F, I, S, B>(listener: TcpListener, limits: Limits, application: F) -> io::Result<Server>
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
    let (connections, deadlines) = (limits.connections, limits.deadlines);
    let builder = builder.listen(address.to_string(), listener, move || {
        let stopping = stopping.clone();
        let app = map_config(application(), |_| AppConfig::default());
        let app = apply_fn_factory(app, move |mut request: Request, app: &_| {
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
                    return Ok(requests::crowded());
                };
                let response: Response<B> = answering.await?.into();
                Ok(response.map_body(|_, body| Answer::of(body, serving)))
            }
        });
        let http = HttpServiceBuilder::default()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            // Ours are the deadlines; see `deadlines`.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            // A client that closes its side has hung up: what runs for it ends at once, so that
            // its next connection finds the way clear.
            .h1_allow_half_closed(false)
            // More than one portion of a file and its head, so that the dispatcher keeps the buffer
            // instead of allocating it each time.
            .h1_write_buffer_size(WRITE_BUFFER)
            .local_addr(address)
            .on_connect_ext(|transport: &Transport, data| {
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
                    let place = Place::take(&connections, id, peer.map(|peer| peer.ip()));
                    let connection = place.connection(deadlines);
                    let transport = Transport::new(stream, connection.clone());
                    Bounded::new(http.call((transport, peer)), connection, place)
                }))
            }
        })
    })?;
    Ok(builder.run())
}
