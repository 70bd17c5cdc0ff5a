//! Tables of counters of limited size: if there are too many counters, the oldest are evicted.

use std::hash::Hash;

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::web::throttle::counter::Expiring;

/// Maximum number of counters of each kind in memory.
const ENTRIES_MAX: usize = 100_000;

/// A table of counters.
pub(crate) struct Table<K: Eq + Hash, V> {
    entries: DashMap<K, V>,
    most: usize,
}

impl<K: Eq + Hash, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table { entries: DashMap::new(), most: ENTRIES_MAX }
    }
}

impl<K: Eq + Hash, V: Expiring + Default> Table<K, V> {
    /// Calls `work` with the counter of `key`, which is created if it doesn't exist.
    pub(crate) fn with<R>(&self, key: K, now: Timestamp, work: impl FnOnce(&mut V) -> R) -> R {
        self.make_room(now);
        work(&mut self.entries.entry(key).or_default())
    }

    /// Calls `work` with the counter of `key`, if it exists.
    pub(crate) fn change(&self, key: &K, work: impl FnOnce(&mut V)) {
        if let Some(mut value) = self.entries.get_mut(key) {
            work(&mut value);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        self.entries.remove(key);
    }

    pub(crate) fn contains(&self, key: &K, now: Timestamp) -> bool {
        self.entries.get(key).is_some_and(|value| !value.is_over(now))
    }

    /// Drops counters that no longer have any effect.
    pub(crate) fn prune(&self, now: Timestamp) {
        self.entries.retain(|_, value| !value.is_over(now));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Evicts an eighth of the counters at once, so that a flood of new ones rarely needs a scan of the
    /// table.
    fn make_room(&self, now: Timestamp) {
        if self.entries.len() < self.most {
            return;
        }
        self.prune(now);
        if self.entries.len() < self.most {
            return;
        }
        let mut ages: Vec<Timestamp> = self.entries.iter().map(|entry| entry.last_at()).collect();
        let mut left = (ages.len() / 8).max(1);
        if ages.len() < left {
            return;
        }
        let (_, oldest, _) = ages.select_nth_unstable(left - 1);
        let oldest = *oldest;
        self.entries.retain(|_, value| {
            let goes = left > 0 && value.last_at() <= oldest;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::counter::{BackoffRule, Counter};
    use super::*;

    #[test]
    fn a_full_table_evicts_only_the_oldest() {
        let table = Table::<u32, Counter> { entries: DashMap::new(), most: 64 };
        let rule = BackoffRule { free: 100, longest: std::time::Duration::from_secs(60) };
        let at = |n: u32| Timestamp::from_secs(1_000_000 + u64::from(n));
        for n in 0..64 {
            table.with(n, at(n), |counter| counter.count(rule, at(n))).unwrap();
        }
        table.with(64, at(64), |counter| counter.count(rule, at(64))).unwrap();
        assert_eq!(table.len(), 57);
        let is_there = |n: u32| table.contains(&n, at(64));
        assert!((0..8).all(|n| !is_there(n)) && (8..=64).all(is_there));
        // All of the same age: a flood within one second doesn't clear the table either.
        let table = Table::<u32, Counter> { entries: DashMap::new(), most: 64 };
        for n in 0..65 {
            table.with(n, at(0), |counter| counter.count(rule, at(0))).unwrap();
        }
        assert_eq!(table.len(), 57);
    }
}
