//! Opens connections, including TLS, within a maximum time; also to Unix sockets.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write as HyperWrite};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tower_service::Service;

/// The scheme of [`socket_uri`].
const SCHEME: &str = "unix";

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) https: HttpsConnector<HttpConnector>,
    /// The maximum time.
    pub(super) within: Duration,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = ClientConnection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<ClientConnection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let within = self.within;
        if uri.scheme_str() == Some(SCHEME) {
            let path = uri.host().and_then(socket_of);
            return Box::pin(async move {
                let path = path.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
                let stream = timeout(within, UnixStream::connect(path)).await??;
                Ok(ClientConnection::Unix(TokioIo::new(stream)))
            });
        }
        let connecting = timeout(within, self.https.call(uri));
        Box::pin(async move { Ok(ClientConnection::Tcp(Box::new(connecting.await??))) })
    }
}

/// Returns the address of `path` at a Unix socket, in the form that hyper keeps connections by: the socket's path in
/// hexadecimal is the host.
pub(super) fn socket_uri(socket: &str, path: &str) -> Option<Uri> {
    let mut host = String::with_capacity(socket.len() * 2);
    for byte in socket.bytes() {
        write!(host, "{byte:02x}").ok()?;
    }
    format!("{SCHEME}://{host}{path}").parse().ok()
}

/// The reverse of [`socket_uri`].
fn socket_of(host: &str) -> Option<PathBuf> {
    if !host.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digits = host.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    String::from_utf8(bytes?).ok().map(PathBuf::from)
}

/// A connection to one of our services.
pub(super) enum ClientConnection {
    /// To a host and port, with or without TLS.
    Tcp(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    /// To a Unix socket.
    Unix(TokioIo<UnixStream>),
}

impl Connection for ClientConnection {
    fn connected(&self) -> Connected {
        match self {
            ClientConnection::Tcp(stream) => stream.connected(),
            ClientConnection::Unix(_) => Connected::new(),
        }
    }
}

impl Read for ClientConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientConnection::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            ClientConnection::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl HyperWrite for ClientConnection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ClientConnection::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            ClientConnection::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientConnection::Tcp(stream) => Pin::new(stream).poll_flush(context),
            ClientConnection::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientConnection::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            ClientConnection::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_s_path_survives_as_a_host() {
        let uri = socket_uri("/run/oncelink/Ä web.sock", "/readyz?x=1").unwrap();
        assert_eq!(uri.path_and_query().unwrap(), "/readyz?x=1");
        assert_eq!(socket_of(uri.host().unwrap()).unwrap(), PathBuf::from("/run/oncelink/Ä web.sock"));
        for host in ["zz", "abc", "+1"] {
            assert_eq!(socket_of(host), None, "{host}");
        }
    }
}
