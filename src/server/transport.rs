//! The connection beneath HTTP: a TCP stream that does not wait for ever for a slow reader.
//!
//! actix-web limits how long a request may take to arrive, but not how long a response may take to
//! leave, and hides the socket; so the limit lives here, under the HTTP dispatcher. Little is left
//! lying in the kernel's send buffer, too: what lies there when a connection breaks counts as sent,
//! and would be missing from what may be sent again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::download::Line;

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
        Transport { stream, line: Line::default(), window: None, written: 0 }
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
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match &read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => self.line.heard(),
            Poll::Ready(Ok(())) => self.line.closed(),
            Poll::Ready(Err(_)) => self.line.broke(),
            Poll::Pending => {}
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                self.written = self.written.saturating_add(count as u64);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(e)) => {
                self.line.broke();
                Poll::Ready(Err(e))
            }
            Poll::Pending => self.poll_patience(cx),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The dispatcher flushes when all it had is written: the reader keeps up.
        self.window = None;
        if self.line.written() {
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.line.closed();
    }
}
