//! What a client has of the bytes that it never acknowledged before its connection broke. Its kernel
//! acknowledges two segments at a time, so it may have read that much more; where it goes on tells.

use std::ops::Range;

use crate::download::ledger::delivery::TWO_SEGMENTS;

/// How many breaks and resumptions are looked back upon.
const LOOK_BACK: usize = 16;

/// The latest breaks of a delivery, and where its clients went on.
#[derive(Default)]
pub(super) struct Breaks {
    /// What streams that broke sent last and their peers did not acknowledge, two segments each at most.
    unacknowledged: Vec<Range<u64>>,
    resumptions: Vec<Resumption>,
}

/// Where a stream begins.
pub(super) struct Resumption {
    /// The stream.
    pub(super) id: u64,
    pub(super) start: u64,
    /// Whether the byte before was sent, as far as is known.
    pub(super) follows_sent: bool,
    /// The only stream without the key that runs beside it.
    pub(super) beside: Option<u64>,
}

impl Breaks {
    /// The stream `id` broke when `lost` was sent and not acknowledged. Returns what its client has of that,
    /// because it went on before the break was noticed here.
    pub(super) fn broke(&mut self, lost: &Range<u64>, id: u64) -> Option<Range<u64>> {
        let silent = silent(lost);
        let went_on = |at: &&Resumption| {
            at.id > id && at.beside.is_none_or(|beside| beside == id) && shows(&silent, at.start)
        };
        let start = self.resumptions.iter().find(went_on).map(|at| at.start);
        if start.is_none() {
            keep_latest(&mut self.unacknowledged, silent);
        }
        start.map(|start| lost.start..start)
    }

    /// A stream begins. Returns what its client has that counts as lost. While others run without the key
    /// nothing follows: a download manager asks for pieces in any order, and may ask for what comes before yet.
    pub(super) fn resumed(&mut self, at: Resumption) -> Option<Range<u64>> {
        let found = self.unacknowledged.iter().position(|silent| shows(silent, at.start));
        match found {
            Some(found) if at.beside.is_none() => {
                Some(self.unacknowledged.swap_remove(found).start..at.start)
            }
            // The break may not have been noticed here yet.
            _ if at.follows_sent => {
                keep_latest(&mut self.resumptions, at);
                None
            }
            _ => None,
        }
    }
}

/// The most of what was lost that its client may have.
fn silent(lost: &Range<u64>) -> Range<u64> {
    lost.start..lost.end.min(lost.start.saturating_add(TWO_SEGMENTS))
}

/// Whether a client that goes on at `start` has what comes before it in `silent`.
const fn shows(silent: &Range<u64>, start: u64) -> bool {
    silent.start < start && start <= silent.end
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
