//! A connection's future: HTTP's dispatcher, and the deadline of the phase that the connection is in.
//!
//! The dispatcher has phases without a deadline (an answered request whose chunked body doesn't end, or a
//! second head that doesn't end). So the deadlines are enforced here, where dropping the dispatcher closes
//! the connection, whatever it is waiting for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use crate::connection::{Connection, ConnectionRefusal, ConnectionSlot, DeadlineExceeded};
use crate::tasks::InRuntime;

/// A connection, served until it ends, exceeds a deadline, or must make room.
pub(super) struct WithDeadlines<F> {
    dispatcher: InRuntime<F>,
    connection: Connection,
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
    // Dropped last, so that the place is free when the socket is closed.
    _place: ConnectionSlot,
}

impl<F> WithDeadlines<F> {
    pub(super) fn new(dispatcher: F, connection: Connection, place: ConnectionSlot) -> WithDeadlines<F> {
        WithDeadlines {
            dispatcher: InRuntime::here(dispatcher),
            connection,
            timer: None,
            armed: false,
            _place: place,
        }
    }

    /// Waits for the deadline of the current phase; ready when it has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<DeadlineExceeded> {
        loop {
            let Some((deadline, late)) = self.connection.deadline() else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // A timer that is due earlier stays unchanged: resetting it for each request would cost more than
            // checking again when it fires.
            if !self.armed || deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
                self.armed = true;
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = false;
            if deadline <= Instant::now() {
                return Poll::Ready(late);
            }
        }
    }
}

impl<E, F: Future<Output = Result<(), E>>> Future for WithDeadlines<F> {
    type Output = Result<(), E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.connection.must_close(cx) {
            return Poll::Ready(Ok(()));
        }
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut this.dispatcher).poll(cx) {
                return Poll::Ready(ended);
            }
            match this.poll_deadline(cx) {
                Poll::Pending => return Poll::Pending,
                // When polled again, the transport tells the client.
                Poll::Ready(DeadlineExceeded::Head) => this.connection.refuse(ConnectionRefusal::HeadTooSlow),
                Poll::Ready(DeadlineExceeded::Idle) => return Poll::Ready(Ok(())),
                Poll::Ready(DeadlineExceeded::Drain) => {
                    this.connection.close();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}
