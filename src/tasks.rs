//! Supervised background tasks, and futures that are dropped within their runtime.
//!
//! A task that ends or panics is logged as an error and restarted, and the process isn't ready until the task
//! has run for a while.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::health::Health;

/// Exponential backoff: each failure doubles the wait before the next attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    wait: Option<Duration>,
}

impl Backoff {
    /// Creates a backoff whose waits start at `first` and are limited to `max`.
    pub(crate) const fn new(first: Duration, max: Duration) -> Backoff {
        Backoff { first, max, wait: None }
    }

    /// Returns how long to wait before the next attempt; `None` unless the last one failed.
    pub(crate) const fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Records a failed attempt, and returns how long to wait before the next one.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = self.wait.map_or(self.first, |wait| wait.saturating_mul(2).min(self.max));
        self.wait = Some(wait);
        wait
    }

    /// Records a successful attempt, and returns whether the previous one had failed.
    pub(crate) const fn succeeded(&mut self) -> bool {
        self.wait.take().is_some()
    }
}

/// How long to wait before a task is restarted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestartDelay {
    /// After it ended for the first time.
    pub(crate) first: Duration,
    /// Maximum wait; it doubles each time.
    pub(crate) most: Duration,
    /// After this time, a restarted task counts as running.
    pub(crate) steady: Duration,
}

impl Default for RestartDelay {
    fn default() -> RestartDelay {
        RestartDelay {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
            steady: Duration::from_secs(10),
        }
    }
}

/// A background task that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    /// Runs the future that `make` returns on this thread, and restarts it whenever it ends.
    pub(crate) fn local<F, Fut>(health: &Health, patience: RestartDelay, name: &'static str, make: F) -> Task
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        Task(actix_rt::spawn(InRuntime::here(keep_running(health.clone(), patience, name, make))))
    }

    /// Like [`Task::local`], but runs the future on any thread of the runtime.
    pub(crate) fn anywhere<F, Fut>(
        health: &Health,
        patience: RestartDelay,
        name: &'static str,
        make: F,
    ) -> Task
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Task(tokio::spawn(keep_running(health.clone(), patience, name, make)))
    }

    /// Ends the task at its next await.
    pub(crate) fn end(&self) {
        self.0.abort();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end();
    }
}

async fn keep_running<F, Fut>(health: Health, patience: RestartDelay, task: &'static str, make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()>,
{
    let mut backoff = Backoff::new(patience.first, patience.most);
    loop {
        // A panic leaves the same state as a crash, and each task starts from its store.
        let mut running = pin!(AssertUnwindSafe(make()).catch_unwind());
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = tokio::time::sleep(patience.steady) => {
                health.up(task);
                backoff.succeeded();
                running.await
            }
        };
        if health.is_stopping() && ended.is_ok() {
            return;
        }
        health.down(task);
        let how = if ended.is_err() { "panicked" } else { "ended" };
        let wait = backoff.failed();
        tracing::error!(task, seconds = wait.as_secs(), "a background task {how} and will be restarted");
        tokio::time::sleep(wait).await;
    }
}

/// A future that is dropped within the runtime in which it was created, even if it is dropped because the
/// runtime's thread ends. A database connection, for example, is returned to its pool by a task, and panics
/// if no task can be spawned.
pub(crate) struct InRuntime<F> {
    future: Option<Pin<Box<F>>>,
    runtime: Option<Handle>,
}

impl<F> InRuntime<F> {
    /// Wraps a future in the current runtime.
    pub(crate) fn here(future: F) -> InRuntime<F> {
        InRuntime { future: Some(Box::pin(future)), runtime: Handle::try_current().ok() }
    }
}

impl<F: Future> Future for InRuntime<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match &mut self.future {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for InRuntime<F> {
    fn drop(&mut self) {
        let _within = self.runtime.as_ref().map(Handle::enter);
        self.future = None;
    }
}

/// Runs a step in a task of its own, to its end, even if the caller is dropped; its result is dropped then. `None`
/// if the step panicked or the runtime is ending.
pub(crate) async fn to_its_end<T: Send + 'static>(
    step: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    tokio::spawn(InRuntime::here(step)).await.ok()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::sync::mpsc;

    use super::*;

    const AT_ONCE: RestartDelay =
        RestartDelay { first: Duration::ZERO, most: Duration::ZERO, steady: Duration::from_secs(3600) };

    #[actix_web::test]
    async fn a_task_that_panics_or_ends_is_started_again_and_meanwhile_the_process_is_not_ready() {
        let health = Health::default();
        let (told, mut runs) = mpsc::unbounded_channel();
        let count = Rc::new(Cell::new(0));
        let task = Task::local(&health, AT_ONCE, "a task", move || {
            let (told, run) = (told.clone(), count.get());
            count.set(run + 1);
            async move {
                told.send(run).unwrap();
                match run {
                    0 => panic!("the first run"),
                    1 => {}
                    _ => std::future::pending().await,
                }
            }
        });
        assert_eq!(health.verdict(), Ok(()));
        for run in 0..3 {
            assert_eq!(runs.recv().await, Some(run));
        }
        assert_eq!(health.verdict(), Err("a background task is down: a task".to_owned()));
        drop(task);
    }

    #[actix_web::test]
    async fn a_task_that_runs_again_for_a_while_makes_the_process_ready() {
        let health = Health::default();
        health.down("a task");
        let steady = RestartDelay { steady: Duration::ZERO, ..AT_ONCE };
        let task = Task::local(&health, steady, "a task", std::future::pending::<()>);
        while health.verdict().is_err() {
            tokio::task::yield_now().await;
        }
        drop(task);
    }

    #[test]
    fn waits_double_up_to_their_maximum_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(1));
        assert!(backoff.wait().is_none() && !backoff.succeeded());
        let waits: [Duration; 4] = std::array::from_fn(|_| backoff.failed());
        assert_eq!(waits.map(|wait| wait.as_millis()), [300, 600, 1_000, 1_000]);
        assert!(backoff.succeeded());
        assert_eq!(backoff.failed(), Duration::from_millis(300));
    }

    #[test]
    fn what_a_runtime_leaves_behind_is_dropped_within_it() {
        struct Asks(std::sync::mpsc::Sender<bool>);
        impl Drop for Asks {
            fn drop(&mut self) {
                self.0.send(Handle::try_current().is_ok()).unwrap();
            }
        }
        let (told, found) = std::sync::mpsc::channel();
        let runtime = actix_rt::Runtime::new().unwrap();
        runtime.block_on(async {
            let asks = Asks(told);
            drop(actix_rt::spawn(InRuntime::here(async move {
                let _asks = asks;
                std::future::pending::<()>().await;
            })));
            tokio::task::yield_now().await;
        });
        drop(runtime);
        assert_eq!(found.recv(), Ok(true));
    }
}
