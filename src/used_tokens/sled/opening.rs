//! The parameters with which the store is opened, and the errors of opening it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use crate::used_tokens::sled::journal::JournalFile;

/// The store could not be opened. Nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// Another process is using it.
    #[error("the used-token store in {} is already in use by another process", dir.display())]
    InUse {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The system refused an operation.
    #[error("cannot open the used-token store: failed to {action}")]
    Failed {
        /// The failed action, after "failed to".
        action: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Returns a function that converts the cause of a failed `action` to a [`StoreOpenError`].
pub(super) fn failed<E: std::error::Error + Send + Sync + 'static>(
    action: &'static str,
) -> impl Fn(E) -> StoreOpenError {
    move |e| StoreOpenError::Failed { action, source: Box::new(e) }
}

/// Parameters of the store; the defaults were chosen by measurements. For tests and benches.
#[derive(Clone)]
pub struct Tuning {
    /// The number of slots (256 bytes) in each new journal file.
    pub slots: u32,
    /// Wraps a journal file for the committer.
    pub journal_file: Arc<dyn Fn(File) -> Box<dyn JournalFile> + Send + Sync>,
    /// While a commit takes less than this on average, whoever claims commits; otherwise a thread does.
    pub worker_limit: Duration,
    /// How long writing a group durably took, in seconds.
    pub flush_seconds: Histogram,
}

/// Upper bounds of the classes of flushes, in seconds. Up to the third, workers commit.
const FLUSH_SECONDS: [f64; 11] = [0.00005, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            slots: 16_384,
            journal_file: Arc::new(|file| Box::new(file)),
            worker_limit: Duration::from_micros(300),
            flush_seconds: Histogram::new(FLUSH_SECONDS),
        }
    }
}
