//! The right to send one range: every portion is entered as sent before it may leave.

use std::ops::Range;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::download::ledger::Ledger;
use crate::download::ledger::delivery::{Delivery, Phase, RESEND_ALLOWANCE, SMALL_OVERLAP, State};

/// What [`Stream::take`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// So many bytes from the stream's position may leave; they are entered as sent.
    Send(u64),
    /// The stream has come to bytes that another stream has sent. A download manager hangs up here;
    /// whoever does not within [`PATIENCE`](super::PATIENCE) may go on by [`Stream::press_on`].
    Pause,
    /// Nothing may leave any more.
    Stop,
    /// All is sent.
    End,
}

/// The right to send one contiguous range. Ends when dropped.
pub(crate) struct Stream {
    delivery: Arc<Delivery>,
    ledger: Arc<Ledger>,
    id: u64,
    position: u64,
    end: u64,
    keyed: bool,
    /// Whether all its bytes are with the kernel, though perhaps not yet with the client.
    finished: bool,
    /// Whether bytes that were sent before may be sent again here without a pause: at the start of
    /// a stream, and after it paused.
    repeating: bool,
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
            position: range.start,
            end: range.end,
            keyed,
            finished: false,
            repeating: true,
        }
    }

    /// The next byte to send.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes are to be sent yet.
    pub(crate) const fn remaining(&self) -> u64 {
        self.end - self.position
    }

    /// The delivery it belongs to.
    pub(crate) const fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    /// Enters up to `wish` bytes (> 0) as sent, and says how many of them may leave.
    pub(crate) fn take(&mut self, wish: u64, now: Timestamp) -> Take {
        let wish = wish.min(self.remaining());
        if wish == 0 {
            return Take::End;
        }
        let delivery = self.delivery.clone();
        let mut state = delivery.state();
        if state.phase != Phase::Open || delivery.until <= now || self.ledger.is_suspended() {
            return Take::Stop;
        }
        let mut most = wish.min(delivery.most().saturating_sub(state.left));
        let mut again = 0;
        if self.keyed {
            // Others may have used up what was reserved for this.
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
                most = most.min(RESEND_ALLOWANCE.saturating_sub(state.resent));
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
        state.sent.insert(portion);
        state.left += most;
        if self.keyed {
            state.reserved.spend(most);
        }
        state.resent += again;
        state.last_sent = state.last_sent.max(now);
        state.first_sent.get_or_insert(now);
        if let Some(running) = state.streams.iter_mut().find(|running| running.id == self.id) {
            // One portion is under way at a time: the one before this is with the kernel.
            running.position = self.position;
            running.under_way = most;
        }
        Take::Send(most)
    }

    /// All bytes are with the kernel: nobody needs to wait for this stream any more. They count as
    /// arrived, and so do those before them that were sent in vain, unless the connection yet shows
    /// the contrary: [`Stream::doubt`].
    pub(crate) fn finish(&mut self) {
        let mut state = self.delivery.state();
        if !self.finished {
            self.finished = true;
            self.leave(&mut state, true);
            state.tails += 1;
            state.doubtful = state.doubtful.filter(|until| *until > self.end);
            drop(state);
            self.delivery.announce();
        }
    }

    /// Takes this stream from those under way, and notes what of it is with the kernel.
    fn leave(&self, state: &mut State, all: bool) {
        let Some(at) = state.streams.iter().position(|running| running.id == self.id) else { return };
        let running = state.streams.swap_remove(at);
        let handed = if all { running.start..running.position } else { running.handed() };
        state.in_vain.remove(&handed);
        state.handed.insert(handed);
    }

    /// Its last bytes may not have arrived.
    fn end_in_vain(&self, state: &mut State) {
        state.doubtful = state.doubtful.max(Some(self.end));
        state.in_vain.insert(self.end.saturating_sub(1)..self.end);
    }

    /// The connection broke: the last bytes that this stream sent may not have arrived, so the file
    /// has not gone out whole.
    pub(crate) fn doubt(&mut self) {
        self.end_in_vain(&mut self.delivery.state());
    }

    /// The client did not hang up during the pause: it wants these bytes again.
    pub(crate) fn press_on(&mut self) {
        self.repeating = true;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.delivery.state();
        if self.finished {
            state.tails -= 1;
        } else {
            self.leave(&mut state, false);
            // Dropped with its last bytes still in this process.
            if self.position == self.end {
                self.end_in_vain(&mut state);
            }
        }
        drop(state);
        self.ledger.settle(&self.delivery);
        self.delivery.announce();
    }
}
