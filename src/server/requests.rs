//! The layer between HTTP and a service: tells the connection about the start and end of requests, enforces a
//! minimum speed for request bodies, and sends large pages in portions.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use actix_http::error::PayloadError;
use actix_http::header::{self, HeaderValue};
use actix_http::{BoxedPayloadStream, Payload, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use crate::connection::{Connection, HeldMemory, RequestInProgress};
use crate::server::access_log::AccessEntry;
use crate::server::refusal;

/// Larger responses count as memory held for their client, and are sent in portions of this size.
const LARGE: usize = 64 * 1024;

/// The paths that a connection without a place may request.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Records that a request begins, and wraps its body.
pub(super) fn begin(request: &mut Request, connection: &Connection) -> RequestInProgress {
    let payload = std::mem::replace(request.payload(), Payload::None);
    let has_body = !matches!(payload, Payload::None);
    let serving = connection.begin(has_body);
    if has_body {
        let paced = PacedBody::new(payload, connection.clone());
        *request.payload() = Payload::Stream { payload: Box::pin(paced) };
    }
    serving
}

/// Returns whether a request may be served: on a connection without a place, only health checks are.
pub(super) fn is_admitted(request: &Request, connection: &Connection) -> bool {
    !connection.is_on_probation() || HEALTH.contains(&request.path())
}

/// Returns the response to one that may not.
pub(super) fn crowded<B>(mut entry: AccessEntry) -> Response<TrackedBody<B>> {
    let mut refused = Response::with_body(StatusCode::SERVICE_UNAVAILABLE, ());
    entry.answered(&mut refused);
    let mut response = refused.set_body(TrackedBody::said(refusal::CROWDED, entry));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static(refusal::RETRY_AFTER));
    response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
    response
}

/// The body of a response. Its request counts as being served until it ends; then its line in the access log is
/// written.
pub(super) struct TrackedBody<B> {
    // Dropped first, so that the entry knows what was handed on.
    content: TrackedContent<B>,
    _serving: Option<RequestInProgress>,
    entry: AccessEntry,
}

enum TrackedContent<B> {
    /// The service's own body.
    Made(Pin<Box<B>>),
    /// A body in memory, handed on in portions, because the dispatcher copies what it gets.
    Large { bytes: Bytes, _held: HeldMemory },
    /// A fixed sentence.
    Said(&'static str),
}

impl<B: MessageBody> TrackedBody<B> {
    pub(super) fn of(body: B, serving: RequestInProgress, mut entry: AccessEntry) -> TrackedBody<B> {
        if matches!(body.size(), BodySize::None | BodySize::Sized(0)) {
            // Nobody polls an empty body.
            entry.ended();
        }
        let content = TrackedContent::of(body, &serving);
        TrackedBody { content, _serving: Some(serving), entry }
    }
}

impl<B> TrackedBody<B> {
    const fn said(text: &'static str, entry: AccessEntry) -> TrackedBody<B> {
        TrackedBody { content: TrackedContent::Said(text), _serving: None, entry }
    }
}

impl<B: MessageBody> TrackedContent<B> {
    fn of(body: B, serving: &RequestInProgress) -> TrackedContent<B> {
        if !matches!(body.size(), BodySize::Sized(size) if size > LARGE as u64) {
            return TrackedContent::Made(Box::pin(body));
        }
        match body.try_into_bytes() {
            // A buffer that grew by appending may have up to twice the capacity.
            Ok(bytes) => match serving.connection().hold(bytes.len().saturating_mul(2)) {
                Some(held) => TrackedContent::Large { bytes, _held: held },
                None => {
                    // This client holds the most, and there is no memory left.
                    serving.connection().close();
                    TrackedContent::Said("")
                }
            },
            Err(body) => TrackedContent::Made(Box::pin(body)),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        match self {
            TrackedContent::Made(body) => body.as_mut().poll_next(cx),
            TrackedContent::Large { bytes, .. } if bytes.is_empty() => Poll::Ready(None),
            TrackedContent::Large { bytes, .. } => {
                let portion = bytes.split_to(bytes.len().min(LARGE));
                Poll::Ready(Some(Ok(portion)))
            }
            TrackedContent::Said(text) => {
                let text = std::mem::take(text);
                Poll::Ready((!text.is_empty()).then(|| Ok(Bytes::from_static(text.as_bytes()))))
            }
        }
    }
}

impl<B: MessageBody> MessageBody for TrackedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        match &self.content {
            TrackedContent::Made(body) => body.size(),
            TrackedContent::Large { bytes, .. } => BodySize::Sized(bytes.len() as u64),
            TrackedContent::Said(text) => BodySize::Sized(text.len() as u64),
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let polled = self.content.poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(bytes))) => self.entry.sent(bytes.len() as u64),
            Poll::Ready(None) => self.entry.ended(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }
}

/// A request body with a minimum speed. Only the time spent waiting for its bytes counts, because a slow disk
/// isn't the client's fault.
struct PacedBody {
    body: Payload<BoxedPayloadStream>,
    connection: Connection,
    /// When the current wait for bytes began.
    waiting_since: Option<Instant>,
    /// Earlier waiting time in this window.
    waited: Duration,
    /// How many bytes arrived in this window.
    came: u64,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl PacedBody {
    fn new(body: Payload<BoxedPayloadStream>, connection: Connection) -> PacedBody {
        PacedBody {
            body,
            connection,
            waiting_since: None,
            waited: Duration::ZERO,
            came: 0,
            timer: None,
            ended: false,
        }
    }

    /// Ready when the waiting time has reached the window and too few bytes arrived.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limits = self.connection.limits();
        loop {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            let deadline = since + limits.window.saturating_sub(self.waited);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline <= Instant::now() {
                if self.came < limits.least_per_window {
                    return Poll::Ready(());
                }
                (self.came, self.waited, self.waiting_since) = (0, Duration::ZERO, None);
            }
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            timer.as_mut().reset(since + limits.window.saturating_sub(self.waited));
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.connection.body_ended();
    }
}

impl Stream for PacedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_next(cx);
        if polled.is_ready()
            && let Some(since) = this.waiting_since.take()
        {
            this.waited += since.elapsed();
            this.connection.set_awaiting_body(false);
        }
        match polled {
            Poll::Ready(Some(Ok(bytes))) => {
                this.came = this.came.saturating_add(bytes.len() as u64);
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(ended) => {
                if ended.is_none() {
                    this.end();
                }
                Poll::Ready(ended)
            }
            Poll::Pending => {
                this.connection.set_awaiting_body(true);
                match this.poll_patience(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        let slow =
                            std::io::Error::new(std::io::ErrorKind::TimedOut, "the client sends too slowly");
                        Poll::Ready(Some(Err(PayloadError::Io(slow))))
                    }
                }
            }
        }
    }
}

impl Drop for PacedBody {
    /// A reader that has enough may not have polled for the end, which may be available.
    fn drop(&mut self) {
        self.connection.set_awaiting_body(false);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while !self.ended {
            match Pin::new(&mut self.body).poll_next(&mut cx) {
                Poll::Ready(None) => self.end(),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) | Poll::Pending => break,
            }
        }
    }
}
