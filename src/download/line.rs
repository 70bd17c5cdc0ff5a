//! What a connection and the transfer on it know of each other.
//!
//! Bytes that are handed to HTTP are not yet written, and bytes that are written have not yet
//! arrived. A body waits here until its portion is written, so that one portion is under way at a
//! time. And when its last byte is handed on, its stream stays here until the connection shows how
//! it went on: the client's next request, or an orderly end, means that all arrived; a reset, or an
//! end before everything was written, means that it did not, and that the client may come back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::download::ledger::Stream;

/// One for each connection, shared by its transport and the body that is being sent. Lives on one
/// worker.
#[derive(Clone, Default)]
pub struct Line(Rc<State>);

#[derive(Default)]
struct State {
    /// Bytes were handed on, by a body with more to come, that are not written yet.
    full: Cell<bool>,
    tail: RefCell<Option<Tail>>,
}

/// A stream whose last byte was handed on.
struct Tail {
    stream: Stream,
    /// Whether all its bytes are with the kernel.
    written: bool,
}

impl Line {
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
        // A response before this one, on the same connection, was written before this one's end.
        self.arrived();
        self.0.tail.replace(Some(Tail { stream, written: false }));
    }

    /// All that was handed on is with the kernel. Answers whether a body waited for that and must be
    /// woken.
    pub fn written(&self) -> bool {
        if let Some(tail) = self.0.tail.borrow_mut().as_mut().filter(|tail| !tail.written) {
            tail.written = true;
            tail.stream.finish();
        }
        self.0.full.replace(false)
    }

    /// The client sent its next request: it has read the answer.
    pub fn heard(&self) {
        if self.has_written_tail() {
            self.arrived();
        }
    }

    /// The connection ended in good order, by either side.
    pub fn closed(&self) {
        if self.has_written_tail() { self.arrived() } else { self.broke() }
    }

    /// The connection broke.
    pub fn broke(&self) {
        if let Some(mut tail) = self.0.tail.take() {
            tail.stream.doubt();
        }
    }

    fn has_written_tail(&self) -> bool {
        self.0.tail.borrow().as_ref().is_some_and(|tail| tail.written)
    }

    fn arrived(&self) {
        drop(self.0.tail.take());
    }
}
