//! The connection beneath HTTP: a TCP stream that does not wait for ever for a slow reader.
//!
//! actix-web limits how long a request may take to arrive, but not how long a response may take to
//! leave, and hides the socket; so the limit lives here, under the HTTP dispatcher. Little is left
//! lying in the kernel's send buffer, too. The transfers on the connection learn here how far their
//! bytes have come: see [`arrival`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::download::Line;
use crate::server::arrival::{self, Arrival, outstanding};

/// A reader is held against its speed over this time.
const WINDOW: Duration = Duration::from_secs(60);
/// Slower than 1 KiB/s over the window is dropped.
const LEAST_PER_WINDOW: u64 = 60 * 1024;
/// Unsent bytes in the kernel's send buffer, at most: enough to keep the line busy between two
/// portions.
const UNSENT: u32 = 256 * 1024;

/// A TCP stream whose peer must keep reading while there is something to write.
pub(crate) struct Transport {
    stream: TcpStream,
    line: Line,
    arrival: Arrival,
    /// Bytes were written since the last flush.
    unflushed: bool,
    /// Runs while a write is blocked.
    window: Option<Pin<Box<Sleep>>>,
    written: u64,
}

impl Transport {
    pub(crate) fn new(stream: TcpStream) -> Transport {
        let socket = SockRef::from(&stream);
        // Both only tune; a socket that refuses them still works.
        if let Err(e) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT)) {
            tracing::debug!("cannot tune a socket: {e}");
        }
        Transport {
            stream,
            line: Line::default(),
            arrival: Arrival::default(),
            unflushed: false,
            window: None,
            written: 0,
        }
    }

    /// Tells the transfers on this connection how their bytes fare.
    pub(crate) const fn line(&self) -> &Line {
        &self.line
    }

    /// A write is blocked: waits for the window's end, and judges the reader by it.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = &mut self.written;
        let window = self.window.get_or_insert_with(|| {
            *written = 0;
            Box::pin(tokio::time::sleep(WINDOW))
        });
        while window.as_mut().poll(cx).is_ready() {
            if *written < LEAST_PER_WINDOW {
                self.line.broke(outstanding(&self.stream));
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client reads too slowly",
                )));
            }
            *written = 0;
            window.as_mut().reset(Instant::now() + WINDOW);
        }
        Poll::Pending
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let (line, stream) = (&this.line, &this.stream);
        match &read {
            // The client closed its side: what it was being sent ends here. Of what was sent to its end
            // the rest may arrive yet.
            Poll::Ready(Ok(())) if buffer.filled().len() == before && line.is_sending() => {
                line.broke(outstanding(stream));
            }
            Poll::Ready(Ok(())) => {
                line.acknowledged(outstanding_if_used(line, stream));
                line.heard();
            }
            Poll::Ready(Err(_)) => line.broke(outstanding(stream)),
            Poll::Pending => this.arrival.poll(cx, line, stream),
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                self.written = self.written.saturating_add(count as u64);
                self.line.wrote(count as u64);
                self.unflushed = true;
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(e)) => {
                self.line.broke(outstanding(&self.stream));
                Poll::Ready(Err(e))
            }
            Poll::Pending => self.poll_patience(cx),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The dispatcher flushes when all it had is written: the reader keeps up.
        self.window = None;
        if self.line.flushed() {
            cx.waker().wake_by_ref();
        }
        let this = &mut *self;
        // The dispatcher flushes at every turn, most of them with nothing new.
        if std::mem::take(&mut this.unflushed) {
            this.arrival.look(cx, &this.line, &this.stream);
        } else {
            this.arrival.poll(cx, &this.line, &this.stream);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if self.line.is_broken() {
            arrival::discard(&self.stream);
        } else {
            arrival::watch_closed(&self.line, &self.stream);
        }
    }
}

/// Asks the socket only where somebody waits for the answer.
fn outstanding_if_used(line: &Line, stream: &TcpStream) -> Option<u64> {
    if line.awaits_acknowledgement() { outstanding(stream) } else { None }
}
