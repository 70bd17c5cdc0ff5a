//! Waiting for one turn of the event loop, to do for many requests at once what is cheaper for many.
//!
//! A turn is over when everything that was ready on this thread has run and the system was asked what else is
//! ready. It adds no delay: an idle thread turns in about a microsecond.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Waits for one turn of the event loop.
///
/// [`tokio::task::yield_now`] counts polls, and HTTP's dispatcher polls a handler twice in a row; this waits
/// until the loop has really turned.
pub(crate) fn turn() -> Turn {
    Turn { waiting: None }
}

/// The future of [`turn`].
pub(crate) struct Turn {
    waiting: Option<Arc<Waiting>>,
}

/// Learns from the event loop that it has turned.
struct Waiting {
    is_over: AtomicBool,
    task: Waker,
}

impl Wake for Waiting {
    fn wake(self: Arc<Waiting>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Waiting>) {
        self.is_over.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = &self.waiting {
            if waiting.is_over.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            // Another task may have taken over the future; then the turn begins again in its loop.
            if waiting.task.will_wake(cx.waker()) {
                return Poll::Pending;
            }
        }
        let waiting = Arc::new(Waiting { is_over: AtomicBool::new(false), task: cx.waker().clone() });
        let waker = Waker::from(Arc::clone(&waiting));
        self.waiting = Some(waiting);
        // Its first poll leaves the waker with the loop, which wakes it after the turn.
        let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&waker));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    #[actix_web::test]
    async fn a_turn_is_over_when_every_other_task_that_was_ready_has_run() {
        let ran = Rc::new(Cell::new(0));
        let others = ran.clone();
        for _ in 0..40 {
            let others = others.clone();
            actix_rt::spawn(async move { others.set(others.get() + 1) });
        }
        let mut turn = turn();
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            // Like HTTP's dispatcher, twice in a row.
            let first = Pin::new(&mut turn).poll(cx);
            if first.is_pending() { Pin::new(&mut turn).poll(cx) } else { first }
        })
        .await;
        assert_eq!((ran.get(), polls), (40, 2));
    }

    #[actix_web::test]
    async fn a_turn_goes_on_in_the_task_that_takes_it_over() {
        let mut turn = turn();
        poll_fn(|cx| {
            assert!(Pin::new(&mut turn).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        actix_rt::spawn(turn).await.unwrap();
    }

    #[test]
    fn a_turn_ends_where_there_is_no_event_loop() {
        futures_util::FutureExt::now_or_never(turn()).map_or_else(
            || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(turn()),
            |()| panic!("a turn takes a poll"),
        );
    }
}
