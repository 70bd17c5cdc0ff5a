//! What the download service counts for operators. The names are in `docs/metrics.md`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds of the classes of durations of claims, in seconds: one durable write.
const CLAIM_SECONDS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// The metrics of one download service. Clones share them.
#[derive(Clone)]
pub(crate) struct DownloadMetrics {
    /// Requests for a file, by what came of them.
    pub(super) requests: Family<[(&'static str, &'static str); 1], Counter>,
    /// How long it took to record a token as used, in seconds.
    pub(crate) claim_seconds: Histogram,
    pub(super) deliveries: Family<[(&'static str, &'static str); 1], Gauge>,
    pub(super) used_tokens: Gauge,
    pub(super) fence: Gauge,
    pub(super) keys: Gauge,
    pub(super) receipts_waiting: Gauge,
    pub(super) ready: Gauge,
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
