//! What the download service counts for operators. The names are in `docs/metrics.md`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::download::state::DownloadState;

/// Upper bounds of the classes of durations of claims, in seconds: one durable write.
const CLAIM_SECONDS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// The metrics of one download service. Clones share them.
#[derive(Clone)]
pub(crate) struct DownloadMetrics {
    /// Requests for a file, by what came of them.
    requests: Family<[(&'static str, &'static str); 1], Counter>,
    /// How long it took to record a token as used, in seconds.
    pub(crate) claim_seconds: Histogram,
    deliveries: Family<[(&'static str, &'static str); 1], Gauge>,
    used_tokens: Gauge,
    fence: Gauge,
    keys: Gauge,
    receipts_waiting: Gauge,
    ready: Gauge,
}

impl Default for DownloadMetrics {
    fn default() -> DownloadMetrics {
        DownloadMetrics {
            requests: Family::default(),
            claim_seconds: Histogram::new(CLAIM_SECONDS),
            deliveries: Family::default(),
            used_tokens: Gauge::default(),
            fence: Gauge::default(),
            keys: Gauge::default(),
            receipts_waiting: Gauge::default(),
            ready: Gauge::default(),
        }
    }
}

impl DownloadMetrics {
    /// Counts a request for a file.
    pub(crate) fn count(&self, outcome: &'static str) {
        self.requests.get_or_create(&[("outcome", outcome)]).inc();
    }
}

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
