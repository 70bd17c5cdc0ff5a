//! The connection below HTTP: a TCP stream that doesn't wait indefinitely for a slow reader.
//!
//! actix-web limits how long a request may take to arrive, but not how long a response may take to be sent,
//! and it hides the socket. So the limit is enforced here, below the HTTP dispatcher. This also keeps little
//! data in the kernel's send buffer, and tells transfers how far their bytes have come: see [`ack_watch`].
//!
//! It also limits the size of request heads, because the dispatcher's limit is larger, and adds a length to
//! posts without one: see [`missing_length`].

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_rt::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::connection::{Connection, ConnectionRefusal, ReadBudget};
use crate::download::WriteTracker;
use crate::server::ack_watch::{self, AckWatch, outstanding, undelivered};
use crate::server::{missing_length, refusal};

/// A silent peer is probed after this long …
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// … and again at this interval …
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// … this many times before it counts as gone.
const PROBES: u32 = 4;
/// How much a refused client may still send before its connection is closed: enough to let it read the
/// response first.
const DRAIN_MAX: usize = 1024 * 1024;
/// Maximum number of unsent bytes in the kernel's send buffer: enough to keep the line busy between two
/// portions.
const UNSENT: u32 = 256 * 1024;

/// A TCP stream whose peer must keep reading while there is something to write.
pub(crate) struct SocketTransport {
    stream: TcpStream,
    line: WriteTracker,
    connection: Connection,
    arrival: AckWatch,
    /// Bytes that arrived after the refusal was sent.
    drained: Option<usize>,
    /// No byte has arrived yet.
    fresh: bool,
    /// Bytes were written since the last flush.
    unflushed: bool,
    /// Runs while a write is blocked.
    window: Option<Pin<Box<Sleep>>>,
    written: u64,
}

impl SocketTransport {
    pub(crate) fn new(stream: TcpStream, connection: Connection) -> SocketTransport {
        let socket = SockRef::from(&stream);
        let probes =
            TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
        let tuned = socket
            .set_tcp_nodelay(true)
            .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT))
            .and_then(|()| socket.set_tcp_keepalive(&probes));
        // These are only optimizations; a socket that refuses them still works.
        if let Err(e) = tuned {
            tracing::debug!("cannot tune a socket: {e}");
        }
        SocketTransport {
            stream,
            line: WriteTracker::default(),
            connection,
            arrival: AckWatch::default(),
            drained: None,
            fresh: true,
            unflushed: false,
            window: None,
            written: 0,
        }
    }

    /// Returns the state of the connection.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the tracker that tells transfers on this connection how far their bytes have come.
    pub(crate) const fn line(&self) -> &WriteTracker {
        &self.line
    }

    /// Called while a write is blocked: waits for the end of the window, and checks the reader's speed.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let limits = self.connection.limits();
        let written = &mut self.written;
        let window = self.window.get_or_insert_with(|| {
            *written = 0;
            Box::pin(tokio::time::sleep(limits.window))
        });
        while window.as_mut().poll(cx).is_ready() {
            if *written < limits.least_per_window {
                self.line.broke(undelivered(&self.stream));
                // Unread data must not stay in the kernel's buffers indefinitely.
                self.connection.close();
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client reads too slowly",
                )));
            }
            *written = 0;
            window.as_mut().reset(Instant::now() + limits.window);
        }
        Poll::Pending
    }

    /// Reads at most `most` bytes.
    fn poll_read_at_most(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() <= most {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }

    /// Sends the refusal, then reads for a while: closing a connection with unread bytes resets it, and the
    /// client might never see the response.
    fn poll_refused(&mut self, cx: &mut Context<'_>, refusal: ConnectionRefusal) -> Poll<io::Result<()>> {
        if self.drained.is_none() {
            self.drained = Some(0);
            // If the socket has no room for the response, it isn't sent.
            let _said = self.stream.try_write(refusal::response(refusal).as_bytes());
            let _closed = SockRef::from(&self.stream).shutdown(Shutdown::Write);
        }
        loop {
            let mut scratch = [0; 4096];
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let count = buffer.filled().len();
            let drained = self.drained.get_or_insert(0);
            *drained = drained.saturating_add(count);
            if count == 0 || *drained > DRAIN_MAX {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
    }
}

impl AsyncRead for SocketTransport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(refusal) = self.connection.refusal() {
            return self.poll_refused(cx, refusal);
        }
        let before = buffer.filled().len();
        let read = match self.connection.read_budget(cx.waker()) {
            ReadBudget::Any => Pin::new(&mut self.stream).poll_read(cx, buffer),
            ReadBudget::AtMost(most) => self.poll_read_at_most(cx, buffer, most),
            ReadBudget::Look => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            ReadBudget::Later => Poll::Pending,
        };
        let this = &mut *self;
        if buffer.filled().len() > before && std::mem::take(&mut this.fresh) {
            missing_length::add_missing_length(buffer, before);
        }
        let (line, stream) = (&this.line, &this.stream);
        match &read {
            // The client closed its side, so transfers in progress end here. The rest of completely sent ones
            // may still arrive.
            Poll::Ready(Ok(())) if buffer.filled().len() == before && line.is_sending() => {
                line.broke(undelivered(stream));
            }
            Poll::Ready(Ok(())) => {
                if buffer.filled().len() > before {
                    this.connection.note_read(buffer.filled().len() - before);
                }
                line.acknowledged(outstanding_if_used(line, stream));
                line.received();
            }
            Poll::Ready(Err(_)) => line.broke(undelivered(stream)),
            Poll::Pending => this.arrival.poll(cx, line, stream),
        }
        read
    }
}

impl AsyncWrite for SocketTransport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                self.written = self.written.saturating_add(count as u64);
                self.connection.note_written();
                self.line.wrote(count as u64);
                self.unflushed = true;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(e)) => {
                self.line.broke(undelivered(&self.stream));
                Poll::Ready(Err(e))
            }
            Poll::Pending => {
                self.connection.set_writing(true);
                self.poll_patience(cx)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The dispatcher flushes when everything is written: the reader keeps up.
        self.window = None;
        self.connection.set_writing(false);
        if self.line.flushed() {
            cx.waker().wake_by_ref();
        }
        let this = &mut *self;
        // The dispatcher flushes at every poll, usually without new data.
        if std::mem::take(&mut this.unflushed) {
            this.arrival.query_now(cx, &this.line, &this.stream);
        } else {
            this.arrival.poll(cx, &this.line, &this.stream);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for SocketTransport {
    fn drop(&mut self) {
        if self.connection.is_closing() {
            // Nobody waits for data that may still be in the kernel's buffers, and it shouldn't cost
            // anything.
            self.line.broke(undelivered(&self.stream));
            let _kept = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        } else if self.line.is_broken() {
            ack_watch::discard(&self.stream);
        } else {
            ack_watch::watch_closed(&self.line, &self.stream);
        }
    }
}

/// Queries the socket only if someone waits for the result.
fn outstanding_if_used(line: &WriteTracker, stream: &TcpStream) -> Option<u64> {
    if line.awaits_acknowledgement() { outstanding(stream) } else { None }
}
