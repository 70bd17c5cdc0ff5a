//! Answers new connections while a service stops. The service itself accepts none then, but may have
//! transfers to finish for up to `download.stop_timeout`. Until then, clients are told that it is stopping
//! instead of being refused a connection.
//!
//! Sockets that systemd passed are left alone: connections wait in their queues for the next process.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use crate::connection::HEAD_MAX;
use crate::server::bound_listener::{BoundListener, ListeningSocket};
use crate::server::client_stream::ClientStream;
use crate::server::refusal;

/// Maximum number of connections; further ones wait.
const AT_ONCE: usize = 64;
/// Maximum time for one of them.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of a request is read after its response, so that the client sees the response before a reset.
const DRAIN: u64 = 64 * 1024;
/// The wait after accepting failed, for example because no descriptors are left.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener's address, kept until the service has stopped.
pub(super) struct StopResponder(BoundListener);

impl StopResponder {
    /// Keeps the addresses of `listeners` longer than the service that uses them.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub(super) fn for_listeners(listeners: &[BoundListener]) -> io::Result<Vec<StopResponder>> {
        listeners.iter().map(|listener| listener.try_clone().map(StopResponder)).collect()
    }

    /// Replies to each new connection. Runs until the future is dropped.
    pub(super) async fn respond(&self) {
        if self.0.is_inherited {
            return std::future::pending().await;
        }
        let listener = match self.0.try_clone().and_then(AsyncListener::of) {
            Ok(listener) => listener,
            Err(cause) => {
                tracing::warn!(%cause, "clients can't be told that the service is stopping");
                return std::future::pending().await;
            }
        };
        let mut replies = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if replies.len() < AT_ONCE => match accepted {
                    Ok(stream) => {
                        replies.push(tokio::time::timeout(PATIENCE, respond_to(stream)).map(drop).boxed());
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
                Some(()) = replies.next() => {}
            }
        }
    }
}

/// A listener that can be awaited.
enum AsyncListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsyncListener {
    fn of(listener: BoundListener) -> io::Result<AsyncListener> {
        match listener.into_socket() {
            ListeningSocket::Tcp(socket) => TcpListener::from_std(socket).map(AsyncListener::Tcp),
            ListeningSocket::Unix(socket) => UnixListener::from_std(socket).map(AsyncListener::Unix),
        }
    }

    async fn accept(&self) -> io::Result<ClientStream> {
        match self {
            AsyncListener::Tcp(listener) => listener.accept().await.map(|(stream, _)| stream.into()),
            AsyncListener::Unix(listener) => listener.accept().await.map(|(stream, _)| stream.into()),
        }
    }
}

/// Reads a request's head and responds that the service is stopping.
async fn respond_to(mut stream: ClientStream) -> io::Result<()> {
    let (mut head, mut bytes) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = stream.read(&mut bytes).await?;
        if count == 0 || head.len() >= HEAD_MAX {
            return Ok(());
        }
        head.extend_from_slice(bytes.get(..count).unwrap_or_default());
    }
    // A client that would save any response as the file gets none.
    if let Some(answer) = answer(&String::from_utf8_lossy(&head)) {
        stream.write_all(answer.as_bytes()).await?;
        SockRef::from(&stream).shutdown(Shutdown::Write)?;
        tokio::io::copy(&mut stream.take(DRAIN), &mut tokio::io::sink()).await?;
    }
    Ok(())
}

fn answer(head: &str) -> Option<String> {
    let mut words = head.split_ascii_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    let (status, text) = match path {
        "/healthz" => ("200 OK", "ok\n"),
        "/readyz" => ("503 Service Unavailable", "stopping\n"),
        _ if saves_whatever_comes(head) => return None,
        _ => ("503 Service Unavailable", refusal::STOPPING),
    };
    let retry = if status.starts_with("503") { refusal::RETRY_AFTER } else { "" };
    Some(refusal::plain(status, retry, if method == "HEAD" { "" } else { text }))
}

/// The same check as in [`crate::download`] for a browser's download manager.
fn saves_whatever_comes(head: &str) -> bool {
    let says = |name: &str, expected: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().any(|(n, value)| n.eq_ignore_ascii_case(name) && value.trim() == expected)
    };
    says("sec-fetch-dest", "empty") && says("sec-fetch-mode", "no-cors") && says("sec-fetch-site", "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_and_readiness_are_told_and_everything_else_is_to_be_tried_again() {
        let of = |line: &str| answer(&format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap();
        assert!(of("GET /healthz").starts_with("HTTP/1.1 200 OK\r\n"));
        let ready = of("GET /readyz");
        assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("\r\n\r\nstopping\n"), "{ready}");
        for line in ["GET /d/x", "POST /login", "GET /healthz/../d"] {
            let told = of(line);
            assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nretry-after: 5\r\n"), "{told}");
            assert!(told.ends_with(refusal::STOPPING), "{told}");
        }
        assert!(of("HEAD /").ends_with("\r\n\r\n"));
        assert_eq!(answer("GET"), None);
        let manager = "GET /d/x HTTP/1.1\r\nSec-Fetch-Dest: empty\r\nsec-fetch-mode: no-cors\r\nSec-Fetch-Site: none\r\n\r\n";
        assert_eq!(answer(manager), None, "it would save the text as the file");
    }
}
