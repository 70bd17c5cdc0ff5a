//! Claims of a store that nodes share, in groups: all claims that arrived while the previous groups were being
//! written are written together. No delay is added.
//!
//! Each claim has the same result as one written by itself: the store decides which is first, and each is
//! compared with the epoch and the position that its process knew when it was made. A group fails as a whole,
//! which nothing in a single claim can cause.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};

use crate::health::Health;
use crate::id::Jti;
use crate::tasks::{RestartDelay, Task};
use crate::used_tokens::{StoreError, UsedToken};

/// Maximum number of claims in a group.
const GROUP: usize = 512;

/// Maximum number of claims that are waiting or being written; further ones fail.
const WAITING_MAX: usize = 4_096;

/// How long a claim may wait before it is written. A claim that waited longer fails and spends nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon a writer that panicked is restarted.
const RESTART: RestartDelay = RestartDelay {
    first: Duration::from_millis(100),
    most: Duration::from_secs(2),
    steady: Duration::from_secs(10),
};

/// A claim, and what the process knew about the store when the token was checked.
pub(super) struct QueuedClaim {
    pub(super) used: UsedToken,
    pub(super) epoch: i64,
    pub(super) position: i64,
    queued_at: Instant,
    done: oneshot::Sender<Result<bool, StoreError>>,
    /// Given back when the claim has its result.
    _place: OwnedSemaphorePermit,
}

/// Writes groups of claims, one at a time.
#[async_trait]
pub(super) trait GroupWriter: Send + Sync + 'static {
    /// Records these claims, each of another jti and in the order of their jtis. Returns which of them were
    /// new, once that is durable. If the future is dropped or fails, the result of the group is unknown.
    async fn write(&self, claims: &[&QueuedClaim]) -> Result<HashSet<Jti>, Box<dyn Error + Send + Sync>>;

    /// Closes its connection.
    async fn disconnect(&self);
}

/// Writes claims in groups.
pub(super) struct ClaimQueue {
    /// Dropped before the queue.
    _tasks: Vec<Task>,
    queue: mpsc::UnboundedSender<QueuedClaim>,
    /// Limits the queue.
    places: Arc<Semaphore>,
    writers: Vec<Arc<dyn GroupWriter>>,
    /// Whether the writers run.
    health: Health,
}

impl ClaimQueue {
    /// Starts a task for each writer. `moved` is set when something was recorded.
    pub(super) fn start(writers: Vec<Arc<dyn GroupWriter>>, moved: &Arc<AtomicBool>) -> ClaimQueue {
        let (queue, claims) = mpsc::unbounded_channel();
        let claims = Arc::new(Mutex::new(claims));
        let health = Health::default();
        let task = |writer: &Arc<dyn GroupWriter>| {
            let (writer, claims, moved) = (writer.clone(), claims.clone(), moved.clone());
            Task::anywhere(&health, RESTART, "writing used tokens", move || {
                let (writer, claims, moved) = (writer.clone(), claims.clone(), moved.clone());
                async move { run(&*writer, &claims, &moved).await }
            })
        };
        let tasks = writers.iter().map(task).collect();
        let places = Arc::new(Semaphore::new(WAITING_MAX));
        ClaimQueue { _tasks: tasks, queue, places, writers, health }
    }

    /// Records `used` unless its jti is recorded. Returns whether it did, once that is durable.
    pub(super) async fn claim(&self, used: UsedToken, epoch: i64, position: i64) -> Result<bool, StoreError> {
        let place = self.places.clone().try_acquire_owned().map_err(|error| match error {
            TryAcquireError::Closed => StoreError::Closed,
            TryAcquireError::NoPermits => overloaded(),
        })?;
        let (done, answer) = oneshot::channel();
        let claim = QueuedClaim { used, epoch, position, queued_at: Instant::now(), done, _place: place };
        self.queue.send(claim).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| failed("its writer ended in the middle"))?
    }

    /// Returns whether the writers run.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.health.verdict().map_err(failed)
    }

    /// Waits until each running claim has its result, and disconnects. No claim may be made after this.
    pub(super) async fn close(&self) {
        self.health.begin_stop();
        let all = u32::try_from(WAITING_MAX).unwrap_or(u32::MAX);
        let _every_claim_has_ended = self.places.acquire_many(all).await;
        self.places.close();
        for writer in &self.writers {
            writer.disconnect().await;
        }
    }
}

/// Writes groups until the store is dropped.
async fn run(
    writer: &dyn GroupWriter,
    claims: &Mutex<mpsc::UnboundedReceiver<QueuedClaim>>,
    moved: &AtomicBool,
) {
    let mut group = Vec::with_capacity(GROUP);
    while claims.lock().await.recv_many(&mut group, GROUP).await > 0 {
        let (waiting, late): (Vec<_>, Vec<_>) =
            group.drain(..).partition(|claim: &QueuedClaim| claim.queued_at.elapsed() < PATIENCE);
        for claim in late {
            let _gone = claim.done.send(Err(overloaded()));
        }
        // Nobody would serve what is claimed for a caller that has gone.
        let waiting: Vec<_> = waiting.into_iter().filter(|claim| !claim.done.is_closed()).collect();
        if !waiting.is_empty() {
            write_and_answer(writer, waiting, moved).await;
        }
    }
}

async fn write_and_answer(writer: &dyn GroupWriter, mut group: Vec<QueuedClaim>, moved: &AtomicBool) {
    // Invariant: every node writes in the order of the jtis, so that two groups that contain the same jtis
    // wait for each other and never in a circle. Of several claims of one jti, the first in the latest epoch
    // is written.
    group.sort_by_key(|claim| (claim.used.jti, Reverse(claim.epoch)));
    let firsts: Vec<&QueuedClaim> =
        group.chunk_by(|a, b| a.used.jti == b.used.jti).filter_map(<[QueuedClaim]>::first).collect();
    let mut inserted = match writer.write(&firsts).await {
        Ok(inserted) => inserted,
        Err(error) => {
            let error: Arc<dyn Error + Send + Sync> = Arc::from(error);
            for claim in group {
                let _gone =
                    claim.done.send(Err(failed(Box::new(error.clone()) as Box<dyn Error + Send + Sync>)));
            }
            return;
        }
    };
    // Before the answers: what is served must have moved the store on.
    moved.fetch_or(!inserted.is_empty(), Ordering::AcqRel);
    for claim in group {
        // Only the first claim of a jti finds it.
        let _gone = claim.done.send(Ok(inserted.remove(&claim.used.jti)));
    }
}

fn overloaded() -> StoreError {
    failed("too many claims are waiting")
}

fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Backend { action: "claim a token", source: cause.into() }
}
