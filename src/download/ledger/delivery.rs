//! One redeemed jti: whose it is, what of its file has left, and who may have more.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::clock::Timestamp;
use crate::download::ledger::bound::Reserved;
use crate::download::ledger::breaks::{Breaks, Resumption};
use crate::download::ledger::proof::{Proof, second_key};
use crate::download::ledger::ranges::RangeSet;
use crate::download::ledger::stream::Stream;
use crate::download::ledger::{Ledger, Whole};
use crate::files::FileVersion;
use crate::files::identity::Trace;
use crate::id::Jti;
use crate::secret::{Digest, Secret};
use crate::used_tokens::Lease;

/// How many bytes may leave a second time for a client that shows no resume key. Enough for what
/// lay in buffers when a connection broke.
pub(super) const RESEND_ALLOWANCE: u64 = 8 * 1024 * 1024;
/// With the resume key this many times the file's size may leave, plus [`RESEND_ALLOWANCE`].
pub(super) const KEYED_FACTOR: u64 = 3;
/// Most connections that carry one jti's bytes at once.
pub(super) const MAX_STREAMS: usize = 16;
/// How long a request waits for an earlier one of the same jti to end, and a stream for its client
/// to hang up where another stream went on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a request that comes after the last byte waits for the news that the connection broke:
/// a client that hung up and comes right back is often faster than that.
const GRACE: Duration = Duration::from_millis(50);
/// How long after the last byte it may turn out that something was not read.
const UNREAD_PATIENCE: Duration = Duration::from_secs(60);
/// Two segments of the largest size that a machine's own network has. A kernel acknowledges two at a time, so
/// a program may have read this much before any of it was acknowledged.
pub(crate) const TWO_SEGMENTS: u64 = 128 * 1024;
/// Sent bytes that a stream runs into are sent again without a pause if they are no more than this.
pub(super) const SMALL_OVERLAP: u64 = 64 * 1024;

/// One redeemed jti: whose it is, and what of its file has left.
pub(crate) struct Delivery {
    pub(crate) jti: Jti,
    /// Bytes of the file.
    pub(super) size: u64,
    pub(crate) version: FileVersion,
    /// What else is known of the very file.
    pub(crate) trace: Option<Trace>,
    /// Who redeemed it; `None` when that is not known any more or does not count.
    address: Option<IpAddr>,
    /// The content of the strong ETag that is shown: the resume key, or the second one where the first
    /// is known by its digest only.
    pub(crate) resume_key: Secret,
    pub(super) resume_digest: Digest,
    pub(super) second_digest: Digest,
    /// The latest end of the lease.
    pub(super) until: Timestamp,
    state: Mutex<State>,
    pub(super) changed: Notify,
    /// One reservation at a time, so that what others reserved is told from what this node did.
    pub(crate) reserving: Semaphore,
    /// How many bytes may leave a second time for a client that shows no resume key.
    allowance: u64,
    /// Whether it was redeemed through a trusted proxy.
    pub(crate) proxied: bool,
    /// Told of the same changes as those who wait; set where a receipt is kept of this delivery.
    teller: OnceLock<Arc<Notify>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The store has not answered yet.
    Claiming,
    /// Redeemed and on record.
    Open,
    /// The claim failed; nobody was served.
    Dropped,
    Revoked,
}

pub(super) struct State {
    pub(super) phase: Phase,
    /// Bytes that left at least once.
    pub(super) sent: RangeSet,
    /// Bytes that left in all, or may have.
    pub(super) left: u64,
    pub(super) reserved: Reserved,
    /// Bytes that left again without the key.
    pub(super) resent: u64,
    pub(super) streams: Vec<Running>,
    /// Bytes that left more than once.
    pub(super) repeated: RangeSet,
    /// Streams that ended and of which it is not known yet whether all arrived.
    pub(super) tails: u32,
    /// Streams that arrived, on connections that have not shown yet whether anybody read them.
    pub(super) acknowledged: u32,
    pub(super) next_stream: u64,
    pub(super) last_sent: Timestamp,
    /// When the first byte left, here.
    pub(super) first_sent: Option<Timestamp>,
    /// Bytes of streams that have ended, as far as they were with the kernel then.
    pub(super) handed: RangeSet,
    /// The last byte of each stream that was sent to its end on a connection that then broke, until
    /// another stream has sent it. As long as there is one, the file has not gone out whole.
    pub(super) in_vain: RangeSet,
    /// The same for a file without bytes.
    pub(super) empty_in_vain: bool,
    /// Bytes of streams that ended without a sign that nobody read them.
    pub(super) read: RangeSet,
    /// The ends of streams on connections that broke, which their clients may not have read. A download
    /// manager closes a connection whose rest it asks for on others, piece by piece.
    pub(super) unread: RangeSet,
    pub(super) breaks: Breaks,
    /// When the last byte left of a file that is whole.
    pub(super) whole_at: Option<Timestamp>,
    /// Whether every byte had arrived at some moment, whatever came then.
    pub(super) was_whole: bool,
    /// How often somebody came back when nothing was under way.
    pub(super) returned: u32,
    /// Whether somebody without the key ever came while another stream ran, as a download manager does. Such
    /// a client gives the rest of one connection to another and closes the one: what it read there, and threw
    /// away, nobody can tell.
    pub(super) is_split: bool,
    /// Whether this was opened again after it went out whole, so that `sent` is all of the file.
    pub(super) opened_again: bool,
}

impl State {
    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.tails == 0
    }

    /// Whether nothing more can be learnt of what was sent.
    pub(super) fn is_settled(&self) -> bool {
        self.is_idle() && self.acknowledged == 0
    }

    /// Enters a portion as sent.
    pub(super) fn enter(&mut self, portion: Range<u64>) {
        self.repeated.merge(&self.sent.within(&portion));
        self.sent.insert(portion);
    }

    /// The next stream is to begin at `start`: whatever its client has by that is sent.
    fn resume_at(&mut self, start: u64) {
        let mut unkeyed = self.streams.iter().filter(|running| !running.keyed).map(|running| running.id);
        let (beside, more) = (unkeyed.next(), unkeyed.next().is_some());
        if more {
            return;
        }
        let follows_sent = self.sent.overlap(&(start.saturating_sub(1)..start)) > 0;
        let at = Resumption { id: self.next_stream, start, follows_sent, beside };
        if let Some(had) = self.breaks.resumed(at) {
            self.sent.insert(had.clone());
            self.handed.insert(had);
        }
    }

    /// Nothing shows that these bytes were not read.
    pub(super) fn read(&mut self, range: Range<u64>) {
        self.in_vain.remove(&range);
        self.unread.remove(&range);
        self.empty_in_vain = false;
        self.read.insert(range);
    }
}

/// A stream under way.
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) start: u64,
    pub(super) position: u64,
    pub(super) end: u64,
    pub(super) keyed: bool,
    /// How many of the bytes before the position are not known to be with the kernel.
    pub(super) under_way: u64,
}

impl Running {
    /// What is with the kernel.
    pub(super) const fn handed(&self) -> Range<u64> {
        self.start..self.position - self.under_way
    }
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) range: Range<u64>,
    /// Without a `Range` field: such a request is a retry from the start, not a resumption.
    pub(crate) plain: bool,
    pub(crate) proof: Proof,
}

/// Why a wish is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Used up, for this client at least.
    Used,
    /// Revoked.
    Revoked,
    /// Sixteen connections are busy with it already.
    Crowded,
    /// The claim is taking too long.
    Unanswered,
    /// The claim this waited for failed: start anew.
    StartAnew,
}

/// What stands in the way of a wish.
pub(super) enum Obstacle {
    Final(Denied),
    /// Something under way has to end first; if it does not, the answer is this.
    Passing(Denied),
    /// The answer is this unless a connection turns out to be broken right now.
    Fading(Denied),
}

impl Delivery {
    /// A delivery that is about to be claimed.
    pub(crate) fn new(
        jti: Jti,
        version: FileVersion,
        address: Option<IpAddr>,
        resume_key: Secret,
        until: Timestamp,
        now: Timestamp,
    ) -> Delivery {
        let state = State {
            phase: Phase::Claiming,
            sent: RangeSet::default(),
            left: 0,
            reserved: Reserved::default(),
            resent: 0,
            streams: Vec::new(),
            tails: 0,
            acknowledged: 0,
            repeated: RangeSet::default(),
            empty_in_vain: false,
            read: RangeSet::default(),
            unread: RangeSet::default(),
            breaks: Breaks::default(),
            whole_at: None,
            was_whole: false,
            next_stream: 0,
            last_sent: now,
            first_sent: None,
            handed: RangeSet::default(),
            in_vain: RangeSet::default(),
            returned: 0,
            is_split: false,
            opened_again: false,
        };
        Delivery {
            jti,
            size: version.len,
            version,
            trace: None,
            address,
            resume_digest: resume_key.digest(),
            second_digest: second_key(&resume_key.digest()).digest(),
            resume_key,
            until,
            state: Mutex::new(state),
            changed: Notify::new(),
            reserving: Semaphore::new(1),
            allowance: RESEND_ALLOWANCE,
            proxied: false,
            teller: OnceLock::new(),
        }
    }

    /// The same, with what else is known of the very file.
    pub(crate) fn of(self, trace: Option<Trace>) -> Delivery {
        Delivery { trace, ..self }
    }

    /// The same, redeemed through a trusted proxy. What a proxy holds when a connection breaks looks as
    /// if it had arrived, so `allowance` bytes may be sent again, and for a while after the last byte.
    pub(crate) fn through_proxy(self, allowance: u64) -> Delivery {
        Delivery { allowance: allowance.max(RESEND_ALLOWANCE), proxied: true, ..self }
    }

    pub(super) const fn allowance(&self) -> u64 {
        self.allowance
    }

    /// Has `teller` woken at every change that those who wait for this delivery are told of.
    pub(crate) fn tell(&self, teller: Arc<Notify>) {
        let _only_the_first_counts = self.teller.set(teller);
    }

    /// Something began or ended.
    pub(super) fn announce(&self) {
        self.changed.notify_waiters();
        if let Some(teller) = self.teller.get() {
            teller.notify_one();
        }
    }

    /// A delivery on record from earlier. `shown` is the tag by which its client proved itself, if it did
    /// so by one.
    pub(crate) fn recorded(jti: Jti, lease: &Lease, shown: Option<Secret>, now: Timestamp) -> Delivery {
        let second = second_key(&lease.resume_key);
        let shown = shown.unwrap_or_else(|| second.clone());
        let delivery = Delivery {
            resume_digest: lease.resume_key,
            second_digest: second.digest(),
            trace: lease.trace,
            ..Delivery::new(jti, lease.version, None, shown, lease.until, now)
        };
        let mut state = delivery.state();
        state.phase = Phase::Open;
        state.reserved = Reserved::recorded(lease.reserved);
        let unkeyed = delivery.most().saturating_sub(delivery.most_of_unknown());
        state.left = unkeyed.saturating_add(lease.reserved);
        drop(state);
        delivery
    }

    /// The same of a file that this node knows to have gone out whole.
    pub(super) fn having_left(self, whole: Whole) -> Delivery {
        let mut state = self.state();
        state.sent.insert(0..self.size);
        state.opened_again = true;
        // Too large a number was cut off: then nothing is known.
        if whole.unkeyed_kib < u32::MAX {
            state.left = (u64::from(whole.unkeyed_kib) * 1024).saturating_add(state.reserved.total);
        }
        state.last_sent = Timestamp::from_secs(whole.last_sent.into());
        drop(state);
        self
    }

    /// The most bytes that may ever leave.
    pub(super) fn most(&self) -> u64 {
        self.size.saturating_mul(KEYED_FACTOR).saturating_add(RESEND_ALLOWANCE)
    }

    /// Whether every byte has left, and none in vain as far as can be seen.
    pub(super) fn is_whole(&self, state: &State) -> bool {
        state.sent.covers(self.size) && state.in_vain.is_empty() && !state.empty_in_vain
    }

    pub(super) fn lease_end(&self, state: &State, lease: Duration) -> Timestamp {
        state.last_sent.plus(lease).min(self.until)
    }

    /// The claim is durable: gives the redeeming request its stream, before anybody else's, and
    /// lets those who wait go on.
    pub(crate) fn open(self: &Arc<Delivery>, ledger: &Arc<Ledger>, range: Range<u64>) -> Stream {
        let mut state = self.state();
        // A revocation may have come in between; then the stream stops at its first portion.
        if state.phase == Phase::Claiming {
            state.phase = Phase::Open;
        }
        let stream = self.start(&mut state, ledger, range, false);
        drop(state);
        self.announce();
        stream
    }

    /// Whether a client at this address is taken for the one that redeemed.
    pub(crate) fn is_for(&self, address: Option<IpAddr>) -> bool {
        address.is_some() && self.address == address
    }

    /// Digest of the resume key.
    pub(crate) const fn resume_digest(&self) -> &Digest {
        &self.resume_digest
    }

    /// Grants a wish, now or after waiting up to [`PATIENCE`] for what is in its way to end.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn admit(
        self: &Arc<Delivery>,
        ledger: &Arc<Ledger>,
        wish: &Wish,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Stream, Denied> {
        let began = Instant::now();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, so that a change between look and wait is not missed.
            changed.as_mut().enable();
            let (otherwise, patience) = match self.try_admit(ledger, wish, lease, now) {
                Ok(stream) => return Ok(stream),
                Err(Obstacle::Final(why)) => return Err(why),
                Err(Obstacle::Passing(otherwise)) => (otherwise, PATIENCE),
                Err(Obstacle::Fading(otherwise)) => (otherwise, GRACE),
            };
            tokio::select! {
                () = &mut changed => {}
                () = sleep_until(began + patience) => return Err(otherwise),
            }
        }
    }

    /// Whether the wish would be granted now, without waiting and without starting anything.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn would_admit(&self, wish: &Wish, lease: Duration, now: Timestamp) -> Result<(), Denied> {
        self.judge(&self.state(), wish, lease, now)
            .map_err(|(Obstacle::Final(why) | Obstacle::Passing(why) | Obstacle::Fading(why))| why)
    }

    pub(super) fn try_admit(
        self: &Arc<Delivery>,
        ledger: &Arc<Ledger>,
        wish: &Wish,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Stream, Obstacle> {
        let mut state = self.state();
        self.judge(&state, wish, lease, now)?;
        state.resume_at(wish.range.start);
        if state.streams.is_empty() {
            state.returned = state.returned.saturating_add(1);
        } else if !wish.proof.is_keyed() {
            state.is_split = true;
        }
        Ok(self.start(&mut state, ledger, wish.range.clone(), wish.proof.is_keyed()))
    }

    fn judge(&self, state: &State, wish: &Wish, lease: Duration, now: Timestamp) -> Result<(), Obstacle> {
        match state.phase {
            Phase::Claiming => return Err(Obstacle::Passing(Denied::Unanswered)),
            Phase::Dropped => return Err(Obstacle::Final(Denied::StartAnew)),
            Phase::Revoked => return Err(Obstacle::Final(Denied::Revoked)),
            Phase::Open => {}
        }
        if self.lease_end(state, lease) <= now {
            return Err(Obstacle::Final(Denied::Used));
        }
        match wish.proof {
            Proof::Key | Proof::Continuation => {}
            Proof::Address(address) if self.is_for(Some(address)) => {}
            Proof::Address(_) | Proof::None => return Err(Obstacle::Final(Denied::Used)),
        }
        // One that went out whole stays so, however a client that has it again by its key fares.
        if wish.proof != Proof::Key && (state.opened_again || self.is_whole(state)) {
            let from_within = !wish.plain && wish.range.start > 0;
            let by_address = !wish.proof.is_keyed();
            let is_unread = self.proxied
                || state.is_split
                || state.unread.overlap(&wish.range) == wish.range.end - wish.range.start;
            if !(by_address && from_within && is_unread && self.may_be_unread(state, now)) {
                // Bytes may lie in this process yet, or be lost on a connection that just breaks. A
                // client that splits what another of its connections was sent closes that one soon.
                return Err(match (state.streams.is_empty(), state.is_settled()) {
                    (true, true) => Obstacle::Final(Denied::Used),
                    (true, false) if !from_within => Obstacle::Fading(Denied::Used),
                    _ => Obstacle::Passing(Denied::Used),
                });
            }
        }
        if wish.proof.is_keyed() {
            if state.left.saturating_add(wish.range.end - wish.range.start) > self.most() {
                return Err(Obstacle::Final(Denied::Used));
            }
        } else {
            // A plain GET is a retry only when nothing runs any more; a range may be asked for
            // while others run (download managers do), but not where one of them is just sending.
            let in_the_way = |running: &Running| {
                wish.plain || (running.start..=running.position).contains(&wish.range.start)
            };
            if state.streams.iter().any(in_the_way) {
                return Err(Obstacle::Passing(Denied::Used));
            }
            if state.sent.overlap(&wish.range) > self.allowance.saturating_sub(state.resent) {
                return Err(Obstacle::Final(Denied::Used));
            }
        }
        if state.streams.len() >= MAX_STREAMS {
            return Err(Obstacle::Passing(Denied::Crowded));
        }
        Ok(())
    }

    /// Whether something of a file that is whole may lie unread in a proxy that lost its client, or
    /// have lain so at a client that closed its connection, or one of several.
    pub(super) fn may_be_unread(&self, state: &State, now: Timestamp) -> bool {
        let may = self.proxied || state.is_split || !state.unread.is_empty();
        may && state.whole_at.is_none_or(|at| now < at.plus(UNREAD_PATIENCE))
    }

    fn start(
        self: &Arc<Delivery>,
        state: &mut State,
        ledger: &Arc<Ledger>,
        range: Range<u64>,
        keyed: bool,
    ) -> Stream {
        let id = state.next_stream;
        state.next_stream += 1;
        let (start, end) = (range.start, range.end);
        state.streams.push(Running { id, start, position: start, end, keyed, under_way: 0 });
        Stream::new(self.clone(), ledger.clone(), id, range, keyed)
    }

    // A poisoned lock means a panic elsewhere; the state itself is changed in single steps that
    // never leave it half-done, and every error in it errs towards having sent more.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
