//! The ledger: which bytes of a redeemed file have left, in memory, on the node that sends them.
//!
//! It decides who may have which bytes once a jti is redeemed (the rule "once, and only once, and
//! never lost"), and it bounds what leaves: every portion is entered here *before* it is read and
//! sent. It knows nothing of HTTP or of the disk, and asks nobody the time.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::download::ranges::RangeSet;
use crate::files::FileVersion;
use crate::id::Jti;
use crate::secret::{Digest, Secret};

/// How many bytes may leave a second time for a client that shows no resume key. Enough for what
/// lay in buffers when a connection broke.
pub(crate) const RESEND_ALLOWANCE: u64 = 8 * 1024 * 1024;
/// With the resume key this many times the file's size may leave, plus [`RESEND_ALLOWANCE`].
const KEYED_FACTOR: u64 = 3;
/// Most connections that carry one jti's bytes at once.
const MAX_STREAMS: usize = 16;
/// How long a request waits for an earlier one of the same jti to end, and a stream for its client
/// to hang up where another stream went on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Sent bytes that a stream runs into are sent again without a pause if they are no more than this.
const SMALL_OVERLAP: u64 = 64 * 1024;

/// All deliveries that this node knows of.
#[derive(Default)]
pub(crate) struct Ledger {
    open: DashMap<Jti, Arc<Delivery>>,
    /// Files that went out whole: only the resume key opens them, so little need be kept.
    whole: DashMap<Jti, Whole>,
}

/// What is kept of a delivery that went out whole.
#[derive(Clone, Copy)]
struct Whole {
    /// What may still leave, in KiB (rounded down; at most 4 TiB): small, for there may be a million.
    left_kib: u32,
    /// When the last byte left, in seconds since the epoch.
    last_sent: u32,
}

/// What [`Ledger::enter`] found.
pub(crate) enum Entered {
    /// Nobody had this jti open here: the delivery is new and is being claimed by the caller.
    Claiming(Arc<Delivery>),
    /// Somebody redeems, or has redeemed, this jti here.
    Known,
    /// It went out whole.
    Whole,
}

impl Ledger {
    /// The delivery of `jti`, or a new one made by `make` that the caller must claim and then
    /// [`open`](Delivery::open) or [`forget`](Ledger::forget).
    pub(crate) fn enter(&self, jti: Jti, make: impl FnOnce() -> Delivery) -> Entered {
        match self.open.entry(jti) {
            Entry::Occupied(_) => Entered::Known,
            // Looked at under the entry's lock: a delivery is put among the whole ones before it
            // leaves the open ones, so it can't be missed.
            Entry::Vacant(_) if self.whole.contains_key(&jti) => Entered::Whole,
            Entry::Vacant(vacant) => Entered::Claiming(vacant.insert(Arc::new(make())).clone()),
        }
    }

    /// The delivery of `jti`, if one is open.
    pub(crate) fn find(&self, jti: Jti) -> Option<Arc<Delivery>> {
        self.open.get(&jti).map(|delivery| delivery.clone())
    }

    /// Whether `jti` went out whole and nobody has it open again.
    pub(crate) fn went_out_whole(&self, jti: Jti) -> bool {
        self.whole.contains_key(&jti)
    }

    /// A delivery that went out whole, or was redeemed before this process started, opened again
    /// for a client that has shown the resume key. `unknown_may` says whether a delivery that this
    /// ledger does not know is still under lease.
    pub(crate) fn reopen(
        &self,
        jti: Jti,
        lease: Duration,
        now: Timestamp,
        unknown_may: bool,
        make: impl FnOnce() -> Delivery,
    ) -> Option<Arc<Delivery>> {
        match self.open.entry(jti) {
            Entry::Occupied(known) => Some(known.get().clone()),
            Entry::Vacant(vacant) => {
                let whole = self.whole.get(&jti).map(|whole| *whole);
                let delivery = match whole {
                    Some(whole) if Timestamp::from_secs(whole.last_sent.into()).plus(lease) <= now => {
                        return None;
                    }
                    Some(whole) => make().having_left(whole),
                    None if unknown_may => make(),
                    None => return None,
                };
                Some(vacant.insert(Arc::new(delivery)).clone())
            }
        }
    }

    /// Removes a delivery whose claim failed and tells those who wait for it to start anew.
    pub(crate) fn forget(&self, delivery: &Arc<Delivery>) {
        self.open.remove_if(&delivery.jti, |_, known| Arc::ptr_eq(known, delivery));
        delivery.state().phase = Phase::Dropped;
        delivery.changed.notify_waiters();
    }

    /// Ends whatever is under way for `jti`.
    pub(crate) fn revoke(&self, jti: Jti) {
        if let Some((_, delivery)) = self.open.remove(&jti) {
            delivery.state().phase = Phase::Revoked;
            delivery.changed.notify_waiters();
        }
        self.whole.remove(&jti);
    }

    /// Puts a delivery that is whole and idle among the whole ones, where it takes little memory.
    fn settle(&self, delivery: &Arc<Delivery>) {
        let state = delivery.state();
        if !(state.sent.covers(delivery.size) && state.streams.is_empty() && state.phase == Phase::Open) {
            return;
        }
        let left = delivery.most().saturating_sub(state.left);
        let whole = Whole {
            left_kib: u32::try_from(left / 1024).unwrap_or(u32::MAX),
            last_sent: u32::try_from(state.last_sent.secs()).unwrap_or(u32::MAX),
        };
        drop(state);
        self.whole.insert(delivery.jti, whole);
        self.open.remove_if(&delivery.jti, |_, known| {
            let mut state = known.state();
            let idle = Arc::ptr_eq(known, delivery) && state.streams.is_empty();
            if idle {
                // Whoever found it just before must look again, or its bytes would be counted twice over.
                state.phase = Phase::Dropped;
            }
            idle
        });
    }

    /// Forgets deliveries whose lease has ended. The durable record stays.
    pub(crate) fn purge(&self, lease: Duration, now: Timestamp) {
        self.open.retain(|_, delivery| {
            let state = delivery.state();
            state.phase == Phase::Claiming
                || !state.streams.is_empty()
                || delivery.lease_end(&state, lease) > now
        });
        self.whole.retain(|_, whole| Timestamp::from_secs(whole.last_sent.into()).plus(lease) > now);
    }

    /// How many deliveries are open and how many went out whole.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.open.len(), self.whole.len())
    }
}

/// One redeemed jti: whose it is, and what of its file has left.
pub(crate) struct Delivery {
    pub(crate) jti: Jti,
    /// Bytes of the file.
    size: u64,
    pub(crate) version: FileVersion,
    /// Who redeemed it; `None` when that is not known any more or does not count.
    address: Option<IpAddr>,
    /// The strong ETag's content.
    pub(crate) resume_key: Secret,
    resume_digest: Digest,
    /// The latest end of the lease.
    until: Timestamp,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The store has not answered yet.
    Claiming,
    /// Redeemed and on record.
    Open,
    /// The claim failed; nobody was served.
    Dropped,
    Revoked,
}

struct State {
    phase: Phase,
    /// Bytes that left at least once.
    sent: RangeSet,
    /// Bytes that left in all.
    left: u64,
    /// Bytes that left again without the key.
    resent: u64,
    streams: Vec<Running>,
    next_stream: u64,
    last_sent: Timestamp,
}

/// A stream under way.
struct Running {
    id: u64,
    start: u64,
    position: u64,
}

/// How a client showed that it is the one that redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It knows the resume key.
    Key,
    /// It comes from the same address.
    Address(IpAddr),
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
enum Obstacle {
    Final(Denied),
    /// Something under way has to end first; if it does not, the answer is this.
    Passing(Denied),
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
            resent: 0,
            streams: Vec::new(),
            next_stream: 0,
            last_sent: now,
        };
        Delivery {
            jti,
            size: version.len,
            version,
            address,
            resume_digest: resume_key.digest(),
            resume_key,
            until,
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// A delivery on record from earlier, known by its resume key only.
    pub(crate) fn recorded(
        jti: Jti,
        version: FileVersion,
        resume_key: Secret,
        until: Timestamp,
        now: Timestamp,
    ) -> Delivery {
        let delivery = Delivery::new(jti, version, None, resume_key, until, now);
        delivery.state().phase = Phase::Open;
        delivery
    }

    fn having_left(self, whole: Whole) -> Delivery {
        let mut state = self.state();
        state.sent.insert(0..self.size);
        state.left = self.most().saturating_sub(u64::from(whole.left_kib) * 1024);
        state.last_sent = Timestamp::from_secs(whole.last_sent.into());
        drop(state);
        self
    }

    /// The most bytes that may ever leave.
    fn most(&self) -> u64 {
        self.size.saturating_mul(KEYED_FACTOR).saturating_add(RESEND_ALLOWANCE)
    }

    fn lease_end(&self, state: &State, lease: Duration) -> Timestamp {
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
        self.changed.notify_waiters();
        stream
    }

    /// Whether a client at this address is taken for the one that redeemed.
    pub(crate) fn is_for(&self, address: IpAddr) -> bool {
        self.address == Some(address)
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
        let deadline = tokio::time::sleep(PATIENCE);
        tokio::pin!(deadline);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, so that a change between look and wait is not missed.
            changed.as_mut().enable();
            let otherwise = match self.try_admit(ledger, wish, lease, now) {
                Ok(stream) => return Ok(stream),
                Err(Obstacle::Final(why)) => return Err(why),
                Err(Obstacle::Passing(otherwise)) => otherwise,
            };
            tokio::select! {
                () = &mut changed => {}
                () = &mut deadline => return Err(otherwise),
            }
        }
    }

    /// Whether the wish would be granted now, without waiting and without starting anything.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn would_admit(&self, wish: &Wish, lease: Duration, now: Timestamp) -> Result<(), Denied> {
        self.judge(&self.state(), wish, lease, now)
            .map_err(|(Obstacle::Final(why) | Obstacle::Passing(why))| why)
    }

    fn try_admit(
        self: &Arc<Delivery>,
        ledger: &Arc<Ledger>,
        wish: &Wish,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Stream, Obstacle> {
        let mut state = self.state();
        self.judge(&state, wish, lease, now)?;
        Ok(self.start(&mut state, ledger, wish.range.clone(), wish.proof == Proof::Key))
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
        if let Proof::Address(address) = wish.proof {
            if self.address != Some(address) || state.sent.covers(self.size) {
                return Err(Obstacle::Final(Denied::Used));
            }
            // A plain GET is a retry only when nothing runs any more; a range may be asked for
            // while others run (download managers do), but not where one of them is just sending.
            let in_the_way = |running: &Running| {
                wish.plain || (running.start..=running.position).contains(&wish.range.start)
            };
            if state.streams.iter().any(in_the_way) {
                return Err(Obstacle::Passing(Denied::Used));
            }
            if state.sent.overlap(&wish.range) > RESEND_ALLOWANCE.saturating_sub(state.resent) {
                return Err(Obstacle::Final(Denied::Used));
            }
        } else if state.left.saturating_add(wish.range.end - wish.range.start) > self.most() {
            return Err(Obstacle::Final(Denied::Used));
        }
        if state.streams.len() >= MAX_STREAMS {
            return Err(Obstacle::Passing(Denied::Crowded));
        }
        Ok(())
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
        state.streams.push(Running { id, start: range.start, position: range.start });
        Stream {
            delivery: self.clone(),
            ledger: ledger.clone(),
            id,
            position: range.start,
            end: range.end,
            keyed,
            repeating: true,
        }
    }

    // A poisoned lock means a panic elsewhere; the state itself is changed in single steps that
    // never leave it half-done, and every error in it errs towards having sent more.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Stream::take`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// So many bytes from the stream's position may leave; they are entered as sent.
    Send(u64),
    /// The stream has come to bytes that another stream has sent. A download manager hangs up here;
    /// whoever does not within [`PATIENCE`] may go on by [`Stream::press_on`].
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
    /// Whether bytes that were sent before may be sent again here without a pause: at the start of
    /// a stream, and after it paused.
    repeating: bool,
}

impl Stream {
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
        if state.phase != Phase::Open || delivery.until <= now {
            return Take::Stop;
        }
        let mut most = wish.min(delivery.most().saturating_sub(state.left));
        let mut again = 0;
        if !self.keyed {
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
        state.resent += again;
        state.last_sent = state.last_sent.max(now);
        if let Some(running) = state.streams.iter_mut().find(|running| running.id == self.id) {
            running.position = self.position;
        }
        Take::Send(most)
    }

    /// The client did not hang up during the pause: it wants these bytes again.
    pub(crate) fn press_on(&mut self) {
        self.repeating = true;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.delivery.state();
        state.streams.retain(|running| running.id != self.id);
        drop(state);
        self.ledger.settle(&self.delivery);
        self.delivery.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const LEASE: Duration = Duration::from_secs(3600);
    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const MIB: u64 = 1024 * 1024;

    fn redeemed(ledger: &Arc<Ledger>, size: u64, range: Range<u64>) -> (Arc<Delivery>, Stream) {
        let jti = Jti::from_bytes([7; 16]);
        let version = FileVersion { len: size, modified_ns: 1 };
        let make =
            || Delivery::new(jti, version, Some(HOME), Secret::presented("key"), NOW.plus(LEASE * 24), NOW);
        let Entered::Claiming(delivery) = ledger.enter(jti, make) else { panic!("the ledger was not empty") };
        let stream = delivery.open(ledger, range);
        (delivery, stream)
    }

    fn admit(
        delivery: &Arc<Delivery>,
        ledger: &Arc<Ledger>,
        range: Range<u64>,
        proof: Proof,
    ) -> Result<Stream, Obstacle> {
        let plain = range == (0..delivery.size);
        delivery.try_admit(ledger, &Wish { range, plain, proof }, LEASE, NOW)
    }

    fn drain(stream: &mut Stream) -> u64 {
        let mut sent = 0;
        while let Take::Send(count) = stream.take(MIB, NOW) {
            sent += count;
        }
        sent
    }

    #[test]
    fn a_file_that_went_out_whole_opens_to_the_key_only() {
        let ledger = Arc::new(Ledger::default());
        let (delivery, mut stream) = redeemed(&ledger, 10, 0..10);
        assert_eq!(stream.take(100, NOW), Take::Send(10));
        drop(stream);
        assert!(ledger.went_out_whole(delivery.jti));
        assert!(matches!(ledger.enter(delivery.jti, || unreachable!()), Entered::Whole));
        let make = || {
            Delivery::recorded(
                delivery.jti,
                delivery.version,
                Secret::presented("key"),
                NOW.plus(LEASE * 24),
                NOW,
            )
        };
        let again = ledger.reopen(delivery.jti, LEASE, NOW, false, make).unwrap();
        assert!(matches!(
            admit(&again, &ledger, 0..10, Proof::Address(HOME)),
            Err(Obstacle::Final(Denied::Used))
        ));
        assert_eq!(drain(&mut admit(&again, &ledger, 0..10, Proof::Key).ok().unwrap()), 10);
    }

    #[test]
    fn a_broken_transfer_may_be_retried_by_its_own_address_only() {
        let ledger = Arc::new(Ledger::default());
        let (delivery, mut first) = redeemed(&ledger, 20 * MIB, 0..20 * MIB);
        assert_eq!(first.take(5 * MIB, NOW), Take::Send(5 * MIB));
        assert!(matches!(
            admit(&delivery, &ledger, 0..20 * MIB, Proof::Address(HOME)),
            Err(Obstacle::Passing(Denied::Used))
        ));
        drop(first);
        assert!(matches!(
            admit(&delivery, &ledger, 0..20 * MIB, Proof::Address(ELSEWHERE)),
            Err(Obstacle::Final(Denied::Used))
        ));
        let mut retry = admit(&delivery, &ledger, 0..20 * MIB, Proof::Address(HOME)).ok().unwrap();
        assert_eq!(drain(&mut retry), 20 * MIB);
    }

    #[test]
    fn more_than_the_allowance_is_not_sent_again() {
        let ledger = Arc::new(Ledger::default());
        let (delivery, mut first) = redeemed(&ledger, 20 * MIB, 0..20 * MIB);
        assert_eq!(first.take(9 * MIB, NOW), Take::Send(9 * MIB));
        drop(first);
        assert!(matches!(
            admit(&delivery, &ledger, 0..20 * MIB, Proof::Address(HOME)),
            Err(Obstacle::Final(Denied::Used))
        ));
        let mut rest = admit(&delivery, &ledger, 4 * MIB..20 * MIB, Proof::Address(HOME)).ok().unwrap();
        assert_eq!(drain(&mut rest), 16 * MIB);
    }

    #[test]
    fn ranges_ahead_of_a_running_stream_are_served_and_the_stream_stops_where_they_began() {
        let ledger = Arc::new(Ledger::default());
        let (delivery, mut first) = redeemed(&ledger, 4 * MIB, 0..4 * MIB);
        assert_eq!(first.take(1000, NOW), Take::Send(1000));
        let mut second = admit(&delivery, &ledger, 2 * MIB..4 * MIB, Proof::Address(HOME)).ok().unwrap();
        assert_eq!(second.take(MIB, NOW), Take::Send(MIB));
        assert_eq!(first.take(4 * MIB, NOW), Take::Send(2 * MIB - 1000));
        assert_eq!(first.take(4 * MIB, NOW), Take::Pause);
        first.press_on();
        assert_eq!(first.take(4 * MIB, NOW), Take::Send(MIB));
    }

    #[test]
    fn a_revocation_stops_a_stream_and_a_lease_ends() {
        let ledger = Arc::new(Ledger::default());
        let (delivery, mut stream) = redeemed(&ledger, 100, 0..100);
        assert_eq!(stream.take(10, NOW), Take::Send(10));
        let later = NOW.plus(LEASE);
        let wish = Wish { range: 0..100, plain: true, proof: Proof::Key };
        assert_eq!(delivery.would_admit(&wish, LEASE, later), Err(Denied::Used));
        assert_eq!(delivery.would_admit(&wish, LEASE, later.minus(Duration::from_secs(1))), Ok(()));
        ledger.revoke(delivery.jti);
        assert_eq!(stream.take(10, NOW), Take::Stop);
        assert_eq!(delivery.would_admit(&wish, LEASE, NOW), Err(Denied::Revoked));
    }

    #[test]
    fn at_most_sixteen_connections_carry_one_jti() {
        let ledger = Arc::new(Ledger::default());
        let (delivery, first) = redeemed(&ledger, 100, 0..1);
        let more: Vec<_> =
            (1..16).map(|i| admit(&delivery, &ledger, i * 2..i * 2 + 1, Proof::Key).ok().unwrap()).collect();
        assert!(matches!(
            admit(&delivery, &ledger, 50..51, Proof::Key),
            Err(Obstacle::Passing(Denied::Crowded))
        ));
        drop((first, more));
        assert!(admit(&delivery, &ledger, 50..51, Proof::Key).is_ok());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Admit { start: u64, len: u64, who: u8 },
        Take { stream: usize, wish: u64 },
        PressOn(usize),
        Drop(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => (0u64..24, 0u64..25, 0u8..4).prop_map(|(start, len, who)| Step::Admit { start: start * MIB, len: len * MIB, who }),
            6 => (0usize..20, 1u64..5 * MIB).prop_map(|(stream, wish)| Step::Take { stream, wish }),
            1 => (0usize..20).prop_map(Step::PressOn),
            2 => (0usize..20).prop_map(Step::Drop),
        ];
        prop::collection::vec(step, 0..160)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn whatever_clients_do_no_more_leaves_than_promised(size in 0u64..24 * MIB, steps in steps()) {
            let ledger = Arc::new(Ledger::default());
            let (delivery, first) = redeemed(&ledger, size, 0..size);
            let mut streams = vec![(first, false)];
            let (mut unkeyed, mut all) = (0u64, 0u64);
            for step in steps {
                match step {
                    Step::Admit { start, len, who } => {
                        let start = start.min(size);
                        let range = if len == 0 { 0..size } else { start..(start + len).min(size) };
                        let proof = match who { 0 => Proof::Key, 1 => Proof::Address(ELSEWHERE), _ => Proof::Address(HOME) };
                        let whole = delivery.state().sent.covers(size);
                        if let Ok(stream) = admit(&delivery, &ledger, range, proof) {
                            prop_assert!(proof != Proof::Address(ELSEWHERE));
                            prop_assert!(proof == Proof::Key || !whole);
                            streams.push((stream, proof == Proof::Key));
                        }
                        prop_assert!(delivery.state().streams.len() <= MAX_STREAMS);
                    }
                    Step::Take { stream, wish } => if let Some((stream, keyed)) = streams.get_mut(stream) {
                        let before = stream.position();
                        if let Take::Send(count) = stream.take(wish, NOW) {
                            prop_assert!(count > 0 && count <= wish && stream.position() == before + count && stream.position() <= size);
                            all += count;
                            unkeyed += if *keyed { 0 } else { count };
                        }
                    },
                    Step::PressOn(stream) => if let Some((stream, _)) = streams.get_mut(stream) {
                        stream.press_on();
                    },
                    Step::Drop(stream) => if stream < streams.len() {
                        streams.swap_remove(stream);
                    },
                }
                prop_assert!(unkeyed <= size + RESEND_ALLOWANCE);
                prop_assert!(all <= KEYED_FACTOR * size + RESEND_ALLOWANCE);
            }
        }
    }
}
