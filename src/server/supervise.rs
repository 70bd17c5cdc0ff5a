//! Background tasks, none of which may end unnoticed. One that ends or panics is an error in the log
//! and makes the process unready until it has run again for a while.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;

use crate::health::Health;

/// How long to wait before a task is started again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// After its first end.
    pub(super) first: Duration,
    /// At most; the wait doubles each time.
    pub(super) most: Duration,
    /// A task that has run for so long counts as running again.
    pub(super) steady: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            first: Duration::from_secs(1),
            most: Duration::from_secs(60),
            steady: Duration::from_secs(10),
        }
    }
}

/// Runs what `make` returns, on this thread, and again whenever it ends.
pub(super) fn supervise<F, Fut>(
    health: &Health,
    patience: Patience,
    task: &'static str,
    make: F,
) -> JoinHandle<()>
where
    F: Fn() -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let health = health.clone();
    actix_rt::spawn(async move {
        let mut wait = patience.first;
        loop {
            // What a panic leaves behind is what a crash would: each task begins from its store.
            let mut running = pin!(AssertUnwindSafe(make()).catch_unwind());
            let ended = tokio::select! {
                ended = &mut running => ended,
                () = tokio::time::sleep(patience.steady) => {
                    health.up(task);
                    wait = patience.first;
                    running.await
                }
            };
            if health.is_stopping() {
                return;
            }
            health.down(task);
            let how = if ended.is_err() { "panicked" } else { "ended" };
            tracing::error!(task, seconds = wait.as_secs(), "a background task {how}; it is started again");
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(patience.most);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::sync::mpsc;

    use super::*;

    const AT_ONCE: Patience =
        Patience { first: Duration::ZERO, most: Duration::ZERO, steady: Duration::from_secs(3600) };

    #[actix_web::test]
    async fn a_task_that_panics_or_ends_is_started_again_and_meanwhile_the_process_is_not_ready() {
        let health = Health::default();
        let (told, mut runs) = mpsc::unbounded_channel();
        let count = Rc::new(Cell::new(0));
        let task = supervise(&health, AT_ONCE, "a task", move || {
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
        task.abort();
    }

    #[actix_web::test]
    async fn a_task_that_runs_again_for_a_while_makes_the_process_ready() {
        let health = Health::default();
        health.down("a task");
        let steady = Patience { steady: Duration::ZERO, ..AT_ONCE };
        let task = supervise(&health, steady, "a task", std::future::pending::<()>);
        while health.verdict().is_err() {
            tokio::task::yield_now().await;
        }
        task.abort();
    }
}
