//! The two ways of counting: waits that grow with each attempt, and a rate limit that is replenished over
//! time.

use std::time::Duration;

use crate::clock::Timestamp;

/// A counter that isn't used for this long starts again.
pub(crate) const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// The limit is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// How long to wait; at least a second.
    pub wait: Duration,
}

/// A value in a table of counters, which is dropped when it has no effect.
pub(crate) trait Expiring {
    /// Returns when it was last counted; the oldest are evicted first.
    fn last_at(&self) -> Timestamp;

    /// Returns whether it no longer has any effect.
    fn is_over(&self, now: Timestamp) -> bool;
}

/// How waits grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackoffRule {
    /// Number of attempts without a wait.
    pub(crate) free: u32,
    /// The longest wait.
    pub(crate) longest: Duration,
}

/// Counts attempts: after the free ones, each has to wait longer than the previous one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counter {
    pub(crate) attempts: u32,
    pub(crate) next_at: Timestamp,
    pub(crate) last_at: Timestamp,
}

impl Counter {
    pub(crate) fn count(&mut self, rule: BackoffRule, now: Timestamp) -> Result<(), Throttled> {
        if self.is_over(now) {
            *self = Counter::default();
        }
        if now < self.next_at {
            return Err(Throttled { wait: self.next_at.since(now).max(Duration::from_secs(1)) });
        }
        self.attempts = self.attempts.saturating_add(1);
        self.last_at = now;
        if let Some(beyond) = self.attempts.checked_sub(rule.free) {
            let seconds = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX);
            self.next_at = now.plus(Duration::from_secs(seconds).min(rule.longest));
        }
        Ok(())
    }
}

impl Expiring for Counter {
    fn last_at(&self) -> Timestamp {
        self.last_at
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.next_at && now >= self.last_at.plus(FORGET_AFTER)
    }
}

/// Maximum number of uses in a period; a count of 0 means no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    pub(crate) count: u32,
    pub(crate) per: Duration,
}

impl RateLimit {
    pub(crate) const fn per_minute(count: u32) -> RateLimit {
        RateLimit { count, per: Duration::from_secs(60) }
    }

    pub(crate) const fn per_hour(count: u32) -> RateLimit {
        RateLimit { count, per: FORGET_AFTER }
    }

    pub(crate) const fn per_day(count: u32) -> RateLimit {
        RateLimit { count, per: Duration::from_secs(24 * 60 * 60) }
    }

    /// Returns this limit multiplied by `factor`.
    pub(crate) const fn times(self, factor: u32) -> RateLimit {
        RateLimit { count: self.count.saturating_mul(factor), per: self.per }
    }
}

/// A bucket with what is left of a rate limit. It is replenished evenly, so there is no moment at which all
/// of it becomes available again at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// When it will be completely replenished, in milliseconds.
    full_at: u64,
}

impl Bucket {
    /// Takes `uses`, or returns how long to wait without taking anything.
    pub(crate) fn take(&mut self, uses: u32, allowance: RateLimit, now: Timestamp) -> Result<(), Throttled> {
        if allowance.count == 0 {
            return Ok(());
        }
        let now = now.secs().saturating_mul(1_000);
        let per = u64::try_from(allowance.per.as_millis()).unwrap_or(u64::MAX);
        let taken = share(allowance).saturating_mul(u64::from(uses));
        let full_at = self.full_at.max(now).saturating_add(taken);
        let last = now.saturating_add(per);
        if full_at > last {
            let wait = Duration::from_millis(full_at - last);
            return Err(Throttled { wait: Duration::from_secs(wait.as_secs_f64().ceil() as u64) });
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Gives back `uses` that were taken.
    pub(crate) fn give_back(&mut self, uses: u32, allowance: RateLimit) {
        self.full_at = self.full_at.saturating_sub(share(allowance).saturating_mul(u64::from(uses)));
    }

    /// Returns how many uses can be taken now, and how long it takes until it is completely replenished.
    pub(crate) fn left(&self, allowance: RateLimit, now: Timestamp) -> (u32, Duration) {
        let missing = self.full_at.saturating_sub(now.secs().saturating_mul(1_000));
        let taken = missing.div_ceil(share(allowance).max(1));
        let left = u64::from(allowance.count).saturating_sub(taken);
        let full_in = Duration::from_secs(missing.div_ceil(1_000));
        (u32::try_from(left).unwrap_or(u32::MAX), full_in)
    }
}

/// Returns after how many milliseconds one more use of a limit is available.
fn share(allowance: RateLimit) -> u64 {
    let per = u64::try_from(allowance.per.as_millis()).unwrap_or(u64::MAX);
    per.checked_div(u64::from(allowance.count)).unwrap_or(0)
}

impl Expiring for Bucket {
    fn last_at(&self) -> Timestamp {
        Timestamp::from_secs(self.full_at / 1_000)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.full_at <= now.secs().saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_comes_back_evenly() {
        let at = |seconds: u64| Timestamp::from_secs(1_000_000 + seconds);
        let (mut bucket, three) = (Bucket::default(), RateLimit::per_minute(3));
        for _ in 0..3 {
            bucket.take(1, three, at(0)).unwrap();
        }
        assert_eq!(bucket.take(1, three, at(0)), Err(Throttled { wait: Duration::from_secs(20) }));
        bucket.take(1, three, at(20)).unwrap();
        assert!(bucket.take(1, three, at(20)).is_err());
        assert!(bucket.take(3, three, at(80)).is_ok(), "all of it is back");
        assert!(bucket.is_over(at(200)) && !bucket.is_over(at(81)));
        assert!(Bucket::default().take(4, three, at(0)).is_err(), "never more than all of it");
        let none = RateLimit::per_minute(0);
        assert!((0..1_000).all(|_| bucket.take(1, none, at(80)).is_ok()), "0 is no limit");
    }
}
