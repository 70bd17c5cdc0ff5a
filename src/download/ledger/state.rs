//! What is known about a delivery at one time.

use std::ops::Range;

use crate::clock::Timestamp;
use crate::download::ledger::breaks::{Breaks, Resumption};
use crate::download::ledger::ranges::RangeSet;
use crate::download::ledger::reserved::ReservedBytes;

/// The phase of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryPhase {
    /// The store hasn't answered yet.
    Claiming,
    /// Redeemed and recorded.
    Open,
    /// The claim failed; nobody was served.
    Dropped,
    Revoked,
}

/// What was sent, as far as known, and what is running.
pub(super) struct DeliveryInner {
    pub(super) phase: DeliveryPhase,
    /// Bytes that were sent at least once.
    pub(super) sent: RangeSet,
    /// Total number of bytes that were or may have been sent.
    pub(super) bytes_sent: u64,
    pub(super) reserved: ReservedBytes,
    /// Bytes that were sent again without the key.
    pub(super) resent: u64,
    pub(super) streams: Vec<RunningStream>,
    /// Bytes that were sent more than once.
    pub(super) repeated: RangeSet,
    /// Number of ended streams that may not have arrived completely.
    pub(super) unconfirmed_streams: u32,
    /// Number of streams that arrived, but whose connections haven't shown yet whether they were read.
    pub(super) acknowledged: u32,
    pub(super) next_stream: u64,
    pub(super) last_sent: Timestamp,
    /// When the first byte was sent by this node.
    pub(super) first_sent: Option<Timestamp>,
    /// Bytes of ended streams that had been written to the kernel.
    pub(super) written: RangeSet,
    /// The last byte of each stream that was sent completely on a connection that then broke, until another
    /// stream has sent it. While there is one, the file isn't complete.
    pub(super) undelivered: RangeSet,
    /// The same for an empty file.
    pub(super) empty_undelivered: bool,
    /// Bytes of streams that ended without a sign that they weren't read.
    pub(super) read: RangeSet,
    /// The ends of streams on broken connections, which their clients may not have read. A download manager
    /// closes a connection and requests its rest on others, piece by piece.
    pub(super) unread: RangeSet,
    pub(super) breaks: Breaks,
    /// Where the first stream began.
    pub(super) first_start: Option<u64>,
    /// When the last byte of a complete file was sent.
    pub(super) completed_at: Option<Timestamp>,
    /// Whether every byte had arrived at some time, whatever happened later.
    pub(super) was_complete: bool,
    /// How often a client resumed when no transfer was running.
    pub(super) resumptions: u32,
    /// Whether a client without the key ever came while another stream was running, as a download manager
    /// does. Such a client moves the rest of one connection to another and closes the first, and nobody can
    /// know how much it read and discarded there.
    pub(super) is_split: bool,
    /// Whether this was reopened after completion, so that `sent` is the whole file.
    pub(super) opened_again: bool,
}

impl DeliveryInner {
    /// For a delivery that is about to be claimed.
    pub(super) fn new(now: Timestamp) -> DeliveryInner {
        DeliveryInner {
            phase: DeliveryPhase::Claiming,
            sent: RangeSet::default(),
            bytes_sent: 0,
            reserved: ReservedBytes::default(),
            resent: 0,
            streams: Vec::new(),
            unconfirmed_streams: 0,
            acknowledged: 0,
            repeated: RangeSet::default(),
            empty_undelivered: false,
            read: RangeSet::default(),
            unread: RangeSet::default(),
            breaks: Breaks::default(),
            first_start: None,
            completed_at: None,
            was_complete: false,
            next_stream: 0,
            last_sent: now,
            first_sent: None,
            written: RangeSet::default(),
            undelivered: RangeSet::default(),
            resumptions: 0,
            is_split: false,
            opened_again: false,
        }
    }

    /// Returns the bytes that were or may have been sent without the key.
    pub(super) const fn unkeyed(&self) -> u64 {
        self.bytes_sent.saturating_sub(self.reserved.spent).saturating_sub(self.reserved.elsewhere)
    }

    /// Returns whether no transfer is running.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.unconfirmed_streams == 0
    }

    /// Returns whether nothing more can be learned about what was sent.
    pub(super) fn is_settled(&self) -> bool {
        self.is_idle() && self.acknowledged == 0
    }

    /// Records a portion as sent.
    pub(super) fn record_portion(&mut self, portion: Range<u64>) {
        self.repeated.merge(&self.sent.within(&portion));
        self.sent.insert(portion);
    }

    /// Records that the next stream begins at `start`: everything its client must already have counts as sent.
    pub(super) fn resume_at(&mut self, start: u64) {
        let mut unkeyed = self.streams.iter().filter(|running| !running.keyed).map(|running| running.id);
        let (beside, more) = (unkeyed.next(), unkeyed.next().is_some());
        if more {
            return;
        }
        let follows_sent = self.sent.overlap(&(start.saturating_sub(1)..start)) > 0;
        let at = Resumption { id: self.next_stream, start, follows_sent, beside };
        if let Some(had) = self.breaks.resumed(at) {
            self.sent.insert(had.clone());
            self.written.insert(had);
        }
    }

    /// Records bytes without a sign that they weren't read.
    pub(super) fn read(&mut self, range: Range<u64>) {
        self.undelivered.remove(&range);
        self.unread.remove(&range);
        self.empty_undelivered = false;
        self.read.insert(range);
    }
}

/// A running stream.
pub(super) struct RunningStream {
    pub(super) id: u64,
    pub(super) start: u64,
    pub(super) position: u64,
    pub(super) end: u64,
    pub(super) keyed: bool,
    /// How many bytes before the position may not have been written to the kernel yet.
    pub(super) unwritten: u64,
}

impl RunningStream {
    /// Returns the bytes that were written to the kernel.
    pub(super) const fn written(&self) -> Range<u64> {
        self.start..self.position - self.unwritten
    }
}
