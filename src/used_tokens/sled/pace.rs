//! How long the disk takes, which decides who commits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The weight of the last commit in the mean: one of 5 ms among those of 60 µs is noticed at once, and eight
/// quick ones after it are believed.
const WEIGHT: u64 = 8;

/// The moving mean of the time that a commit takes, compared with a limit.
pub(super) struct CommitPace {
    mean_ns: AtomicU64,
    limit_ns: u64,
}

impl CommitPace {
    /// Creates the pace of a disk about which nothing is known yet, so it doesn't count as quick.
    pub(super) fn new(limit: Duration) -> CommitPace {
        let limit_ns = nanos(limit);
        CommitPace { mean_ns: AtomicU64::new(limit_ns), limit_ns }
    }

    /// Records how long a commit took. Only the holder of the journal calls this.
    pub(super) fn record(&self, took: Duration) {
        let mean = self.mean_ns.load(Ordering::Relaxed);
        let next = (mean - mean / WEIGHT).saturating_add(nanos(took) / WEIGHT);
        self.mean_ns.store(next, Ordering::Relaxed);
    }

    /// Returns whether commits take less than the limit.
    pub(super) fn is_quick(&self) -> bool {
        self.mean_ns.load(Ordering::Relaxed) < self.limit_ns
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_micros(60);
    const SLOW: Duration = Duration::from_millis(5);

    #[test]
    fn a_disk_is_quick_after_a_quick_commit_and_slow_at_once_after_a_slow_one() {
        let pace = CommitPace::new(Duration::from_micros(300));
        assert!(!pace.is_quick(), "nothing is known yet");
        pace.record(QUICK);
        assert!(pace.is_quick());
        for _ in 0..100 {
            pace.record(QUICK);
        }
        pace.record(SLOW);
        assert!(!pace.is_quick());
        let needed = (1..).find(|_| {
            pace.record(QUICK);
            pace.is_quick()
        });
        assert!(needed.is_some_and(|needed| (4..=12).contains(&needed)), "{needed:?}");
    }

    #[test]
    fn a_limit_of_zero_is_never_met_and_one_without_end_always() {
        let (never, always) = (CommitPace::new(Duration::ZERO), CommitPace::new(Duration::MAX));
        for pace in [&never, &always] {
            pace.record(Duration::ZERO);
            pace.record(SLOW);
        }
        assert!(!never.is_quick() && always.is_quick());
    }
}
