//! A connection's future: HTTP's dispatcher, and the deadline of the phase that the connection is in.
//!
//! The dispatcher has phases without a deadline (an answered request whose chunked body does not end,
//! a second head that does not), so the deadlines are kept out here, where dropping the dispatcher
//! closes the connection whatever it waits for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use crate::connection::{Connection, Late, Place, Refusal};
use crate::tasks::Within;

/// One connection, served until it ends, is too late, or must make room.
pub(super) struct Bounded<F> {
    dispatcher: Within<F>,
    connection: Connection,
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
    // Dropped last: the place is free when the socket is closed.
    _place: Place,
}

impl<F> Bounded<F> {
    pub(super) fn new(dispatcher: F, connection: Connection, place: Place) -> Bounded<F> {
        Bounded { dispatcher: Within::here(dispatcher), connection, timer: None, armed: false, _place: place }
    }

    /// Waits for the end of the present phase; ready when that is past.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        loop {
            let Some((deadline, late)) = self.connection.deadline() else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // A timer that is due earlier stays as it is: moving it for each request would cost more
            // than looking again when it goes off.
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

impl<E, F: Future<Output = Result<(), E>>> Future for Bounded<F> {
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
                // Polled once more, the transport says so to the client.
                Poll::Ready(Late::Head) => this.connection.refuse(Refusal::HeadTooSlow),
                Poll::Ready(Late::Idle) => return Poll::Ready(Ok(())),
                Poll::Ready(Late::Drain) => {
                    this.connection.close();
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}
