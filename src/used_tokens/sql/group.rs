//! Claims of a PostgreSQL store in groups: one statement and one commit for all claims that arrived while the
//! previous groups were being written. No delay is added.
//!
//! Each claim has the same result as one written by itself: the primary key decides which is first, and each is
//! compared with the epoch and the position that its process knew when it was made. A group fails as a whole,
//! which nothing in a single claim can cause.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};
use tokio::time::timeout;

use crate::files::identity::FileFingerprint;
use crate::health::Health;
use crate::id::Jti;
use crate::tasks::{RestartDelay, Task};
use crate::used_tokens::sql::columns::{backend, to_column};
use crate::used_tokens::{Lease, Mark, StoreError, UsedToken};

/// How many groups are written at once: while one waits for the disk or for another node, the next is being
/// sent. More make the groups smaller.
const WRITERS: usize = 4;

/// Maximum number of claims in a group.
const GROUP: usize = 512;

/// Maximum number of claims that are waiting or being written; further ones fail.
const WAITING_MAX: usize = 4_096;

/// How long a claim may wait before it is written, and how long connecting may take. A claim that waited longer
/// fails and spends nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a group may take. What happened to it is unknown afterwards.
const STATEMENT: Duration = Duration::from_secs(30);

/// After this time, a connection is tested before it is used: the database may have been restarted.
const TESTED: Duration = Duration::from_secs(1);

/// How soon a writer that panicked is restarted.
const RESTART: RestartDelay = RestartDelay {
    first: Duration::from_millis(100),
    most: Duration::from_secs(2),
    steady: Duration::from_secs(10),
};

/// A claim, and what the process knew about the database when the token was checked.
struct QueuedClaim {
    used: UsedToken,
    epoch: i64,
    position: i64,
    queued_at: Instant,
    done: oneshot::Sender<Result<bool, StoreError>>,
    /// Given back when the claim has its result.
    _place: OwnedSemaphorePermit,
}

/// Writes claims in groups.
pub(super) struct ClaimWriters {
    /// Dropped before the queue.
    _tasks: Vec<Task>,
    queue: mpsc::UnboundedSender<QueuedClaim>,
    /// Limits the queue.
    places: Arc<Semaphore>,
    writers: Vec<Arc<Writer>>,
    /// Whether the writers run.
    health: Health,
}

impl ClaimWriters {
    /// Starts the writers; they connect when there is something to write. `moved` is set when something was
    /// recorded.
    ///
    /// # Errors
    /// If `address` can't be parsed.
    pub(super) fn start(address: &str, moved: &Arc<AtomicBool>) -> Result<ClaimWriters, StoreError> {
        let options = PgConnectOptions::from_str(address).map_err(backend("connect"))?;
        let (queue, claims) = mpsc::unbounded_channel();
        let claims = Arc::new(Mutex::new(claims));
        let health = Health::default();
        let writer = || {
            let (claims, moved) = (claims.clone(), moved.clone());
            Arc::new(Writer { options: options.clone(), connection: Mutex::default(), claims, moved })
        };
        let writers: Vec<Arc<Writer>> = std::iter::repeat_with(writer).take(WRITERS).collect();
        let task = |writer: &Arc<Writer>| {
            let writer = writer.clone();
            Task::anywhere(&health, RESTART, "writing used tokens", move || {
                let writer = writer.clone();
                async move { writer.run().await }
            })
        };
        let tasks = writers.iter().map(task).collect();
        let places = Arc::new(Semaphore::new(WAITING_MAX));
        Ok(ClaimWriters { _tasks: tasks, queue, places, writers, health })
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
            if let Some(open) = writer.connection.lock().await.take() {
                // The server notices in any case.
                let _said_goodbye = open.connection.close().await;
            }
        }
    }
}

struct Writer {
    options: PgConnectOptions,
    connection: Mutex<Option<OpenConnection>>,
    claims: Arc<Mutex<mpsc::UnboundedReceiver<QueuedClaim>>>,
    moved: Arc<AtomicBool>,
}

struct OpenConnection {
    connection: PgConnection,
    used_at: Instant,
}

impl Writer {
    /// Writes groups until the store is dropped.
    async fn run(&self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.claims.lock().await.recv_many(&mut group, GROUP).await > 0 {
            let (waiting, late): (Vec<_>, Vec<_>) =
                group.drain(..).partition(|claim: &QueuedClaim| claim.queued_at.elapsed() < PATIENCE);
            for claim in late {
                let _gone = claim.done.send(Err(overloaded()));
            }
            // Nobody would serve what is claimed for a caller that has gone.
            let waiting: Vec<_> = waiting.into_iter().filter(|claim| !claim.done.is_closed()).collect();
            if !waiting.is_empty() {
                self.write_and_answer(waiting).await;
            }
        }
    }

    async fn write_and_answer(&self, mut group: Vec<QueuedClaim>) {
        // Invariant: every node inserts in the order of the jtis, so that two groups that contain the same jtis
        // wait for each other and never in a circle. Of several claims of one jti, the first in the latest
        // epoch is written.
        group.sort_by_key(|claim| (claim.used.jti, Reverse(claim.epoch)));
        let firsts: Vec<&QueuedClaim> =
            group.chunk_by(|a, b| a.used.jti == b.used.jti).filter_map(<[QueuedClaim]>::first).collect();
        let inserted = self.write(&firsts).await.map_err(Arc::new);
        let mut inserted = match inserted {
            Ok(inserted) => inserted,
            Err(error) => {
                for claim in group {
                    let source = error.clone().into();
                    let failed = StoreError::Backend { action: "claim a token", source };
                    let _gone = claim.done.send(Err(failed));
                }
                return;
            }
        };
        // Before the answers: what is served must have moved the store on.
        self.moved.fetch_or(!inserted.is_empty(), Ordering::AcqRel);
        for claim in group {
            // Only the first claim of a jti finds it.
            let _gone = claim.done.send(Ok(inserted.remove(&claim.used.jti)));
        }
    }

    /// Writes these claims, each of another jti, and returns which of them were new.
    async fn write(&self, claims: &[&QueuedClaim]) -> Result<HashSet<Jti>, sqlx::Error> {
        let mut kept = self.connection.lock().await;
        // Taken out, so that a connection in an unknown state is never used again.
        let mut open = match kept.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        if open.used_at.elapsed() > TESTED
            && !matches!(timeout(PATIENCE, open.connection.ping()).await, Ok(Ok(())))
        {
            open = self.connect().await?;
        }
        let inserted = timeout(STATEMENT, insert(&mut open.connection, claims)).await.map_err(slow)??;
        open.used_at = Instant::now();
        *kept = Some(open);
        Ok(inserted)
    }

    async fn connect(&self) -> Result<OpenConnection, sqlx::Error> {
        let connecting = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.execute("SET synchronous_commit = on").await?;
            // With any other level, one claim that meets another node's would fail the whole group.
            connection.execute("SET default_transaction_isolation = 'read committed'").await?;
            Ok(OpenConnection { connection, used_at: Instant::now() })
        };
        timeout(PATIENCE, connecting).await.map_err(slow)?
    }
}

/// Inserts these claims, and returns after the commit which of them were new.
async fn insert(connection: &mut PgConnection, claims: &[&QueuedClaim]) -> Result<HashSet<Jti>, sqlx::Error> {
    let all = |value: &dyn Fn(&QueuedClaim) -> i64| -> Vec<i64> {
        claims.iter().map(|claim| value(claim)).collect()
    };
    let leases = |value: &dyn Fn(Lease) -> i64| -> Vec<Option<i64>> {
        claims.iter().map(|claim| lease(claim).map(value)).collect()
    };
    let traces = |value: &dyn Fn(FileFingerprint) -> i64| -> Vec<Option<i64>> {
        claims.iter().map(|claim| lease(claim).and_then(|lease| lease.trace).map(value)).collect()
    };
    let key = |lease: Lease| URL_SAFE_NO_PAD.encode(lease.resume_key.as_bytes());
    let reserved = |lease: Lease| i64::try_from(lease.reserved).unwrap_or(i64::MAX);
    // Everything is read until the server is ready again, which means that the commit has returned.
    let rows: Vec<String> = sqlx::query_scalar(
        "INSERT INTO used_tokens \
         (jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
          file_inode, file_changed_ns, file_edges, reserved, active_at) \
         SELECT jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, file_modified_ns, \
          file_inode, file_changed_ns, file_edges, reserved, active_at \
         FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[], \
          $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], \
          $13::BIGINT[], $14::BIGINT[], $15::BIGINT[]) \
          AS claims (jti, marked_at, forget_at, revoked, resume_key, lease_until, file_len, \
          file_modified_ns, file_inode, file_changed_ns, file_edges, reserved, active_at, epoch, position) \
         WHERE (SELECT moment FROM used_tokens_state WHERE name = 'epoch') = claims.epoch \
         AND (SELECT moment FROM used_tokens_state WHERE name = 'position') >= claims.position \
         ON CONFLICT (jti) DO NOTHING RETURNING jti",
    )
    .bind(claims.iter().map(|claim| claim.used.jti.to_string()).collect::<Vec<_>>())
    .bind(all(&|claim| to_column(claim.used.marked_at)))
    .bind(all(&|claim| to_column(claim.used.forget_at)))
    .bind(all(&|claim| i64::from(claim.used.mark == Mark::Revoked)))
    .bind(claims.iter().map(|claim| lease(claim).map(key)).collect::<Vec<_>>())
    .bind(leases(&|lease| to_column(lease.until)))
    // Stored bit by bit, as in a single claim.
    .bind(leases(&|lease| lease.version.len.cast_signed()))
    .bind(leases(&|lease| lease.version.modified_ns.cast_signed()))
    .bind(traces(&|trace| trace.inode.cast_signed()))
    .bind(traces(&|trace| trace.changed_ns.cast_signed()))
    .bind(traces(&|trace| i64::from_be_bytes(*trace.edges.as_bytes())))
    .bind(all(&|claim| lease(claim).map_or(0, reserved)))
    .bind(leases(&|lease| to_column(lease.active_at)))
    .bind(all(&|claim| claim.epoch))
    .bind(all(&|claim| claim.position))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|jti| jti.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))).collect()
}

fn lease(claim: &QueuedClaim) -> Option<Lease> {
    match claim.used.mark {
        Mark::Redeemed(lease) => lease,
        Mark::Revoked => None,
    }
}

fn overloaded() -> StoreError {
    failed("too many claims are waiting")
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Backend { action: "claim a token", source: cause.into() }
}

fn slow(_: tokio::time::error::Elapsed) -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
