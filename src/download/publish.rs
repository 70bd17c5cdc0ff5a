//! Publishes the metrics of the download service: those that it counts, and those that are read.

use prometheus_client::registry::Registry;

use crate::download::state::DownloadState;

impl DownloadState {
    /// Adds the metrics of this service to those that are published.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let metrics = &self.metrics;
        let requests =
            "Requests for a file by what came of them: redeemed, resumed, or the word of the refusal";
        registry.register("download_requests", requests, metrics.requests.clone());
        let bytes = "Bytes of files that were handed on to clients";
        registry.register("download_bytes", bytes, self.ledger.bytes_handed_on.clone());
        let seconds = "How long it took to record a token as used";
        registry.register("claim_seconds", seconds, metrics.claim_seconds.clone());
        self.store.register_metrics(registry);
        let deliveries = "Deliveries that may be continued: running ones, interrupted ones and complete ones";
        registry.register("deliveries", deliveries, metrics.deliveries.clone());
        registry.register("used_tokens", "Records in the used-token store", metrics.used_tokens.clone());
        let fence = "Tokens issued before this time are refused, because the store does not know them";
        registry.register("used_tokens_fence_timestamp_seconds", fence, metrics.fence.clone());
        registry.register(
            "verification_keys",
            "Public keys that tokens may be signed with",
            metrics.keys.clone(),
        );
        let waiting = "Deliveries of links whose state the web app has not been told yet";
        registry.register("receipts_waiting", waiting, metrics.receipts_waiting.clone());
        registry.register("download_ready", "Whether this node can redeem tokens", metrics.ready.clone());
    }

    /// Updates the metrics that are read rather than counted.
    pub async fn update_metrics(&self) {
        let metrics = &self.metrics;
        let running = self.ledger.sending().len();
        let (open, complete) = self.ledger.len();
        for (state, count) in
            [("running", running), ("interrupted", open.saturating_sub(running)), ("complete", complete)]
        {
            metrics.deliveries.get_or_create(&[("state", state)]).set(to_gauge(count));
        }
        if let Some(records) = self.store.records() {
            metrics.used_tokens.set(to_gauge(records));
        }
        metrics.fence.set(i64::try_from(self.store.fence().secs()).unwrap_or(i64::MAX));
        metrics.keys.set(to_gauge(self.keys.current().len()));
        // An outbox that fails is reported by the log and by the readiness.
        if let Ok(waiting) = self.receipts.waiting().await {
            metrics.receipts_waiting.set(waiting);
        }
        metrics.ready.set(self.ready().await.is_ok().into());
    }
}

fn to_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
