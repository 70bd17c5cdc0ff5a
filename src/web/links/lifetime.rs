//! How long links usually last: the choices in forms, beside a date of one's own.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::words::words;

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

words! {
    /// A usual lifetime of a link.
    #[derive(Default)]
    pub enum Lifetime {
        /// One hour.
        Hour = "1h",
        /// One day.
        Day = "1d",
        /// Seven days.
        #[default]
        Week = "7d",
        /// Thirty days.
        Month = "30d",
        /// The link doesn't expire.
        Never = "never",
    }
}

impl Lifetime {
    /// Returns when a link ends that begins at `now`; `None` for never.
    pub fn end(self, now: Timestamp) -> Option<Timestamp> {
        self.duration().map(|lasts| now.plus(lasts))
    }

    /// Returns how long a link lasts; `None` for no end.
    pub fn duration(self) -> Option<Duration> {
        let seconds = match self {
            Lifetime::Hour => HOUR,
            Lifetime::Day => DAY,
            Lifetime::Week => 7 * DAY,
            Lifetime::Month => 30 * DAY,
            Lifetime::Never => return None,
        };
        Some(Duration::from_secs(seconds))
    }

    /// Returns it in words, as in “Expires in 7 days”.
    pub const fn words(self) -> &'static str {
        match self {
            Lifetime::Hour => "in 1 hour",
            Lifetime::Day => "in 1 day",
            Lifetime::Week => "in 7 days",
            Lifetime::Month => "in 30 days",
            Lifetime::Never => "never",
        }
    }
}
