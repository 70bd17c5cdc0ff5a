//! The permission to send one range: every portion is recorded as sent before it is sent.

use std::ops::Range;
use std::sync::Arc;

use crate::access::HandedOn;
use crate::clock::Timestamp;
use crate::download::ledger::deliveries::Ledger;
use crate::download::ledger::delivery::Delivery;
use crate::download::ledger::limits::SMALL_OVERLAP;
use crate::download::ledger::ranges::RangeSet;
use crate::download::ledger::state::{DeliveryInner, DeliveryPhase};

/// The result of [`Stream::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// This many bytes from the stream's position may be sent; they were recorded as sent.
    Send(u64),
    /// The stream has reached bytes that another stream has sent. A download manager hangs up here. A client
    /// that doesn't within [`PATIENCE`](super::PATIENCE) may continue with [`Stream::resume_after_pause`].
    Pause,
    /// Nothing more may be sent.
    Stop,
    /// Everything was sent.
    End,
}

/// The progress of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamProgress {
    /// Its bytes are being handed on.
    Running,
    /// All its bytes were written to the kernel, but may not have arrived yet.
    Finished,
    /// The peer's kernel has all bytes, but they may not have been read.
    Acknowledged,
    /// Its connection broke after it finished.
    Broken,
}

/// The permission to send one contiguous range. Ends when dropped.
pub(crate) struct Stream {
    delivery: Arc<Delivery>,
    ledger: Arc<Ledger>,
    id: u64,
    start: u64,
    position: u64,
    end: u64,
    keyed: bool,
    /// The bytes that were counted as sent again.
    resent: RangeSet,
    progress: StreamProgress,
    /// Whether bytes that were already sent may be sent again here without a pause: at the start of a stream,
    /// and after a pause.
    repeating: bool,
    /// For the access log.
    handed_on: HandedOn,
}

impl Stream {
    pub(super) fn new(
        delivery: Arc<Delivery>,
        ledger: Arc<Ledger>,
        id: u64,
        range: Range<u64>,
        keyed: bool,
    ) -> Stream {
        Stream {
            delivery,
            ledger,
            id,
            start: range.start,
            position: range.start,
            end: range.end,
            keyed,
            resent: RangeSet::default(),
            progress: StreamProgress::Running,
            repeating: true,
            handed_on: HandedOn::default(),
        }
    }

    /// Returns the position of the next byte to send.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// Returns how many bytes remain.
    pub(crate) const fn remaining(&self) -> u64 {
        self.end - self.position
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Returns the count of its bytes, which continues to count.
    pub(crate) fn handed_on(&self) -> HandedOn {
        self.handed_on.clone()
    }

    /// Returns its delivery.
    pub(crate) const fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    /// Records up to `wish` bytes (> 0) as sent, and returns how many may be sent.
    pub(crate) fn take(&mut self, wish: u64, now: Timestamp) -> Take {
        let wish = wish.min(self.remaining());
        if wish == 0 {
            return Take::End;
        }
        let delivery = self.delivery.clone();
        let mut state = delivery.state();
        if state.phase != DeliveryPhase::Open || delivery.until <= now || self.ledger.is_suspended() {
            return Take::Stop;
        }
        let mut most = wish.min(delivery.byte_budget().saturating_sub(state.bytes_sent));
        let mut again = 0;
        if self.keyed {
            // Other streams may have used up the reservation of this one.
            most = most.min(state.reserved.credit());
        } else {
            let (run_end, sent_before) = state.sent.run_at(self.position);
            let run = run_end.map_or(u64::MAX, |end| end - self.position);
            most = most.min(run);
            if sent_before {
                let others_run = state.streams.iter().any(|other| {
                    other.id != self.id && (other.start..=other.position).contains(&self.position)
                });
                let small = run.min(self.remaining()) <= SMALL_OVERLAP && !others_run;
                if !self.repeating && !small {
                    return Take::Pause;
                }
                most = most.min(delivery.allowance().saturating_sub(state.resent));
                again = most;
            } else {
                self.repeating = false;
            }
        }
        if most == 0 {
            return Take::Stop;
        }
        let portion = self.position..self.position + most;
        self.position = portion.end;
        if again > 0 {
            self.resent.insert(portion.clone());
        }
        state.record_portion(portion);
        state.bytes_sent += most;
        self.handed_on.add(most);
        self.ledger.bytes_handed_on.inc_by(most);
        if self.keyed {
            state.reserved.spend(most);
        }
        state.resent += again;
        state.last_sent = state.last_sent.max(now);
        state.first_sent.get_or_insert(now);
        if let Some(running) = state.streams.iter_mut().find(|running| running.id == self.id) {
            // Only one portion is in progress at a time, so the previous one was written to the kernel.
            running.position = self.position;
            running.unwritten = most;
        }
        Take::Send(most)
    }

    /// Records that all bytes were written to the kernel, so nobody needs to wait for this stream any more.
    /// They count as arrived, and so do earlier bytes that were sent in vain, unless the connection later
    /// shows otherwise: [`Stream::mark_lost`], [`Stream::mark_unread`].
    pub(crate) fn finish(&mut self) {
        let mut state = self.delivery.state();
        if self.progress == StreamProgress::Running {
            self.progress = StreamProgress::Finished;
            self.stop_running(&mut state, true);
            state.empty_undelivered = false;
            state.unconfirmed_streams += 1;
            drop(state);
            self.delivery.notify();
        }
    }

    /// Records that the peer's kernel has all bytes: as far as we can know, they arrived.
    pub(crate) fn acknowledge(&mut self) {
        let mut state = self.delivery.state();
        if self.progress == StreamProgress::Finished {
            self.progress = StreamProgress::Acknowledged;
            state.unconfirmed_streams -= 1;
            state.acknowledged += 1;
            self.note_complete(&mut state);
            drop(state);
            self.delivery.notify();
        }
    }

    /// Removes this stream from the running ones, and records which bytes were written to the kernel.
    fn stop_running(&self, state: &mut DeliveryInner, all: bool) {
        let Some(at) = state.streams.iter().position(|running| running.id == self.id) else { return };
        let running = state.streams.swap_remove(at);
        let handed = if all { running.start..running.position } else { running.written() };
        state.undelivered.remove(&handed);
        state.written.insert(handed);
    }

    /// Records that the connection broke before the peer acknowledged the last `count` bytes of this stream.
    /// They count as not sent, except for those that were sent another time.
    pub(crate) fn mark_lost(&mut self, count: u64) {
        let lost = self.position.saturating_sub(count).max(self.start)..self.position;
        let delivery = self.delivery.clone();
        let mut state = delivery.state();
        if self.progress != StreamProgress::Running {
            self.mark_undelivered(&mut state);
            self.set_broken(&mut state);
        }
        if lost.is_empty() {
            return;
        }
        state.resent = state.resent.saturating_sub(self.resent.overlap(&lost));
        self.resent.remove(&lost);
        let mut never_sent = RangeSet::default();
        never_sent.insert(lost.clone());
        never_sent.subtract(&state.repeated);
        if self.progress == StreamProgress::Running
            && let Some(had) = state.breaks.broke(&lost, self.id)
        {
            never_sent.remove(&had);
        }
        state.sent.subtract(&never_sent);
        state.written.subtract(&never_sent);
        let last = lost.end - 1..lost.end;
        if state.repeated.overlap(&lost) > 0 && state.read.overlap(&last) == 0 {
            state.undelivered.insert(last);
        }
        self.position = lost.start;
        if let Some(running) = state.streams.iter_mut().find(|running| running.id == self.id) {
            running.unwritten = running.unwritten.saturating_sub(lost.end - lost.start);
            running.position = lost.start;
        }
    }

    /// Records that the connection was reset when the peer had all bytes. They may not have been read, so the
    /// file isn't complete. A proxy resets connections when it is finished, so its reset means nothing.
    pub(crate) fn mark_unread(mut self) {
        if self.delivery.proxied {
            return;
        }
        let delivery = self.delivery.clone();
        let mut state = delivery.state();
        self.mark_undelivered(&mut state);
        self.set_broken(&mut state);
    }

    /// Its last bytes may not have been read, unless another connection delivered them.
    fn mark_undelivered(&self, state: &mut DeliveryInner) {
        // The client may have left as many bytes unread as may be sent again.
        let unread = self.start.max(self.end.saturating_sub(self.delivery.allowance()))..self.end;
        state.unread.insert(unread);
        state.unread.subtract(&state.read);
        let last = self.end.saturating_sub(1)..self.end;
        if state.read.overlap(&last) == 0 {
            state.empty_undelivered |= self.delivery.size == 0;
            state.undelivered.insert(last);
            state.completed_at = None;
        }
    }

    fn note_complete(&self, state: &mut DeliveryInner) {
        if state.completed_at.is_none() && self.delivery.is_complete(state) && state.is_idle() {
            state.completed_at = Some(state.last_sent);
            state.was_complete = true;
        }
    }

    fn set_broken(&mut self, state: &mut DeliveryInner) {
        match std::mem::replace(&mut self.progress, StreamProgress::Broken) {
            StreamProgress::Finished => state.unconfirmed_streams -= 1,
            StreamProgress::Acknowledged => state.acknowledged -= 1,
            StreamProgress::Running | StreamProgress::Broken => {}
        }
    }

    /// Records that the client didn't hang up during the pause, so it wants these bytes again.
    pub(crate) fn resume_after_pause(&mut self) {
        self.repeating = true;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.delivery.state();
        match self.progress {
            StreamProgress::Running => {
                self.stop_running(&mut state, false);
                // It was dropped while its last bytes were still in this process.
                if self.position == self.end {
                    self.mark_undelivered(&mut state);
                } else {
                    // Its client hung up in the middle, as clients do when they get the rest elsewhere.
                    state.read(self.start..self.position);
                }
            }
            StreamProgress::Finished => {
                state.unconfirmed_streams -= 1;
                state.read(self.start..self.end);
            }
            StreamProgress::Acknowledged => {
                state.acknowledged -= 1;
                state.read(self.start..self.end);
            }
            StreamProgress::Broken => {}
        }
        self.note_complete(&mut state);
        drop(state);
        self.ledger.settle(&self.delivery);
        self.delivery.notify();
    }
}
