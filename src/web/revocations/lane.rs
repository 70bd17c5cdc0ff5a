//! The revocations of one node: delivers them in order and in commands of limited size, and retries with
//! growing pauses while the node fails.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::Row;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::clock::Timestamp;
use crate::config::NodeSettings;
use crate::id::Jti;
use crate::tasks::Backoff;
use crate::telemetry::chain;
use crate::token::claims::MAX_REVOKED;
use crate::web::db::{Database, QueryError};
use crate::web::nodes::revoke::{RevocationSink, RevokeError};

/// Maximum number of jtis in one command, so that its token stays well below the maximum length.
const PER_COMMAND: i64 = if MAX_REVOKED < 64 { MAX_REVOKED as i64 } else { 64 };

/// The pause after a failure doubles from this …
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// … up to this. Newly marked revocations are tried one second after the last attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// How often it is logged that revocations are waiting.
pub(super) const REMIND_EVERY: Duration = Duration::from_secs(60 * 60);

/// The delivery of revocations to one node.
pub(crate) struct NodeLane {
    pub(crate) node: NodeSettings,
    sink: OnceLock<Arc<dyn RevocationSink>>,
    /// Notified when something was marked in this process.
    marked: Notify,
    /// Notified when something is waiting, whichever process marked it.
    found: Notify,
    /// When the failure was last logged; `None` while deliveries succeed.
    failing: Mutex<Option<Timestamp>>,
}

impl NodeLane {
    pub(crate) fn new(node: NodeSettings) -> NodeLane {
        NodeLane {
            node,
            sink: OnceLock::new(),
            marked: Notify::new(),
            found: Notify::new(),
            failing: Mutex::new(None),
        }
    }

    pub(crate) fn set_sink(&self, to: Arc<dyn RevocationSink>) {
        let _only_the_first_counts = self.sink.set(to);
    }

    pub(crate) fn has_sink(&self) -> bool {
        self.sink.get().is_some()
    }

    pub(crate) fn wake(&self) {
        self.marked.notify_one();
    }

    pub(crate) fn notify_found(&self) {
        self.found.notify_one();
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns how many revocations wait for this node.
    pub(crate) async fn waiting(&self, db: &Database) -> Result<i64, QueryError> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM revocations WHERE node = $1")
            .bind(&self.node.public_url)
            .fetch_one(db.reader())
            .await?)
    }

    /// Delivers everything that is waiting, and returns how many revocations that were.
    pub(crate) async fn deliver(&self, db: &Database, now: Timestamp) -> Result<usize, RevokeError> {
        let Some(to) = self.sink.get() else { return Ok(0) };
        let mut delivered = 0;
        loop {
            let rows =
                sqlx::query("SELECT jti FROM revocations WHERE node = $1 ORDER BY marked_at, jti LIMIT $2")
                    .bind(&self.node.public_url)
                    .bind(PER_COMMAND)
                    .fetch_all(db.reader())
                    .await?;
            let texts = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            let jtis: Vec<Jti> = texts.iter().filter_map(|jti| jti.parse().ok()).collect();
            if texts.is_empty() {
                return Ok(delivered);
            }
            if !jtis.is_empty() {
                to.revoke(&jtis, now).await?;
            }
            let mut transaction = db.begin().await?;
            for jti in &texts {
                sqlx::query("DELETE FROM revocations WHERE jti = $1 AND node = $2")
                    .bind(jti)
                    .bind(&self.node.public_url)
                    .execute(&mut *transaction)
                    .await?;
            }
            db.commit(transaction).await?;
            delivered += jtis.len();
        }
    }

    /// Delivers marked revocations until the future is dropped.
    pub(crate) async fn run(&self, db: &Database, now: impl Fn() -> Timestamp) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            match backoff.wait() {
                None => {
                    tokio::select! {
                        () = self.marked.notified() => {}
                        () = self.found.notified() => {}
                    }
                }
                Some(pause) => {
                    sleep(pause.min(BETWEEN_ATTEMPTS)).await;
                    let rest = pause.saturating_sub(BETWEEN_ATTEMPTS);
                    let _marked_or_not = timeout(rest, self.marked.notified()).await;
                }
            }
            match self.deliver(db, now()).await {
                Ok(count) => {
                    backoff.succeeded();
                    self.note_success();
                    if count > 0 {
                        tracing::info!(count, node = self.node.name, "tokens revoked");
                    }
                }
                Err(error) => {
                    backoff.failed();
                    self.note_failure(&error, self.waiting(db).await.unwrap_or_default(), now());
                }
            }
        }
    }

    fn note_success(&self) {
        if self.failing.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!(node = self.node.name, "revocations reach the download service again");
        }
    }

    /// Logs a failure immediately, and then once an hour as long as it lasts.
    fn note_failure(&self, error: &RevokeError, count: i64, now: Timestamp) {
        let (node, cause) = (&self.node.name, chain(error));
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match *failing {
            None => tracing::warn!(count, node, cause, "revocations are waiting; retrying"),
            Some(said) if now.since(said) >= REMIND_EVERY => {
                tracing::error!(count, node, cause, "revocations are still waiting; retrying");
            }
            Some(_) => return,
        }
        *failing = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing::subscriber::with_default;

    use super::*;

    /// Collects the log output.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failure_is_logged_at_once_and_then_once_an_hour() {
        let lane = NodeLane::new(NodeSettings {
            name: "eu".to_owned(),
            public_url: "https://eu.example".to_owned(),
            inner_url: "http://10.0.0.7:8081".to_owned(),
            weight: 1,
        });
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let at = |seconds: u64| Timestamp::from_secs(1_800_000_000 + seconds);
        with_default(subscriber, || {
            for seconds in [0, 10, 3599, 3600, 3700, 7200] {
                lane.note_failure(&RevokeError::Answer(503), 2, at(seconds));
            }
            lane.note_success();
            lane.note_failure(&RevokeError::Answer(503), 2, at(7201));
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let levels: Vec<&str> = text.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(levels, ["WARN", "ERROR", "ERROR", "INFO", "WARN"], "{text}");
        assert!(text.lines().next().unwrap().contains("count=2") && text.contains("eu"), "{text}");
        assert!(text.contains("the download service responded with status 503"), "{text}");
    }
}
