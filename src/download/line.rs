//! What a connection and the transfers on it know of each other.
//!
//! Bytes that are handed to HTTP are not yet written, and bytes that are written have not yet
//! arrived. A body waits here until its portion is written, so that one portion is under way at a
//! time. When its last byte is handed on, its stream stays here: it is complete once the peer's
//! kernel has acknowledged that byte. It stays a while longer, because a connection that is reset
//! afterwards says that nobody read what had arrived; the client's next request or an orderly end
//! says that somebody did.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::download::ledger::{Stream, TWO_SEGMENTS};
use crate::download::portions::{PORTION, Portions};

/// HTTP's dispatcher gathers what it writes in a buffer of this size …
pub const WRITE_BUFFER: usize = 256 * 1024;
/// … keeps it from answer to answer unless it grew larger, and begins with one of this size.
const FIRST_BUFFER: usize = 8 * 1024;
/// What the head of an answer takes of it.
const HEAD: usize = 1024;

/// One for each connection, shared by its transport and the body that is being sent. Lives on one
/// worker.
#[derive(Clone, Default)]
pub struct Line(Rc<State>);

#[derive(Default)]
struct State {
    /// A body is being sent that has more to come.
    sending: Cell<bool>,
    /// Bytes were handed on, by a body with more to come, that are not written yet.
    full: Cell<bool>,
    /// Bytes of answers that are with the kernel, heads included.
    written: Cell<u64>,
    /// What `written` was when everything handed on was written.
    flushed: Cell<u64>,
    /// How many bytes the peer had acknowledged when the connection broke.
    broke_at: Cell<Option<u64>>,
    /// Streams whose last byte was handed on and is not acknowledged yet, oldest first.
    tails: RefCell<VecDeque<Tail>>,
    /// Streams that were acknowledged since the client last said something.
    acknowledged: RefCell<Vec<Stream>>,
    buffer: Buffer,
}

/// The dispatcher's buffer, which can't be asked: how large it has become, as buffers grow.
#[derive(Default)]
struct Buffer {
    /// Beyond [`FIRST_BUFFER`].
    grown: Cell<usize>,
    /// Bytes in it, counted as long as they may be there.
    filled: Cell<usize>,
    /// Where `grown` is counted.
    portions: RefCell<Option<Portions>>,
}

impl Buffer {
    fn size(&self) -> usize {
        FIRST_BUFFER + self.grown.get()
    }

    fn fill(&self, portions: &Portions, bytes: usize) {
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
            self.let_go();
        }
    }

    fn let_go(&self) {
        if let Some(portions) = &*self.portions.borrow() {
            portions.remove(self.grown.take());
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// A stream whose last byte was handed on.
struct Tail {
    stream: Stream,
    /// What had been written when its last byte was; `None` until then.
    end: Option<u64>,
}

impl Tail {
    /// Whether a trusted proxy has all of it, as far as can be told from a connection that it reset.
    fn is_with_a_proxy(&self, left: Option<Undelivered>) -> bool {
        self.end.is_some()
            && self.stream.delivery().proxied
            && left.is_some_and(Undelivered::is_a_proxys_silence)
    }
}

/// The streams of a connection that is closed on this side, while its last bytes are on their way.
pub struct Orphans {
    /// Bytes that had been written when the connection was closed.
    written: u64,
    tails: VecDeque<Tail>,
    acknowledged: Vec<Stream>,
}

/// What lay in the kernel when a connection broke, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Not acknowledged, unsent ones included.
    pub outstanding: u64,
    /// Not sent at all.
    pub unsent: u64,
}

impl Undelivered {
    /// Whether it is no more than what a proxy that has read everything may not have acknowledged yet: it
    /// resets connections that it is done with, and its kernel acknowledges two segments at a time.
    const fn is_a_proxys_silence(self) -> bool {
        self.unsent == 0 && self.outstanding <= TWO_SEGMENTS
    }
}

impl Line {
    /// A body begins.
    pub(crate) fn begin(&self) {
        self.0.sending.set(true);
    }

    /// Whether a body is being sent that has more to come.
    pub fn is_sending(&self) -> bool {
        self.0.sending.get()
    }

    /// Counts room for the next portion of `remaining` bytes in the connection's buffer, and returns how
    /// large it may be: as large as the buffer is anyway, or as the budget has it.
    pub(crate) fn make_room(&self, portions: &Portions, remaining: u64) -> u64 {
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

    /// Bytes were handed on, and more are to come.
    pub(crate) fn fill(&self) {
        self.0.full.set(true);
    }

    /// Whether bytes that were handed on are not written yet.
    pub(crate) fn is_full(&self) -> bool {
        self.0.full.get()
    }

    /// The last bytes of a body were handed on.
    pub(crate) fn hand_over(&self, stream: Stream) {
        self.0.sending.set(false);
        self.0.tails.borrow_mut().push_back(Tail { stream, end: None });
    }

    /// A body is dropped before its end. Takes from `stream` what the peer is known not to have.
    pub(crate) fn abandon(&self, stream: &mut Stream) {
        self.0.sending.set(false);
        if let Some(acknowledged) = self.0.broke_at.get() {
            let pending = if self.is_full() { stream.last_portion() } else { 0 };
            stream.lose(pending.saturating_add(self.0.flushed.get()).saturating_sub(acknowledged));
        }
    }

    /// So many bytes more are with the kernel.
    pub fn wrote(&self, count: u64) {
        self.0.written.set(self.0.written.get().saturating_add(count));
    }

    /// All that was handed on is with the kernel. Returns whether a body waited for that and must be
    /// woken.
    pub fn flushed(&self) -> bool {
        let written = self.0.written.get();
        self.0.flushed.set(written);
        self.0.buffer.empty();
        for tail in self.0.tails.borrow_mut().iter_mut().filter(|tail| tail.end.is_none()) {
            tail.end = Some(written);
            tail.stream.finish();
        }
        self.0.full.replace(false)
    }

    /// Whether a stream is written to its end and not known to be acknowledged.
    pub fn awaits_acknowledgement(&self) -> bool {
        self.0.tails.borrow().front().is_some_and(|tail| tail.end.is_some())
    }

    /// All but the last `outstanding` bytes that were written are acknowledged. Where that is not
    /// known, nothing counts as arrived.
    pub fn acknowledged(&self, outstanding: Option<u64>) {
        let Some(outstanding) = outstanding else { return };
        let acknowledged = self.0.written.get().saturating_sub(outstanding);
        move_acknowledged(
            &mut self.0.tails.borrow_mut(),
            &mut self.0.acknowledged.borrow_mut(),
            acknowledged,
        );
    }

    /// The client sent something: it has read what it acknowledged.
    pub fn heard(&self) {
        self.0.acknowledged.take();
    }

    /// The connection broke when that much was not delivered. Where that is not known, none counts as
    /// lost for certain, and nothing as arrived.
    pub fn broke(&self, left: Option<Undelivered>) {
        let outstanding = left.map(|left| left.outstanding);
        self.acknowledged(outstanding);
        let acknowledged = self.0.written.get().saturating_sub(outstanding.unwrap_or(0));
        self.0.broke_at.set(Some(acknowledged));
        self.0.acknowledged.take().into_iter().for_each(Stream::doubt);
        for mut tail in self.0.tails.take() {
            if tail.is_with_a_proxy(left) {
                tail.stream.acknowledge();
                continue;
            }
            let end =
                tail.end.unwrap_or_else(|| self.0.flushed.get().saturating_add(tail.stream.last_portion()));
            tail.stream.lose(end.saturating_sub(acknowledged));
        }
    }

    /// Whether the connection is known to be broken.
    pub fn is_broken(&self) -> bool {
        self.0.broke_at.get().is_some()
    }

    /// This side is done with the connection: what is still to be learnt of its streams.
    pub fn leave(&self) -> Option<Orphans> {
        let (mut tails, acknowledged) = (self.0.tails.take(), self.0.acknowledged.take());
        // What never left this process never arrives.
        tails.retain(|tail| tail.end.is_some());
        let written = self.0.written.get();
        (!tails.is_empty() || !acknowledged.is_empty()).then_some(Orphans { written, tails, acknowledged })
    }
}

impl Orphans {
    /// All but the last `outstanding` bytes are acknowledged. Returns whether all are.
    pub fn acknowledged(&mut self, outstanding: Option<u64>) -> bool {
        if let Some(outstanding) = outstanding {
            let acknowledged = self.written.saturating_sub(outstanding);
            move_acknowledged(&mut self.tails, &mut self.acknowledged, acknowledged);
        }
        self.tails.is_empty()
    }

    /// The connection broke when that much was not delivered.
    pub fn broke(mut self, left: Option<Undelivered>) {
        let outstanding = left.map(|left| left.outstanding);
        let acknowledged = self.written.saturating_sub(outstanding.unwrap_or(0));
        self.acknowledged(outstanding);
        self.acknowledged.drain(..).for_each(Stream::doubt);
        for mut tail in self.tails.drain(..) {
            if tail.is_with_a_proxy(left) {
                tail.stream.acknowledge();
                continue;
            }
            tail.stream.lose(tail.end.unwrap_or(self.written).saturating_sub(acknowledged));
        }
    }
}

fn move_acknowledged(tails: &mut VecDeque<Tail>, to: &mut Vec<Stream>, acknowledged: u64) {
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
        let portions = Portions::default();
        let lines: Vec<Line> = std::iter::repeat_with(Line::default).take(4096).collect();
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
        let (portions, line) = (Portions::default(), Line::default());
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
