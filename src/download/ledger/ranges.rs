//! A set of byte ranges: which bytes of a file were sent.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Disjoint, sorted, non-adjacent ranges of byte positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet(Vec<Range<u64>>);

impl RangeSet {
    /// Adds a range, merging it with ranges that it touches or overlaps.
    pub(crate) fn insert(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let first = self.0.partition_point(|old| old.end < new.start);
        let last = self.0.partition_point(|old| old.start <= new.end);
        let merged = self
            .0
            .get(first..last)
            .unwrap_or_default()
            .iter()
            .fold(new, |sum, old| sum.start.min(old.start)..sum.end.max(old.end));
        self.0.splice(first..last.max(first), [merged]);
    }

    /// Removes a range.
    pub(crate) fn remove(&mut self, gone: &Range<u64>) {
        if gone.is_empty() || self.0.is_empty() {
            return;
        }
        let kept = self
            .0
            .drain(..)
            .flat_map(|old| [old.start..old.end.min(gone.start), old.start.max(gone.end)..old.end]);
        self.0 = kept.filter(|part| !part.is_empty()).collect();
    }

    /// Adds all ranges in `other`.
    pub(crate) fn merge(&mut self, other: &RangeSet) {
        other.0.iter().for_each(|range| self.insert(range.clone()));
    }

    /// Removes all ranges in `other`.
    pub(crate) fn subtract(&mut self, other: &RangeSet) {
        other.0.iter().for_each(|range| self.remove(range));
    }

    /// Returns the part of `range` that is in the set.
    pub(crate) fn within(&self, range: &Range<u64>) -> RangeSet {
        let first = self.0.partition_point(|old| old.end <= range.start);
        let parts = self.0.iter().skip(first).take_while(|old| old.start < range.end);
        RangeSet(parts.map(|old| old.start.max(range.start)..old.end.min(range.end)).collect())
    }

    /// Returns the part below `position` of the run of bytes in the set that ends at or after it.
    pub(crate) fn run_before(&self, position: u64) -> Option<Range<u64>> {
        let run = self.0.get(self.0.partition_point(|old| old.end < position))?;
        (run.start < position).then_some(run.start..position)
    }

    /// Returns whether the set is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of bytes in the set.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Returns how many bytes of `range` are in the set.
    pub(crate) fn overlap(&self, range: &Range<u64>) -> u64 {
        self.0.iter().map(|old| range.end.min(old.end).saturating_sub(range.start.max(old.start))).sum()
    }

    /// Returns whether every byte below `len` is in the set.
    pub(crate) fn covers(&self, len: u64) -> bool {
        len == 0 || matches!(self.0.first(), Some(first) if first.start == 0 && first.end >= len)
    }

    /// Returns the end of the run of bytes that begins at `position`, and whether they are in the set. The
    /// last run outside the set is unbounded.
    pub(crate) fn run_at(&self, position: u64) -> (Option<u64>, bool) {
        match self.0.get(self.0.partition_point(|old| old.end <= position)) {
            Some(next) if next.start <= position => (Some(next.end), true),
            Some(next) => (Some(next.start), false),
            None => (None, false),
        }
    }
}

/// `0-100,200-300`, with exclusive ends.
impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}", range.start, range.end)?;
        }
        Ok(())
    }
}

/// The text is not a valid set of ranges.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a set of ranges must look like 0-100,200-300")]
pub(crate) struct InvalidRangeSet;

impl FromStr for RangeSet {
    type Err = InvalidRangeSet;

    fn from_str(text: &str) -> Result<RangeSet, InvalidRangeSet> {
        let mut set = RangeSet::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (start, end) = part.split_once('-').ok_or(InvalidRangeSet)?;
            let number = |text: &str| text.parse::<u64>().map_err(|_| InvalidRangeSet);
            set.insert(number(start)?..number(end)?);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_set_agrees_with_a_table_of_bytes(ranges in prop::collection::vec((0u64..64, 0u64..16), 0..24), at in 0u64..80, len in 0u64..20) {
            let mut set = RangeSet::default();
            let mut table = [false; 128];
            for (start, len) in ranges {
                set.insert(start..start + len);
                table[start as usize..(start + len) as usize].fill(true);
            }
            prop_assert!(set.0.iter().all(|r| !r.is_empty()));
            prop_assert!(set.0.windows(2).all(|w| w[0].end < w[1].start));
            let counted = table[at as usize..(at + len) as usize].iter().filter(|b| **b).count() as u64;
            prop_assert_eq!(set.overlap(&(at..at + len)), counted);
            prop_assert_eq!(set.covers(len), table[..len as usize].iter().all(|b| *b));
            let (end, inside) = set.run_at(at);
            prop_assert_eq!(inside, table[at as usize]);
            let run = table[at as usize..].iter().position(|b| *b != inside).map(|n| at + n as u64);
            prop_assert_eq!(end, run);
            prop_assert_eq!(set.total(), table.iter().filter(|b| **b).count() as u64);
            prop_assert_eq!(set.to_string().parse::<RangeSet>(), Ok(set.clone()));
            prop_assert_eq!(set.within(&(at..at + len)).total(), counted);
            prop_assert_eq!(set.within(&(at..at + len)).overlap(&(at..at + len)), counted);
            set.remove(&(at..at + len));
            table[at as usize..(at + len) as usize].fill(false);
            prop_assert!(set.0.windows(2).all(|w| w[0].end < w[1].start));
            prop_assert_eq!(set.total(), table.iter().filter(|b| **b).count() as u64);
        }
    }
}
