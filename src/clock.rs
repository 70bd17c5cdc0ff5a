//! The only place that reads the wall clock.
//!
//! Rules take a [`Timestamp`] as an argument and never read the time themselves. A [`Clock`] never runs
//! backwards: it returns the later of the wall clock and the latest time that it has returned or was
//! raised to (see [`Clock::raise_to`]), so setting the wall clock back cannot make an expired token
//! valid again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A time in whole seconds since 1970-01-01T00:00:00Z (RFC 7519's NumericDate).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The earliest time; every real time is later.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// Creates a time from seconds since the epoch.
    pub const fn from_secs(seconds: u64) -> Timestamp {
        Timestamp(seconds)
    }

    /// Seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// Returns the time that is later by the whole seconds in `by`, saturating at the maximum.
    pub const fn plus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(by.as_secs()))
    }

    /// Returns the time that is earlier by the whole seconds in `by`, saturating at the epoch.
    pub const fn minus(self, by: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(by.as_secs()))
    }

    /// Returns how long after `earlier` this is; zero if it isn't later.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// RFC 3339 in UTC, such as `2026-11-22T09:30:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
        match moment.and_then(|m| m.format(&time::format_description::well_known::Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "@{}", self.0),
        }
    }
}

/// How far time may be ahead of the wall clock, in addition to the tokens' leeway, before the clock counts
/// as wrong. NTP corrects a clock in smaller steps.
const TOLERANCE: Duration = Duration::from_secs(60);

/// Tells the time. Clones share one high-water mark.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// Invariant: never decreases, except in [`Clock::reset`].
    high_water: Arc<AtomicU64>,
}

/// Time is ahead of the wall clock: the wall clock is wrong now, or was wrong before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongClock {
    /// The wall clock's time.
    pub wall: Timestamp,
    /// The latest time that was returned or recorded.
    pub mark: Timestamp,
}

/// Describes the problem without the remedy.
impl fmt::Display for WrongClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WrongClock { wall, mark } = self;
        write!(f, "the clock shows {wall}, but it was already {mark} here, so time stands still")
    }
}

impl WrongClock {
    /// How to fix it.
    pub const REMEDY: &str = "correct the clock, preferably with NTP; if it is right now and was wrong before, \
                                  stop the services and run `oncelink clock reset`";

    /// Returns the problem if `wall` is so far behind `mark` that one of them must be wrong, given the tokens'
    /// leeway.
    pub fn judge(wall: Timestamp, mark: Timestamp, leeway: Duration) -> Option<WrongClock> {
        (mark > wall.plus(leeway.saturating_add(TOLERANCE))).then_some(WrongClock { wall, mark })
    }
}

#[derive(Clone, Debug)]
enum Source {
    Wall,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    pub fn wall() -> Clock {
        Clock { source: Source::Wall, high_water: Arc::new(AtomicU64::new(0)) }
    }

    /// A clock that stands still until [`Clock::set`] moves it; for tests.
    pub fn manual(at: Timestamp) -> Clock {
        Clock { source: Source::Manual(Arc::new(AtomicU64::new(at.0))), high_water: Arc::default() }
    }

    /// Sets the time of a manual clock's source, which may go backwards; the high-water mark still
    /// applies. Does nothing to a wall clock.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual(at) = &self.source {
            at.store(to.0, Ordering::SeqCst);
        }
    }

    /// Returns the later of the source's time and the high-water mark.
    pub fn now(&self) -> Timestamp {
        let read = self.unguarded_now().0;
        Timestamp(self.high_water.fetch_max(read, Ordering::AcqRel).max(read))
    }

    /// Returns the source's time, even if it is earlier than before. Only for warning the operator of a
    /// wrong clock; no rule may use it.
    pub fn unguarded_now(&self) -> Timestamp {
        match &self.source {
            Source::Wall => Timestamp(wall_seconds()),
            Source::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
        }
    }

    /// Ensures that [`Clock::now`] never again returns a time before `mark`. Called at start with the mark
    /// that the used-token store keeps on disk.
    pub fn raise_to(&self, mark: Timestamp) {
        self.high_water.fetch_max(mark.0, Ordering::AcqRel);
    }

    /// Returns the problem if time is so far ahead of the source that the source is or was wrong. `leeway` is
    /// that of tokens.
    pub fn wrong(&self, leeway: Duration) -> Option<WrongClock> {
        let wall = self.unguarded_now();
        WrongClock::judge(wall, self.now(), leeway)
    }

    /// Forgets all times after `to`. Only for a store whose time an operator has reset (`oncelink clock
    /// reset`), which refuses everything issued earlier.
    pub fn reset(&self, to: Timestamp) {
        self.high_water.store(to.0, Ordering::Release);
    }
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the wall clock")]
fn wall_seconds() -> u64 {
    // A clock before 1970 reads as the epoch. Every token is then refused as not yet valid.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let clock = Clock::manual(Timestamp::from_secs(100));
        assert_eq!(clock.now().secs(), 100);
        clock.set(Timestamp::from_secs(50));
        assert_eq!(clock.now().secs(), 100);
        clock.raise_to(Timestamp::from_secs(170));
        assert_eq!(clock.now().secs(), 170);
        clock.set(Timestamp::from_secs(171));
        assert_eq!(clock.now().secs(), 171);
    }

    #[test]
    fn steps_of_seconds_are_no_wrong_clock_and_a_reset_ends_one() {
        let leeway = Duration::from_secs(5);
        let clock = Clock::manual(Timestamp::from_secs(1000));
        clock.raise_to(Timestamp::from_secs(1065));
        assert_eq!(clock.wrong(leeway), None);
        clock.raise_to(Timestamp::from_secs(1066));
        let wrong = WrongClock { wall: Timestamp::from_secs(1000), mark: Timestamp::from_secs(1066) };
        assert_eq!(clock.wrong(leeway), Some(wrong));
        clock.reset(Timestamp::from_secs(1000));
        assert_eq!((clock.wrong(leeway), clock.now().secs()), (None, 1000));
    }

    #[test]
    fn a_timestamp_reads_as_rfc_3339() {
        assert_eq!(Timestamp::from_secs(1_795_340_096).to_string(), "2026-11-22T09:34:56Z");
    }
}
