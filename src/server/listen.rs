//! One listener with its limits: an HTTP/1 service of actix on our own [`Transport`].

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::{HttpServiceBuilder, Request, Response};
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use socket2::{Domain, Protocol, Socket, Type};

use crate::server::transport::Transport;

/// Connections that the kernel holds ready before a worker takes them.
const BACKLOG: i32 = 1024;
/// A request's head must have arrived after this long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection is kept this long.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A peer that is told to go has this long to do so.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Responses are gathered up to this size before they are written. More than one portion of a file
/// and its head, so that the dispatcher keeps the buffer instead of allocating it each time.
const WRITE_BUFFER: usize = 256 * 1024;

/// What an operator may set for a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most connections at once.
    pub(crate) max_connections: usize,
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
    let builder = ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections(limits.max_connections.div_ceil(workers).max(1))
        .shutdown_timeout(limits.stop_timeout.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder.listen(address.to_string(), listener, move || {
        let stopping = stopping.clone();
        let http = HttpServiceBuilder::default()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            // A client that closes its side has hung up: what runs for it ends at once, so that
            // its next connection finds the way clear.
            .h1_allow_half_closed(false)
            .h1_write_buffer_size(WRITE_BUFFER)
            .local_addr(address)
            .on_connect_ext(|transport: &Transport, connection| {
                connection.insert(transport.line().clone());
            })
            .h1(map_config(application(), |_| AppConfig::default()));
        fn_service(|stream: TcpStream| async move {
            let peer = stream.peer_addr().ok();
            Ok((Transport::new(stream), peer))
        })
        .and_then(http)
    })?;
    Ok(builder.run())
}
