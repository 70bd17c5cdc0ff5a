//! Requests that arrive while others of their kind are with the database, and are then carried out together: one
//! transaction and one sync for what is written, one query for what is looked up. Nothing waits for a group to fill:
//! a request that comes alone is carried out at once.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::tasks::InRuntime;
use crate::web::db::QueryError;

/// Maximum number of requests that are written together.
const TOGETHER: usize = 256;

/// Maximum number of requests that wait.
const WAITING: usize = 4_096;

/// How long a request waits for its result. Longer than a query waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request has no result. It may have been written, unless it could not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Too many others are waiting.
    #[error("too many requests are waiting to be written")]
    Full,
    /// The result did not come in time.
    #[error("the request was not written in time")]
    Late,
    /// The task that wrote it ended.
    #[error("the write was interrupted")]
    Interrupted,
}

/// A request in a group failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupedQueryError {
    /// The database failed.
    #[error(transparent)]
    Query(Arc<QueryError>),
    /// There was no result.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// The requests of one kind that are waiting. Clones share them.
pub(crate) struct Groups<T, R>(Arc<Mutex<Waiting<T, R>>>);

struct Waiting<T, R> {
    entries: Vec<Entry<T, R>>,
    /// Whether a task is writing. It ends when nothing waits.
    is_writing: bool,
}

struct Entry<T, R> {
    request: T,
    result: oneshot::Sender<R>,
}

impl<T, R> Clone for Groups<T, R> {
    fn clone(&self) -> Groups<T, R> {
        Groups(Arc::clone(&self.0))
    }
}

impl<T, R> Default for Groups<T, R> {
    fn default() -> Groups<T, R> {
        Groups(Arc::new(Mutex::new(Waiting { entries: Vec::new(), is_writing: false })))
    }
}

impl<T: Send + 'static, R: Send + 'static> Groups<T, R> {
    /// Has `write` carry out the request together with all others that are waiting, and returns its result. `write`
    /// returns one result for each request, in the same order; every caller must pass the same function. It runs
    /// in a task of its own, to its end, whatever the callers do.
    ///
    /// # Errors
    /// When there is no result.
    pub(crate) async fn submit<F, Fut>(&self, request: T, write: F) -> Result<R, GroupError>
    where
        F: Fn(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send + 'static,
    {
        let (result, coming) = oneshot::channel();
        if self.add(Entry { request, result })? {
            let writer = Writer { groups: self.clone(), has_ended: false };
            drop(tokio::spawn(InRuntime::here(writer.run(write))));
        }
        let arrived = tokio::time::timeout(PATIENCE, coming).await.map_err(|_| GroupError::Late)?;
        arrived.map_err(|_| GroupError::Interrupted)
    }

    /// Returns whether the caller must start the task that writes.
    fn add(&self, entry: Entry<T, R>) -> Result<bool, GroupError> {
        let mut waiting = self.lock();
        if waiting.entries.len() >= WAITING {
            return Err(GroupError::Full);
        }
        waiting.entries.push(entry);
        Ok(!std::mem::replace(&mut waiting.is_writing, true))
    }

    /// Returns the next group; `None` when nothing waits, and then no task is writing any more.
    fn next(&self) -> Option<Vec<Entry<T, R>>> {
        let mut waiting = self.lock();
        // Those whose callers are gone would be written for nobody.
        waiting.entries.retain(|entry| !entry.result.is_closed());
        let together = waiting.entries.len().min(TOGETHER);
        let group: Vec<_> = waiting.entries.drain(..together).collect();
        waiting.is_writing = !group.is_empty();
        Some(group).filter(|group| !group.is_empty())
    }
}

impl<T, R> Groups<T, R> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T, R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that writes.
struct Writer<T, R> {
    groups: Groups<T, R>,
    has_ended: bool,
}

impl<T: Send + 'static, R: Send + 'static> Writer<T, R> {
    async fn run<F, Fut>(mut self, write: F)
    where
        F: Fn(Vec<T>) -> Fut,
        Fut: Future<Output = Vec<R>>,
    {
        while let Some(group) = self.groups.next() {
            let (requests, results): (Vec<_>, Vec<_>) =
                group.into_iter().map(|entry| (entry.request, entry.result)).unzip();
            for (result, outcome) in results.into_iter().zip(write(requests).await) {
                // A caller that is gone needs no result.
                drop(result.send(outcome));
            }
        }
        self.has_ended = true;
    }
}

impl<T, R> Drop for Writer<T, R> {
    /// After a panic, or when the runtime ends: those that wait get an error, and the next one starts again.
    fn drop(&mut self) {
        if !self.has_ended {
            let mut waiting = self.groups.lock();
            waiting.entries.clear();
            waiting.is_writing = false;
        }
    }
}

/// Writes the requests of a group together. If the database refuses one of them, each is written alone, because
/// one must not fail the others.
pub(crate) async fn together_or_each<'r, T, R, E, F, Fut>(
    requests: &[&'r T],
    write: F,
    is_refusal: impl Fn(&E) -> bool,
) -> Vec<Result<R, Arc<E>>>
where
    F: Fn(Vec<&'r T>) -> Fut,
    Fut: Future<Output = Result<Vec<R>, E>>,
{
    let failed = |error: E, count: usize| {
        let error = Arc::new(error);
        (0..count).map(move |_| Err(Arc::clone(&error)))
    };
    let mut results = Vec::with_capacity(requests.len());
    match write(requests.to_vec()).await {
        Ok(written) => results.extend(written.into_iter().map(Ok)),
        Err(error) if requests.len() == 1 || !is_refusal(&error) => {
            results.extend(failed(error, requests.len()));
        }
        Err(_) => {
            for request in requests {
                match write(vec![*request]).await {
                    Ok(written) => results.extend(written.into_iter().map(Ok)),
                    Err(error) if is_refusal(&error) => results.extend(failed(error, 1)),
                    // The others would fail for the same reason, after the same wait.
                    Err(error) => {
                        results.extend(failed(error, requests.len() - results.len()));
                        break;
                    }
                }
            }
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[actix_web::test]
    async fn what_arrives_during_a_write_is_written_together_and_each_gets_its_own_result() {
        let (groups, sizes) = (Groups::<usize, usize>::default(), Arc::new(Mutex::new(Vec::new())));
        let gate = Arc::new(Semaphore::new(0));
        let write = |request| {
            let (sizes, gate) = (Arc::clone(&sizes), Arc::clone(&gate));
            groups.submit(request, move |requests: Vec<usize>| {
                let (sizes, gate) = (Arc::clone(&sizes), Arc::clone(&gate));
                async move {
                    sizes.lock().unwrap().push(requests.len());
                    gate.acquire().await.unwrap().forget();
                    requests.iter().map(|request| request * 2).collect()
                }
            })
        };
        let open = async {
            while sizes.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            gate.add_permits(10);
        };
        let (results, ()) = tokio::join!(join_all((0..600).map(write)), open);
        assert_eq!(results, (0..600).map(|request| Ok(request * 2)).collect::<Vec<_>>());
        let sizes = sizes.lock().unwrap().clone();
        assert!(sizes.iter().all(|size| *size <= TOGETHER) && sizes.len() <= 5, "{sizes:?}");
        assert!(!groups.lock().is_writing);
    }

    #[actix_web::test]
    async fn a_request_that_is_refused_fails_alone_and_a_failure_of_the_database_ends_the_group() {
        let requests = [1, 2, 3, 4];
        let requests: Vec<&i32> = requests.iter().collect();
        let results = async |bad: i32, error: &'static str| {
            let write = |group: Vec<&i32>| {
                let result = match group.iter().any(|request| **request == bad) {
                    true => Err(error),
                    false => Ok(group.iter().map(|request| **request * 2).collect::<Vec<_>>()),
                };
                async move { result }
            };
            let results = together_or_each(&requests, write, |error| *error != "down").await;
            results.into_iter().map(|result| result.map_err(|error| *error)).collect::<Vec<_>>()
        };
        assert_eq!(results(9, "refused").await, [Ok(2), Ok(4), Ok(6), Ok(8)]);
        assert_eq!(results(2, "refused").await, [Ok(2), Err("refused"), Ok(6), Ok(8)]);
        assert_eq!(results(2, "down").await, [Err("down"); 4]);
        // The group is refused, and then the database fails.
        let write = |group: Vec<&i32>| {
            let result = match group.as_slice() {
                [1] => Ok(vec![2]),
                [_] => Err("down"),
                _ => Err("refused"),
            };
            async move { result }
        };
        let results = together_or_each(&requests, write, |error| *error != "down").await;
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false]);
    }

    #[actix_web::test]
    async fn a_write_that_panics_fails_its_callers_and_the_next_one_starts_again() {
        let groups = Groups::<bool, ()>::default();
        let write = |panics| {
            groups.submit(panics, |requests: Vec<bool>| async move {
                assert!(!requests.contains(&true), "this write fails");
                vec![(); requests.len()]
            })
        };
        assert_eq!(write(true).await, Err(GroupError::Interrupted));
        assert_eq!(write(false).await, Ok(()));
    }

    #[actix_web::test]
    async fn a_write_goes_on_without_its_caller_and_no_more_than_a_bound_wait() {
        let groups = Groups::<usize, ()>::default();
        let gate = Arc::new(Semaphore::new(0));
        let write = |request| {
            let gate = Arc::clone(&gate);
            groups.submit(request, move |requests: Vec<usize>| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.unwrap().forget();
                    vec![(); requests.len()]
                }
            })
        };
        let mut waiting: Vec<_> = (0..=WAITING).map(|request| Box::pin(write(request))).collect();
        let mut first = waiting.swap_remove(0);
        assert!((&mut first).now_or_never().is_none());
        while !groups.lock().entries.is_empty() {
            tokio::task::yield_now().await;
        }
        drop(first);
        for request in &mut waiting {
            assert!(request.now_or_never().is_none());
        }
        assert_eq!(write(0).await, Err(GroupError::Full));
        drop(waiting);
        gate.add_permits(1);
        while groups.lock().is_writing {
            tokio::task::yield_now().await;
        }
        assert!(groups.lock().entries.is_empty(), "nothing is written for callers who are gone");
        assert_eq!(gate.available_permits(), 0);
    }
}
