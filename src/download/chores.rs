//! What is done from time to time while the service runs.

use std::sync::Arc;
use std::time::Duration;

use crate::download::shared_store;
use crate::download::state::DownloadState;

/// How often the background tasks run.
const KEEP_TIME_EVERY: Duration = Duration::from_secs(8);
const PURGE_EVERY: Duration = Duration::from_secs(10 * 60);
const LEDGER_PURGE_EVERY: Duration = Duration::from_secs(60);

impl DownloadState {
    /// Maintains the store, the ledger, the keys and the rate limiter until dropped.
    pub async fn maintain(self: Arc<DownloadState>) {
        let shared_store = async {
            if self.store.is_shared() {
                shared_store::watch(&self).await;
            }
        };
        tokio::join!(self.run_maintenance(), shared_store);
    }

    async fn run_maintenance(&self) {
        let mut keep_time = tokio::time::interval(KEEP_TIME_EVERY);
        let mut purge_ledger = tokio::time::interval(LEDGER_PURGE_EVERY);
        let mut purge_store = tokio::time::interval(PURGE_EVERY);
        let mut fresh_keys = std::pin::pin!(self.keys.run(&self.clock));
        loop {
            tokio::select! {
                () = &mut fresh_keys => {}
                _ = keep_time.tick() => {
                    if let Err(e) = self.store.record_time(self.clock.now()).await {
                        tracing::error!(cause = crate::telemetry::chain(&e), "the used-token store cannot record the time");
                    }
                }
                _ = purge_ledger.tick() => {
                    self.ledger.purge(self.lease, self.clock.now());
                    self.views.purge(self.clock.now().minus(self.rules.leeway));
                    if let Some(limiter) = &self.invalid {
                        limiter.retain_recent();
                    }
                    let (open, whole) = self.ledger.len();
                    tracing::debug!(open, whole, "deliveries in the ledger");
                }
                _ = purge_store.tick() => self.purge().await,
            }
        }
    }

    async fn purge(&self) {
        match self.store.purge(self.clock.now()).await {
            Ok(0) => tracing::debug!("no used tokens to purge"),
            Ok(count) => tracing::info!(count, "purged used tokens that can no longer matter"),
            Err(e) => {
                tracing::error!(cause = crate::telemetry::chain(&e), "the used-token store cannot be purged")
            }
        }
    }
}
