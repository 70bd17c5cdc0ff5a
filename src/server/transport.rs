//! The connection below HTTP: a stream that doesn't wait indefinitely for a slow reader.
//!
//! actix-web limits how long a request may take to arrive, but not how long a response may take to be sent,
//! and it hides the socket. So the limit is enforced here, below the HTTP dispatcher. This also keeps little
//! data in the kernel's send buffer, and tells transfers how far their bytes have come: see [`ack_watch`].
//!
//! It also limits the size of request heads, because the dispatcher's limit is larger, and adds a length to
//! posts without one: see [`missing_length`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::connection::{Connection, ReadBudget};
use crate::download::WriteTracker;
use crate::server::ack_watch::{self, AckWatch, outstanding, undelivered};
use crate::server::client_stream::{ClientStream, SocketKind};
use crate::server::missing_length;
use crate::server::refusal::RefusedConnection;
use crate::server::settling::Settling;
use crate::server::socket_writer::SocketWriter;

/// A silent peer is probed after this long …
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// … and again at this interval …
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// … this many times before it counts as gone.
const PROBES: u32 = 4;

/// A connection whose peer must keep reading while there is something to write.
pub(crate) struct SocketTransport {
    stream: ClientStream,
    writer: SocketWriter,
    line: WriteTracker,
    connection: Connection,
    arrival: AckWatch,
    refused: RefusedConnection,
    /// No byte has arrived yet.
    fresh: bool,
    /// Bytes were written since the last flush.
    unflushed: bool,
    /// Runs while a write is blocked, or while a body waits for acknowledgments.
    window: Option<Pin<Box<Sleep>>>,
    /// Bytes that were written, or acknowledged while a body waited for that, in this window.
    moved: u64,
    /// While a body waits until the client has what was written.
    settling: Option<Settling>,
}

impl SocketTransport {
    pub(crate) fn new(stream: ClientStream, connection: Connection) -> SocketTransport {
        if stream.kind() == SocketKind::Tcp {
            tune(&stream);
        }
        let writer = SocketWriter::new(&stream, connection.limits().sendfile);
        SocketTransport {
            stream,
            writer,
            line: WriteTracker::default(),
            connection,
            arrival: AckWatch::default(),
            refused: RefusedConnection::default(),
            fresh: true,
            unflushed: false,
            window: None,
            moved: 0,
            settling: None,
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

    /// Called while a write is blocked or acknowledgments are awaited: waits for the end of the window, and checks
    /// the reader's speed.
    fn poll_patience<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.connection.set_writing(true);
        let limits = self.connection.limits();
        let moved = &mut self.moved;
        let window = self.window.get_or_insert_with(|| {
            *moved = 0;
            Box::pin(tokio::time::sleep(limits.window))
        });
        while window.as_mut().poll(cx).is_ready() {
            if *moved < limits.least_per_window {
                // Unread data must not stay in the kernel's buffers indefinitely.
                self.break_off();
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client reads too slowly",
                )));
            }
            *moved = 0;
            window.as_mut().reset(Instant::now() + limits.window);
        }
        Poll::Pending
    }

    /// Makes the connection end at once, with what its peer hasn't acknowledged.
    fn break_off(&self) {
        self.line.broke(undelivered(&self.stream));
        self.connection.close();
    }

    /// Records that bytes were written.
    fn note_written(&mut self, count: usize) {
        self.moved = self.moved.saturating_add(count as u64);
        self.connection.note_written();
        self.unflushed = true;
    }

    /// Repeats `write` until it is done or the socket is full.
    fn poll_writing<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut SocketWriter, &ClientStream, &WriteTracker) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match write(&mut self.writer, &self.stream, &self.line) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => match self.stream.poll_write_ready(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Pending => return self.poll_patience(cx),
                },
                Err(e) => {
                    self.line.broke(undelivered(&self.stream));
                    return Poll::Ready(Err(e));
                }
                Ok(done) => return Poll::Ready(Ok(done)),
            }
        }
    }

    /// Writes a body's portion. Ready when there is no more of it.
    fn poll_portion(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(count) = ready!(self.poll_writing(cx, SocketWriter::write_portion))? {
            self.note_written(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Called while a body waits until the client has what was written. Ready when it has.
    fn poll_settling(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let left = self.writer.lacking(&self.stream);
        if left == Some(0) {
            self.line.settled();
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        let got = self.settling.get_or_insert_default().wait(cx, left);
        if got > 0 {
            self.moved = self.moved.saturating_add(got);
            self.connection.note_written();
        }
        self.poll_patience(cx)
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
}

impl AsyncRead for SocketTransport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(refusal) = self.connection.refusal() {
            let this = &mut *self;
            return this.refused.poll(cx, &mut this.stream, refusal);
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
        let this = &mut *self;
        if this.line.is_portion_next() {
            ready!(this.poll_portion(cx))?;
        }
        let written =
            ready!(this.poll_writing(cx, |writer, stream, line| writer.write(stream, line, bytes)))?;
        this.note_written(written);
        Poll::Ready(Ok(written.min(bytes.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.line.is_cut() {
            this.break_off();
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the file changed")));
        }
        this.line.reached_portion();
        ready!(this.poll_portion(cx))?;
        // Everything is written, or the kernel refused to: the body goes on.
        if this.line.is_refused() || this.line.flushed() {
            cx.waker().wake_by_ref();
        }
        // The dispatcher flushes at every poll, usually without new data.
        if std::mem::take(&mut this.unflushed) | this.line.take_query() {
            this.arrival.query_now(cx, &this.line, &this.stream);
        } else {
            this.arrival.poll(cx, &this.line, &this.stream);
        }
        if this.line.is_settling() {
            ready!(this.poll_settling(cx))?;
        }
        // The reader keeps up.
        (this.window, this.settling) = (None, None);
        this.connection.set_writing(false);
        Pin::new(&mut this.stream).poll_flush(cx)
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

/// Sends without delay, and notices a peer that is gone.
fn tune(stream: &ClientStream) {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    let tuned = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&probes));
    // These are only optimizations; a socket that refuses them still works.
    if let Err(e) = tuned {
        tracing::debug!("cannot tune a socket: {e}");
    }
}

/// Queries the socket only if someone waits for the result.
fn outstanding_if_used(line: &WriteTracker, stream: &ClientStream) -> Option<u64> {
    if line.awaits_acknowledgement() { outstanding(stream) } else { None }
}
