//! Finds out which unacknowledged bytes a client received before its connection broke. A kernel acknowledges
//! two segments at a time, so the client may have read up to two segments more. Where it resumes shows it.

use std::ops::Range;

use crate::download::ledger::limits::TWO_SEGMENTS;
use crate::download::ledger::ranges::RangeSet;

/// Number of breaks and resumptions that are remembered.
const LOOK_BACK: usize = 16;

/// The latest breaks of a delivery, and where its clients resumed.
#[derive(Default)]
pub(super) struct Breaks {
    /// The bytes that broken streams sent last and their peers didn't acknowledge, at most two segments each.
    unacknowledged: Vec<Range<u64>>,
    resumptions: Vec<Resumption>,
}

/// Where a stream begins.
pub(super) struct Resumption {
    /// The stream.
    pub(super) id: u64,
    pub(super) start: u64,
    /// Whether the byte before `start` counts as sent.
    pub(super) follows_sent: bool,
    /// The only other running stream without the key.
    pub(super) beside: Option<u64>,
}

impl Breaks {
    /// Records that the stream `id` broke while `lost` was sent but not acknowledged. Returns the part of it that
    /// the client must have received, because it resumed after that part before this node noticed the break.
    pub(super) fn broke(&mut self, lost: &Range<u64>, id: u64) -> Option<Range<u64>> {
        let uncertain = uncertain(lost);
        let went_on = |at: &&Resumption| {
            at.id > id && at.beside.is_none_or(|beside| beside == id) && shows(&uncertain, at.start)
        };
        let start = self.resumptions.iter().find(went_on).map(|at| at.start);
        if start.is_none() {
            keep_latest(&mut self.unacknowledged, uncertain);
        }
        start.map(|start| lost.start..start)
    }

    /// Records that a stream begins. Returns the bytes that count as lost although the client must have received
    /// them. While others run without the key, nothing can be concluded: a download manager requests pieces in
    /// any order, and may request the earlier bytes later.
    pub(super) fn resumed(&mut self, at: Resumption) -> Option<Range<u64>> {
        let found = self.unacknowledged.iter().position(|uncertain| shows(uncertain, at.start));
        match found {
            Some(found) if at.beside.is_none() => {
                Some(self.unacknowledged.swap_remove(found).start..at.start)
            }
            // This node may not have noticed the break yet.
            _ if at.follows_sent => {
                keep_latest(&mut self.resumptions, at);
                None
            }
            _ => None,
        }
    }

    /// Returns the bytes that the client may or may not have received.
    pub(super) fn unacknowledged(&self) -> RangeSet {
        let mut all = RangeSet::default();
        self.unacknowledged.iter().for_each(|range| all.insert(range.clone()));
        all
    }
}

/// Returns the part of `lost` that the client may have received.
fn uncertain(lost: &Range<u64>) -> Range<u64> {
    lost.start..lost.end.min(lost.start.saturating_add(TWO_SEGMENTS))
}

/// Returns whether a client that resumes at `start` must have received the bytes of `uncertain` before it.
const fn shows(uncertain: &Range<u64>, start: u64) -> bool {
    uncertain.start < start && start <= uncertain.end
}

fn keep_latest<T>(list: &mut Vec<T>, new: T) {
    if list.len() >= LOOK_BACK {
        list.remove(0);
    }
    list.push(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u64, start: u64, beside: Option<u64>) -> Resumption {
        Resumption { id, start, follows_sent: true, beside }
    }

    #[test]
    fn where_a_client_goes_on_tells_what_it_has_whichever_is_noticed_first() {
        let mut noticed = Breaks::default();
        assert_eq!(noticed.broke(&(100..900), 0), None);
        assert_eq!(noticed.resumed(at(1, 0, None)), None, "another goes on elsewhere in between");
        assert_eq!(noticed.resumed(at(2, 700, None)), Some(100..700));
        assert_eq!(noticed.resumed(at(3, 700, None)), None, "once");
        let mut unnoticed = Breaks::default();
        assert_eq!(unnoticed.resumed(at(1, 700, Some(0))), None);
        assert_eq!(unnoticed.broke(&(100..900), 0), Some(100..700));
    }

    #[test]
    fn what_else_runs_without_the_key_may_ask_for_the_rest() {
        let mut breaks = Breaks::default();
        assert_eq!(breaks.broke(&(100..900), 0), None);
        assert_eq!(breaks.resumed(at(2, 700, Some(1))), None);
        assert_eq!(breaks.broke(&(600..900), 5), None, "what began before says nothing");
        let mut ahead = Breaks::default();
        assert_eq!(ahead.resumed(Resumption { follows_sent: false, ..at(1, 700, Some(0)) }), None);
        assert_eq!(ahead.broke(&(100..900), 0), None, "it was asked for before it was sent");
    }
}
