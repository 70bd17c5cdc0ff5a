//! How long transactions wait to begin and take to commit.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the classes, in seconds. A wait ends after five.
const SECONDS: [f64; 9] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The times of one database. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct TransactionTimes {
    begin: Histogram,
    commit: Histogram,
}

impl Default for TransactionTimes {
    fn default() -> TransactionTimes {
        TransactionTimes { begin: Histogram::new(SECONDS), commit: Histogram::new(SECONDS) }
    }
}

impl TransactionTimes {
    pub(super) fn begun(&self, took: Duration) {
        self.begin.observe(took.as_secs_f64());
    }

    pub(super) fn committed(&self, took: Duration) {
        self.commit.observe(took.as_secs_f64());
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let begin = "How long transactions that write waited for their turn";
        registry.register("database_begin_seconds", begin, self.begin.clone());
        let commit = "How long it took to commit transactions";
        registry.register("database_commit_seconds", commit, self.commit.clone());
    }
}
