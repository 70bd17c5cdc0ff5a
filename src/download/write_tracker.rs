//! What a connection and its transfers know about each other.
//!
//! Bytes that were handed to HTTP aren't written yet, and written bytes haven't arrived yet. A body waits
//! here until its portion is written, so that only one portion is in progress. After its last byte was handed
//! on, the stream stays here: it is complete when the peer's kernel has acknowledged that byte. It stays a
//! while longer, because a connection reset means that the data wasn't read, and the client's next request or
//! an orderly close means that it was.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::download::buffer_budget::{BufferBudget, PORTION};
use crate::download::ledger::{Stream, TWO_SEGMENTS};

/// HTTP's dispatcher collects its output in a buffer of this size …
pub const WRITE_BUFFER: usize = 256 * 1024;
/// … keeps the buffer between responses unless it grew larger, and begins with this size.
const FIRST_BUFFER: usize = 8 * 1024;
/// The space for a response head in it.
const HEAD: usize = 1024;

/// The state of one connection, shared by its transport and the body that is being sent. Belongs to one
/// worker.
#[derive(Clone, Default)]
pub struct WriteTracker(Rc<State>);

#[derive(Default)]
struct State {
    /// A body is being sent and isn't finished.
    sending: Cell<bool>,
    /// An unfinished body has handed on bytes that aren't written yet.
    full: Cell<bool>,
    /// Bytes of responses written to the kernel, including heads.
    written: Cell<u64>,
    /// The value of `written` when everything handed on was written.
    flushed: Cell<u64>,
    /// How many bytes the peer had acknowledged when the connection broke.
    broke_at: Cell<Option<u64>>,
    /// Streams whose last byte was handed on but isn't acknowledged yet, oldest first.
    unacknowledged: RefCell<VecDeque<UnacknowledgedStream>>,
    /// Streams that were acknowledged since the client last sent something.
    acknowledged: RefCell<Vec<Stream>>,
    buffer: Buffer,
}

/// An estimate of the size of the dispatcher's buffer, which can't be queried.
#[derive(Default)]
struct Buffer {
    /// Beyond [`FIRST_BUFFER`].
    grown: Cell<usize>,
    /// Bytes that may be in it.
    filled: Cell<usize>,
    /// The budget in which `grown` is counted.
    portions: RefCell<Option<BufferBudget>>,
}

impl Buffer {
    fn size(&self) -> usize {
        FIRST_BUFFER + self.grown.get()
    }

    fn fill(&self, portions: &BufferBudget, bytes: usize) {
        let (size, filled) = (self.size(), self.filled.get().saturating_add(bytes));
        self.filled.set(filled);
        if filled > size {
            let more = filled.max(size.saturating_mul(2)) - size;
            portions.add(more);
            self.grown.set(self.grown.get().saturating_add(more));
            self.portions.borrow_mut().get_or_insert_with(|| portions.clone());
        }
    }

    fn empty(&self) {
        self.filled.set(0);
        if self.size() > WRITE_BUFFER {
            self.release();
        }
    }

    fn release(&self) {
        if let Some(portions) = &*self.portions.borrow() {
            portions.remove(self.grown.take());
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

/// A stream whose last byte was handed on.
struct UnacknowledgedStream {
    stream: Stream,
    /// The value of `written` when its last byte was written; `None` until then.
    end: Option<u64>,
}

impl UnacknowledgedStream {
    /// Whether a trusted proxy has all of it, as far as a reset connection can show.
    fn has_reached_proxy(&self, left: Option<Undelivered>) -> bool {
        self.end.is_some()
            && self.stream.delivery().proxied
            && left.is_some_and(Undelivered::is_usual_for_proxy)
    }
}

/// The streams of a connection that was closed on this side while its last bytes are still being delivered.
pub struct OrphanedStreams {
    /// Bytes that had been written when the connection was closed.
    written: u64,
    unacknowledged: VecDeque<UnacknowledgedStream>,
    acknowledged: Vec<Stream>,
}

/// The bytes in the kernel when a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Unacknowledged bytes, including unsent ones.
    pub outstanding: u64,
    /// Unsent bytes.
    pub unsent: u64,
}

impl Undelivered {
    /// Returns whether this is no more than a proxy that has read everything may have left unacknowledged: it
    /// resets connections when it is finished, and its kernel acknowledges two segments at a time.
    const fn is_usual_for_proxy(self) -> bool {
        self.unsent == 0 && self.outstanding <= TWO_SEGMENTS
    }
}

impl WriteTracker {
    /// Records that a body begins.
    pub(crate) fn begin(&self) {
        self.0.sending.set(true);
    }

    /// Returns whether a body is being sent and isn't finished.
    pub fn is_sending(&self) -> bool {
        self.0.sending.get()
    }

    /// Reserves space in the connection's buffer for the next portion of `remaining` bytes. Returns its
    /// maximum size: the current size of the buffer, or what the budget allows.
    pub(crate) fn make_room(&self, portions: &BufferBudget, remaining: u64) -> u64 {
        let buffer = &self.0.buffer;
        if buffer.filled.get() == 0 {
            buffer.fill(portions, HEAD);
        }
        let free = buffer.size().saturating_sub(buffer.filled.get());
        let room = portions.size().max(free.min(PORTION));
        let room = usize::try_from(remaining).map_or(room, |remaining| remaining.min(room));
        buffer.fill(portions, room);
        room as u64
    }

    /// Records that bytes were handed on and more will follow.
    pub(crate) fn fill(&self) {
        self.0.full.set(true);
    }

    /// Returns whether there are bytes that were handed on but not written.
    pub(crate) fn is_full(&self) -> bool {
        self.0.full.get()
    }

    /// Records that the last bytes of a body were handed on.
    pub(crate) fn hand_over(&self, stream: Stream) {
        self.0.sending.set(false);
        self.0.unacknowledged.borrow_mut().push_back(UnacknowledgedStream { stream, end: None });
    }

    /// Records that a body ended, or was dropped before its end, and that nobody needs to know whether it
    /// arrives.
    pub(crate) fn end(&self) {
        self.0.sending.set(false);
    }

    /// Records that a body was dropped before its end. Removes from `stream` what the peer certainly doesn't
    /// have.
    pub(crate) fn abandon(&self, stream: &mut Stream) {
        self.0.sending.set(false);
        if let Some(acknowledged) = self.0.broke_at.get() {
            let pending = if self.is_full() { stream.last_portion() } else { 0 };
            stream.mark_lost(pending.saturating_add(self.0.flushed.get()).saturating_sub(acknowledged));
        }
    }

    /// Records that this many more bytes were written to the kernel.
    pub fn wrote(&self, count: u64) {
        self.0.written.set(self.0.written.get().saturating_add(count));
    }

    /// Records that everything handed on was written to the kernel. Returns whether a waiting body must be
    /// woken.
    pub fn flushed(&self) -> bool {
        let written = self.0.written.get();
        self.0.flushed.set(written);
        self.0.buffer.empty();
        for tail in self.0.unacknowledged.borrow_mut().iter_mut().filter(|tail| tail.end.is_none()) {
            tail.end = Some(written);
            tail.stream.finish();
        }
        self.0.full.replace(false)
    }

    /// Returns whether a stream was written completely but isn't known to be acknowledged.
    pub fn awaits_acknowledgement(&self) -> bool {
        self.0.unacknowledged.borrow().front().is_some_and(|tail| tail.end.is_some())
    }

    /// Records that all written bytes except for the last `outstanding` are acknowledged. If that is unknown,
    /// nothing counts as arrived.
    pub fn acknowledged(&self, outstanding: Option<u64>) {
        let Some(outstanding) = outstanding else { return };
        let acknowledged = self.0.written.get().saturating_sub(outstanding);
        move_acknowledged(
            &mut self.0.unacknowledged.borrow_mut(),
            &mut self.0.acknowledged.borrow_mut(),
            acknowledged,
        );
    }

    /// Records that the client sent something, so it has read what it acknowledged.
    pub fn received(&self) {
        self.0.acknowledged.take();
    }

    /// Records that the connection broke with this much undelivered. If that is unknown, nothing counts as
    /// certainly lost, and nothing as arrived.
    pub fn broke(&self, left: Option<Undelivered>) {
        let outstanding = left.map(|left| left.outstanding);
        self.acknowledged(outstanding);
        let acknowledged = self.0.written.get().saturating_sub(outstanding.unwrap_or(0));
        self.0.broke_at.set(Some(acknowledged));
        self.0.acknowledged.take().into_iter().for_each(Stream::mark_unread);
        for mut tail in self.0.unacknowledged.take() {
            if tail.has_reached_proxy(left) {
                tail.stream.acknowledge();
                continue;
            }
            let end =
                tail.end.unwrap_or_else(|| self.0.flushed.get().saturating_add(tail.stream.last_portion()));
            tail.stream.mark_lost(end.saturating_sub(acknowledged));
        }
    }

    /// Returns whether the connection is known to be broken.
    pub fn is_broken(&self) -> bool {
        self.0.broke_at.get().is_some()
    }

    /// Call this when this side closes the connection. Returns the streams whose outcome is still open.
    pub fn close(&self) -> Option<OrphanedStreams> {
        let (mut tails, acknowledged) = (self.0.unacknowledged.take(), self.0.acknowledged.take());
        // Bytes that never left this process never arrive.
        tails.retain(|tail| tail.end.is_some());
        let written = self.0.written.get();
        (!tails.is_empty() || !acknowledged.is_empty()).then_some(OrphanedStreams {
            written,
            unacknowledged: tails,
            acknowledged,
        })
    }
}

impl OrphanedStreams {
    /// Records that all bytes except for the last `outstanding` are acknowledged. Returns whether all are.
    pub fn acknowledged(&mut self, outstanding: Option<u64>) -> bool {
        if let Some(outstanding) = outstanding {
            let acknowledged = self.written.saturating_sub(outstanding);
            move_acknowledged(&mut self.unacknowledged, &mut self.acknowledged, acknowledged);
        }
        self.unacknowledged.is_empty()
    }

    /// Records that the connection broke with this much undelivered.
    pub fn broke(mut self, left: Option<Undelivered>) {
        let outstanding = left.map(|left| left.outstanding);
        let acknowledged = self.written.saturating_sub(outstanding.unwrap_or(0));
        self.acknowledged(outstanding);
        self.acknowledged.drain(..).for_each(Stream::mark_unread);
        for mut tail in self.unacknowledged.drain(..) {
            if tail.has_reached_proxy(left) {
                tail.stream.acknowledge();
                continue;
            }
            tail.stream.mark_lost(tail.end.unwrap_or(self.written).saturating_sub(acknowledged));
        }
    }
}

fn move_acknowledged(tails: &mut VecDeque<UnacknowledgedStream>, to: &mut Vec<Stream>, acknowledged: u64) {
    while let Some(mut tail) = tails.pop_front_if(|tail| tail.end.is_some_and(|end| end <= acknowledged)) {
        tail.stream.acknowledge();
        to.push(tail.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: u64 = 1 << 30;

    #[test]
    fn a_thousand_connections_that_are_not_read_hold_little_more_than_the_budget() {
        let portions = BufferBudget::default();
        let lines: Vec<WriteTracker> = std::iter::repeat_with(WriteTracker::default).take(4096).collect();
        let sizes: Vec<u64> = lines.iter().map(|line| line.make_room(&portions, FILE)).collect();
        assert_eq!(sizes.first(), Some(&(PORTION as u64)), "nobody else holds anything");
        assert!(sizes.is_sorted_by(|a, b| a >= b));
        assert_eq!(sizes.last(), Some(&(16 * 1024)));
        assert!(portions.held() < (32 << 20) + 4096 * 17 * 1024, "{}", portions.held());
        // Connections with a large buffer keep it; new ones get a small one.
        for line in &lines {
            line.flushed();
        }
        let before = portions.held();
        assert!(lines[0].make_room(&portions, FILE) >= PORTION as u64 - HEAD as u64);
        assert_eq!(portions.held(), before);
        drop(lines);
        assert_eq!(portions.held(), 0);
    }

    #[test]
    fn answers_that_follow_each_other_are_counted_together_and_a_large_buffer_is_given_back() {
        let (portions, line) = (BufferBudget::default(), WriteTracker::default());
        assert_eq!(line.make_room(&portions, 100), 100);
        assert_eq!(portions.held(), 0, "it fits into what every connection has");
        for _ in 0..3 {
            assert_eq!(line.make_room(&portions, FILE), PORTION as u64);
        }
        assert!(portions.held() > 3 * PORTION - FIRST_BUFFER);
        line.flushed();
        assert_eq!(portions.held(), 0, "the dispatcher lets go of what is larger than it keeps");
        assert_eq!(line.make_room(&portions, FILE), PORTION as u64);
        line.flushed();
        assert!(portions.held() >= PORTION - FIRST_BUFFER, "and keeps what is not");
    }
}
