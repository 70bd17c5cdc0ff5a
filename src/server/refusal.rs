//! The responses to requests that aren't processed: too large a head, too slow a head, no free place. Written
//! directly to the socket or in place of the service's response.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};

use crate::connection::ConnectionRefusal;
use crate::server::client_stream::ClientStream;

/// How much a refused client may still send before its connection is closed: enough to let it read the
/// response first.
const DRAIN_MAX: usize = 1024 * 1024;

/// The text for a person, which the browser shows unchanged.
const HEAD_TOO_LARGE: &str = "The headers of this request are larger than 32 KiB. This is usually \
                              caused by cookies: delete the cookies of this site and try again.\n";
const HEAD_TOO_SLOW: &str = "The request did not arrive in time. Try again.\n";
/// The text if there is no free place.
pub(super) const CROWDED: &str = "The service is very busy. Try again in a few seconds.\n";
/// The text while the service stops.
pub(super) const STOPPING: &str = "The service is restarting or has been stopped. Try again in a moment.\n";
/// When to retry, in seconds.
pub(super) const RETRY_AFTER: &str = "5";

/// Returns the whole response.
fn response(refusal: ConnectionRefusal) -> String {
    match refusal {
        ConnectionRefusal::HeadTooLarge => plain("431 Request Header Fields Too Large", "", HEAD_TOO_LARGE),
        ConnectionRefusal::HeadTooSlow => plain("408 Request Timeout", "", HEAD_TOO_SLOW),
        ConnectionRefusal::Crowded => plain("503 Service Unavailable", RETRY_AFTER, CROWDED),
    }
}

/// Returns a plain text response after which the connection is closed; `retry_after` may be empty.
pub(super) fn plain(status: &str, retry_after: &str, text: &str) -> String {
    let retry =
        if retry_after.is_empty() { String::new() } else { format!("retry-after: {retry_after}\r\n") };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: private, no-store\r\nx-content-type-options: nosniff\r\n{retry}connection: close\r\n\r\n{text}",
        text.len(),
    )
}

/// The end of a refused connection.
#[derive(Default)]
pub(super) struct RefusedConnection {
    /// Bytes that arrived after the refusal was sent.
    drained: Option<usize>,
}

impl RefusedConnection {
    /// Sends the refusal, then reads for a while: closing a connection with unread bytes resets it, and the client
    /// might never see the response. Ready with an error at the end.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut ClientStream,
        refusal: ConnectionRefusal,
    ) -> Poll<io::Result<()>> {
        if self.drained.is_none() {
            self.drained = Some(0);
            // If the socket has no room for the response, it isn't sent.
            let _said = stream.try_write(response(refusal).as_bytes());
            let _closed = SockRef::from(&*stream).shutdown(Shutdown::Write);
        }
        loop {
            let mut scratch = [0; 4096];
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            let count = buffer.filled().len();
            let drained = self.drained.get_or_insert(0);
            *drained = drained.saturating_add(count);
            if count == 0 || *drained > DRAIN_MAX {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
    }
}
