//! What a connection and its transfers know about each other.
//!
//! A body hands its portions on here, past HTTP's dispatcher, and waits until each is written, so that only one is
//! in progress. Written bytes haven't arrived yet: after its last byte was handed on, the stream stays here. It is
//! complete when the peer's kernel has acknowledged that byte. It stays a while longer, because a connection reset
//! means that the data wasn't read, and the client's next request or an orderly close means that it was.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::download::ledger::{PortionWriter, Stream};
use crate::download::outgoing::{NextBytes, Outgoing, OutgoingContent, RefusedPortion};
use crate::download::unacknowledged::{
    OrphanedStreams, UnacknowledgedStream, Undelivered, move_acknowledged,
};

/// The state of one connection, shared by its transport and the body that is being sent. Belongs to one
/// worker.
#[derive(Clone, Default)]
pub struct WriteTracker(Rc<State>);

#[derive(Default)]
struct State {
    /// A body is being sent and isn't finished.
    sending: Cell<bool>,
    /// The portion that is being written.
    outgoing: RefCell<Option<Outgoing>>,
    /// HTTP's dispatcher got the latest portion.
    inline: Cell<bool>,
    /// It got a portion, and more will follow.
    full: Cell<bool>,
    /// The rest of a portion that the kernel didn't send.
    refused: Cell<Option<RefusedPortion>>,
    /// A body waits until the client has everything that was written.
    settling: Cell<bool>,
    /// A body wants the connection broken off, with everything that wasn't acknowledged.
    cut: Cell<bool>,
    /// The peer's acknowledgments have become interesting, so they should be looked at now.
    query: Cell<bool>,
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

    /// Hands a portion on, after everything that HTTP's dispatcher has got so far.
    pub(super) fn send(&self, content: OutgoingContent, writer: Option<PortionWriter>) {
        self.0.outgoing.replace(Some(Outgoing::new(content, writer)));
    }

    /// Records that HTTP's dispatcher gets a portion.
    pub(super) fn pass(&self, is_last: bool) {
        self.0.inline.set(true);
        self.0.full.set(!is_last);
    }

    /// Returns whether there is a portion that was handed on but not written, and more will follow.
    pub(super) fn is_full(&self) -> bool {
        self.0.full.get() || self.0.outgoing.borrow().is_some()
    }

    /// Returns the rest of a portion that the kernel didn't send.
    pub(super) fn take_refused(&self) -> Option<RefusedPortion> {
        self.0.refused.take()
    }

    /// Begins to wait until the client has everything that was written.
    pub(super) fn settle(&self) {
        self.0.settling.set(true);
    }

    /// Breaks the connection off. What wasn't acknowledged is discarded.
    pub(super) fn cut(&self) {
        self.0.cut.set(true);
    }

    /// Calls `write` with the bytes of the portion that are written next, if there are any.
    pub(crate) fn with_next<T>(&self, write: impl FnOnce(Option<NextBytes<'_>>) -> T) -> T {
        let outgoing = self.0.outgoing.borrow();
        write(outgoing.as_ref().filter(|_| !self.is_broken()).and_then(Outgoing::next))
    }

    /// Records that this much of the portion was written to the kernel.
    pub(crate) fn wrote_portion(&self, count: u64) {
        self.wrote(count);
        if let Some(outgoing) = &mut *self.0.outgoing.borrow_mut() {
            outgoing.wrote(count);
        }
    }

    /// Records that everything before the portion was written.
    pub(crate) fn reached_portion(&self) {
        if let Some(outgoing) = &mut *self.0.outgoing.borrow_mut() {
            outgoing.is_next = true;
        }
    }

    /// Returns whether what HTTP's dispatcher writes now comes after the portion.
    pub(crate) fn is_portion_next(&self) -> bool {
        self.0.outgoing.borrow().as_ref().is_some_and(|outgoing| outgoing.is_next)
    }

    /// Records that the kernel doesn't send the portion, because its file seems to have changed, or because it can't.
    /// The body reads the rest itself, or breaks off.
    pub(crate) fn refuse_portion(&self, changed: bool) {
        let refused = self.0.outgoing.take();
        self.0.refused.set(refused.and_then(|refused| refused.refused(changed)));
    }

    /// Returns whether the kernel refused to send a portion, and its body doesn't know that yet.
    pub(crate) fn is_refused(&self) -> bool {
        self.0.refused.get().is_some()
    }

    /// Returns whether a body wants the connection broken off.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.get()
    }

    /// Returns whether a body waits until the client has everything that was written.
    pub(crate) fn is_settling(&self) -> bool {
        self.0.settling.get()
    }

    /// Records that the client has everything that was written.
    pub(crate) fn settled(&self) {
        self.0.settling.set(false);
    }

    /// Returns whether the peer's acknowledgments should be looked at now.
    pub(crate) fn take_query(&self) -> bool {
        self.0.query.take()
    }

    /// Records that the last bytes of a body were handed on.
    pub(crate) fn hand_over(&self, stream: Stream) {
        self.0.sending.set(false);
        self.0.query.set(true);
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
            stream.mark_lost(self.end_of(stream).saturating_sub(acknowledged));
        }
    }

    /// Returns the value that `written` will have when what `stream` has taken is written.
    fn end_of(&self, stream: &Stream) -> u64 {
        // Which of the dispatcher's bytes were written isn't known until all are.
        let written = if self.0.inline.get() { &self.0.flushed } else { &self.0.written };
        written.get().saturating_add(stream.unwritten())
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
        self.0.inline.set(false);
        for tail in self.0.unacknowledged.borrow_mut().iter_mut().filter(|tail| tail.end.is_none()) {
            tail.end = Some(written);
            tail.stream.finish();
        }
        self.0.outgoing.take().is_some() | self.0.full.take()
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
        self.0.settling.set(false);
        self.0.acknowledged.take().into_iter().for_each(Stream::mark_unread);
        for mut tail in self.0.unacknowledged.take() {
            if tail.has_reached_proxy(left) {
                tail.stream.acknowledge();
                continue;
            }
            let end = tail.end.unwrap_or_else(|| self.end_of(&tail.stream));
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
