//! What a receipt claims, whatever clients, restarts and tellings do.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::download::ledger::{Entered, Ledger, Progress, Proof, RangeSet, Shortfall, Stream, Take, Wish};
use crate::files::FileVersion;
use crate::id::LinkId;
use crate::receipt::{NotTaken, Receipt, Report, Taken};
use crate::used_tokens::memory::MemoryUsedTokens;
use crate::used_tokens::{Lease, Mark, UsedToken};

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
const LEASE: Duration = Duration::from_secs(3600);
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const KIB: u64 = 1024;

/// A file of which some bytes left, seen as a receipt sees it.
struct Sending {
    ledger: Arc<Ledger>,
    delivery: Arc<Delivery>,
    size: u64,
}

impl Sending {
    fn redeemed(size: u64, range: Range<u64>) -> (Sending, Stream) {
        let ledger = Arc::new(Ledger::default());
        let version = FileVersion { len: size, modified_ns: 1 };
        let until = T0.plus(LEASE * 24);
        let make = || Delivery::new(jti(7), version, Some(HOME), Secret::presented("key"), until, T0);
        let Entered::Claiming(delivery) = ledger.enter(jti(7), make) else { panic!("not empty") };
        let stream = delivery.open(&ledger, range);
        (Sending { ledger, delivery, size }, stream)
    }

    /// The same file after a restart.
    fn restarted(size: u64) -> Sending {
        let delivery = Delivery::recorded(jti(7), &lease_on(size), Some(Secret::presented("key")), T0);
        Sending { ledger: Arc::new(Ledger::default()), delivery: Arc::new(delivery), size }
    }

    async fn resume(&self, range: Range<u64>) -> Stream {
        let wish = Wish { range, plain: false, proof: Proof::Key };
        let stream = self.delivery.admit(&self.ledger, &wish, LEASE, T0).await.ok().unwrap();
        if let Shortfall::Reserve { bytes, .. } = self.delivery.shortfall(&stream) {
            self.delivery.reserved(bytes, bytes);
        }
        stream
    }

    fn progress(&self) -> Progress {
        self.delivery.progress(LEASE, T0)
    }

    fn tally(&self) -> Tally {
        Tally::new(T0).and(&self.progress(), self.size)
    }
}

fn jti(byte: u8) -> Jti {
    Jti::from_bytes([byte; 16])
}

fn take(stream: &mut Stream, count: u64) {
    assert_eq!(stream.take(count, T0), Take::Send(count));
}

#[tokio::test]
async fn a_portion_that_is_under_way_has_not_left() {
    let (sending, mut stream) = Sending::redeemed(300 * KIB, 0..300 * KIB);
    assert_eq!((sending.tally().started_at, sending.tally().state), (None, DeliveryState::Running));
    take(&mut stream, 100 * KIB);
    let tally = sending.tally();
    assert_eq!(tally.started_at, Some(T0), "its first byte may have left");
    assert_eq!(tally.bytes(sending.size), 0);
    take(&mut stream, 100 * KIB);
    assert_eq!(sending.tally().bytes(sending.size), 100 * KIB);
    drop(stream);
    let tally = sending.tally();
    assert_eq!((tally.state, tally.bytes(sending.size)), (DeliveryState::Broken, 100 * KIB));
    // The client knows what it has: more than what is certain here, in this case.
    let mut rest = sending.resume(150 * KIB..300 * KIB).await;
    while let Take::Send(_) = rest.take(100 * KIB, T0) {}
    assert_eq!(sending.tally().state, DeliveryState::Running);
    rest.finish();
    assert_eq!(sending.tally().state, DeliveryState::Running, "whether all arrived is not known yet");
    drop(rest);
    let tally = sending.tally();
    assert_eq!((tally.state, tally.resumed), (DeliveryState::Complete, 1));
    assert_eq!(tally.bytes(sending.size), sending.size);
}

#[tokio::test]
async fn a_last_byte_on_a_connection_that_breaks_completes_nothing() {
    let (sending, mut stream) = Sending::redeemed(10, 0..10);
    take(&mut stream, 10);
    stream.finish();
    stream.doubt();
    let tally = sending.tally();
    assert_eq!((tally.state, tally.bytes(10)), (DeliveryState::Broken, 9));
    // Another range to its end does not bring the lost byte.
    let mut other = sending.resume(0..5).await;
    take(&mut other, 5);
    other.finish();
    drop(other);
    assert_eq!(sending.tally().state, DeliveryState::Broken);
    let mut last = sending.resume(8..10).await;
    take(&mut last, 2);
    last.finish();
    drop(last);
    assert_eq!(sending.tally().state, DeliveryState::Complete);
}

#[tokio::test]
async fn a_break_in_one_part_is_not_healed_by_the_end_of_another() {
    let (sending, mut first) = Sending::redeemed(100, 0..50);
    take(&mut first, 50);
    first.finish();
    let mut second = sending.resume(50..100).await;
    first.doubt();
    take(&mut second, 50);
    second.finish();
    drop(second);
    assert_eq!(sending.tally().state, DeliveryState::Broken, "the ledger would call that whole");
    // Since the ledger does, it opens the file anew for whoever shows the key.
    let (before, sending) = (sending.tally(), Sending::restarted(100));
    let mut again = sending.resume(40..50).await;
    take(&mut again, 10);
    again.finish();
    drop(again);
    assert_eq!(before.and(&sending.progress(), 100).state, DeliveryState::Complete);
}

#[tokio::test]
async fn after_a_restart_a_file_is_complete_only_if_every_byte_is_accounted_for() {
    for (resumed_at, state) in [(100 * KIB, DeliveryState::Complete), (101 * KIB, DeliveryState::Broken)] {
        let (sending, mut stream) = Sending::redeemed(300 * KIB, 0..300 * KIB);
        take(&mut stream, 100 * KIB);
        take(&mut stream, 100 * KIB);
        // The process dies here: what was under way counts for nothing.
        let before = Tally { state: DeliveryState::Broken, ..sending.tally() };
        let sending = Sending::restarted(300 * KIB);
        let mut rest = sending.resume(resumed_at..300 * KIB).await;
        while let Take::Send(_) = rest.take(100 * KIB, T0) {}
        rest.finish();
        drop(rest);
        let after = before.and(&sending.progress(), sending.size);
        assert_eq!((after.state, after.resumed), (state, 1), "from {resumed_at}");
    }
}

#[tokio::test]
async fn an_empty_file_is_complete_at_once_and_counts_as_begun() {
    let (sending, stream) = Sending::redeemed(0, 0..0);
    drop(stream);
    let tally = sending.tally();
    assert_eq!((tally.state, tally.started_at), (DeliveryState::Complete, Some(T0)));
}

#[tokio::test]
async fn a_delivery_without_a_byte_is_over_when_its_lease_ends() {
    let (sending, stream) = Sending::redeemed(10, 0..10);
    drop(stream);
    let at = |now| Tally::new(T0).and(&sending.delivery.progress(LEASE, now), 10);
    let just_before = at(T0.plus(LEASE).minus(Duration::from_secs(1)));
    assert_eq!((just_before.state, just_before.started_at), (DeliveryState::Broken, None));
    let over = at(T0.plus(LEASE));
    assert_eq!((over.state, over.started_at), (DeliveryState::Over, None));
}

#[tokio::test]
async fn a_revocation_ends_it_and_what_was_complete_stays_so() {
    let (sending, mut stream) = Sending::redeemed(10, 0..10);
    take(&mut stream, 5);
    sending.ledger.revoke(jti(7));
    assert_eq!(sending.tally().state, DeliveryState::Over);
    let complete = Tally { state: DeliveryState::Complete, ..Tally::new(T0) };
    assert_eq!(complete.and(&sending.progress(), 10).state, DeliveryState::Complete);
}

#[derive(Clone, Debug)]
enum Step {
    Resume(u64, u64),
    Take(usize, u64),
    Finish(usize),
    Break(usize),
    Drop(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u64..40, 1u64..41).prop_map(|(start, len)| Step::Resume(start, len)),
        8 => (0usize..4, 1u64..12).prop_map(|(stream, count)| Step::Take(stream, count)),
        3 => (0usize..4).prop_map(Step::Finish),
        2 => (0usize..4).prop_map(Step::Break),
        2 => (0usize..4).prop_map(Step::Drop),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn nothing_is_claimed_that_did_not_happen(size in 1u64..40, steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut sending, first) = Sending::redeemed(size, 0..size);
            let mut streams = vec![(first, 0u64)];
            let mut before = Tally::new(T0);
            // By the byte: left in full, and left or perhaps.
            let (mut left, mut entered) = (RangeSet::default(), RangeSet::default());
            let mut last = 0;
            for step in steps {
                match step {
                    Step::Resume(start, len) => {
                        let start = start.min(size - 1);
                        let wish = Wish { range: start..(start + len).min(size), plain: false, proof: Proof::Key };
                        if streams.len() < 4
                            && let Ok(stream) = sending.delivery.admit(&sending.ledger, &wish, LEASE, T0).await {
                            streams.push((stream, start));
                        }
                    }
                    Step::Take(at, count) => if let Some((stream, start)) = streams.get_mut(at) {
                        let done = stream.position();
                        if let Take::Send(_) = stream.take(count, T0) {
                            left.insert(*start..done);
                            entered.insert(*start..stream.position());
                        }
                    },
                    Step::Finish(at) => if at < streams.len() && streams[at].0.remaining() == 0 {
                        let (mut stream, start) = streams.swap_remove(at);
                        left.insert(start..stream.position());
                        stream.finish();
                    },
                    Step::Break(at) => if at < streams.len() && streams[at].0.remaining() == 0 {
                        let (mut stream, start) = streams.swap_remove(at);
                        left.insert(start..stream.position());
                        stream.finish();
                        stream.doubt();
                    },
                    Step::Drop(at) => if at < streams.len() {
                        streams.swap_remove(at);
                    },
                    Step::Restart => {
                        before = before.and(&sending.progress(), size);
                        streams.clear();
                        sending = Sending::restarted(size);
                    }
                }
                let tally = before.and(&sending.progress(), size);
                if tally.state == DeliveryState::Complete {
                    // As the book does.
                    before.state = DeliveryState::Complete;
                    prop_assert!(entered.covers(size));
                } else {
                    prop_assert!(tally.bytes(size) <= left.total(), "{} of {left}", tally.bytes(size));
                    prop_assert!(tally.bytes(size) < size);
                }
                prop_assert!(tally.bytes(size) >= last || tally.bytes(size) + 1 >= last, "it went back from {last}");
                last = tally.bytes(size);
            }
            Ok(())
        })?;
    }
}

/// A web app that notes what it is told, and takes it or not.
#[derive(Default)]
struct Web {
    reports: Mutex<Vec<Report>>,
    down: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl TakeReports for Web {
    async fn take(&self, report: Report) -> Result<Taken, NotTaken> {
        if self.down.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(NotTaken("down".into()));
        }
        self.reports.lock().unwrap().push(report);
        Ok(Taken::default())
    }
}

impl Web {
    fn receipts(&self) -> Vec<Receipt> {
        self.reports.lock().unwrap().iter().flat_map(|report| report.receipts.clone()).collect()
    }

    fn told_until(&self) -> Timestamp {
        self.reports.lock().unwrap().last().unwrap().told_until
    }
}

struct Desk {
    folder: TempDir,
    store: MemoryUsedTokens,
    clock: Clock,
    web: Arc<Web>,
    health: Health,
}

impl Desk {
    fn new() -> Desk {
        let clock = Clock::manual(T0);
        let store = MemoryUsedTokens::new(T0);
        Desk { folder: TempDir::new().unwrap(), store, clock, web: Arc::default(), health: Health::default() }
    }

    async fn open(&self) -> Arc<Receipts> {
        let rules = Rules {
            node: "node".to_owned(),
            shared: false,
            lease: LEASE,
            lease_max: LEASE * 24,
            health: self.health.clone(),
        };
        let receipts = Receipts::open(self.folder.path(), &self.store, self.clock.clone(), rules).await;
        let receipts = Arc::new(receipts.unwrap());
        receipts.tell_by(self.web.clone());
        receipts
    }

    fn pass(&self, seconds: u64) {
        self.clock.set(self.clock.now().plus(Duration::from_secs(seconds)));
    }

    async fn mark(&self, byte: u8, mark: Mark) {
        let now = self.clock.now();
        let used = UsedToken { jti: jti(byte), marked_at: now, forget_at: now.plus(LEASE * 48), mark };
        self.store.claim(used).await.unwrap();
    }
}

fn lease_on(len: u64) -> Lease {
    Lease {
        resume_key: Secret::presented("key").digest(),
        until: T0.plus(LEASE * 24),
        version: FileVersion { len, modified_ns: 1 },
        trace: None,
        reserved: 0,
        active_at: T0,
    }
}

fn lease() -> Mark {
    Mark::Redeemed(Some(lease_on(10)))
}

#[tokio::test]
async fn a_crash_between_intention_and_first_byte_is_told_as_begun_only_if_the_token_is_spent() {
    let desk = Desk::new();
    let receipts = desk.open().await;
    let claims: Vec<Claim> =
        (1..=3).map(|byte| receipts.begin(jti(byte), &LinkId::from_store("link"), 10, Some(HOME))).collect();
    for claim in &claims {
        assert!(claim.intend().await.unwrap());
    }
    // Killed here: the first was claimed, the second was not, the third was claimed and revoked.
    std::mem::forget(claims);
    drop(receipts);
    desk.mark(1, lease()).await;
    desk.mark(3, Mark::Revoked).await;
    desk.pass(60);
    let receipts = desk.open().await;
    receipts.look().await;
    receipts.tell(None).await.unwrap();
    let mut told = desk.web.receipts();
    told.sort_by_key(|receipt| receipt.jti);
    let seen: Vec<_> = told.iter().map(|r| (r.jti, r.started_at, r.bytes, r.state)).collect();
    let expected = [(jti(1), Some(T0), 0, DeliveryState::Broken), (jti(3), Some(T0), 0, DeliveryState::Over)];
    assert_eq!(seen, expected);
    assert_eq!(desk.web.told_until(), T0.plus(Duration::from_secs(60)));
}

#[tokio::test]
async fn after_a_crash_a_delivery_of_which_nothing_was_seen_to_leave_counts_as_begun() {
    for (crash, started_at) in [(true, Some(T0)), (false, None)] {
        let desk = Desk::new();
        let receipts = desk.open().await;
        let (sending, stream) = Sending::redeemed(10, 0..10);
        let claim = receipts.begin(jti(7), &LinkId::from_store("link"), 10, Some(HOME));
        claim.intend().await.unwrap();
        claim.redeemed(&sending.delivery);
        assert!(receipts.look().await);
        drop(stream);
        if !crash {
            receipts.finish().await;
        }
        drop(receipts);
        let receipts = desk.open().await;
        receipts.look().await;
        receipts.tell(None).await.unwrap();
        let told = desk.web.receipts().pop().unwrap();
        assert_eq!((told.started_at, told.state), (started_at, DeliveryState::Broken));
    }
}

#[tokio::test]
async fn the_watermark_never_passes_a_redemption_that_is_not_told() {
    let desk = Desk::new();
    let receipts = desk.open().await;
    let claim = receipts.begin(jti(1), &LinkId::from_store("link"), 10, Some(HOME));
    desk.pass(100);
    receipts.tell(None).await.unwrap();
    assert_eq!(desk.web.told_until(), T0, "a claim is under way");
    claim.intend().await.unwrap();
    receipts.tell(None).await.unwrap();
    assert_eq!(desk.web.told_until(), T0);
    // Redeemed, and not put down how it stands yet.
    let (sending, stream) = Sending::redeemed(10, 0..10);
    let delivery = Arc::new(Delivery::recorded(jti(1), &lease_on(10), Some(Secret::presented("key")), T0));
    drop((sending, stream));
    claim.redeemed(&delivery);
    receipts.tell(None).await.unwrap();
    assert_eq!(desk.web.told_until(), T0);
    receipts.look().await;
    desk.web.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(receipts.tell(None).await.is_err());
    desk.web.down.store(false, std::sync::atomic::Ordering::SeqCst);
    receipts.tell(None).await.unwrap();
    assert_eq!(desk.web.told_until(), T0.plus(Duration::from_secs(100)));
    assert_eq!(desk.web.receipts().len(), 1);
    // A claim that fails holds nothing up.
    let claim = receipts.begin(jti(2), &LinkId::from_store("link"), 10, Some(HOME));
    let new = claim.intend().await.unwrap();
    claim.cancelled(new);
    receipts.look().await;
    desk.pass(100);
    receipts.tell(None).await.unwrap();
    assert_eq!(desk.web.told_until(), T0.plus(Duration::from_secs(200)));
    assert_eq!(desk.web.receipts().len(), 1);
}

#[tokio::test]
async fn what_was_told_is_not_told_again_and_what_changed_is() {
    let desk = Desk::new();
    let receipts = desk.open().await;
    let (sending, mut stream) = Sending::redeemed(300 * KIB, 0..300 * KIB);
    let claim = receipts.begin(jti(7), &LinkId::from_store("link"), 300 * KIB, Some(HOME));
    claim.intend().await.unwrap();
    claim.redeemed(&sending.delivery);
    let tell = async || {
        receipts.look().await;
        receipts.tell(Some(T0)).await.unwrap();
        desk.web
            .receipts()
            .into_iter()
            .map(|receipt| (receipt.sequence, receipt.bytes, receipt.state))
            .collect::<Vec<_>>()
    };
    assert_eq!(tell().await.len(), 1);
    assert_eq!(tell().await.len(), 1, "nothing changed");
    take(&mut stream, 100 * KIB);
    take(&mut stream, 100 * KIB);
    let told = tell().await;
    assert_eq!(told.last().unwrap(), &(3, 100 * KIB, DeliveryState::Running));
    take(&mut stream, 100 * KIB);
    stream.finish();
    drop(stream);
    assert_eq!(tell().await.last().unwrap(), &(4, 300 * KIB, DeliveryState::Complete));
    // It goes on after a restart where it ended.
    drop(receipts);
    let receipts = desk.open().await;
    receipts.look().await;
    receipts.tell(Some(T0)).await.unwrap();
    assert_eq!(desk.web.receipts().len(), 3);
}

#[tokio::test]
async fn a_writer_that_panics_is_told_of_starts_again_and_what_it_left_undone_is_refused() {
    let desk = Desk::new();
    let receipts = desk.open().await;
    assert_eq!(desk.health.verdict(), Ok(()));
    receipts.outbox.panic().await;
    let claim = receipts.begin(jti(1), &LinkId::from_store("link"), 10, Some(HOME));
    // In one group with what panics: nobody knows whether it is on disk, so no byte may leave.
    assert!(matches!(claim.intend().await, Err(OutboxError::Closed)));
    assert!(claim.is_doubtful(), "the next intention is written before its token is redeemed");
    assert_eq!(desk.health.verdict(), Err("a background task is down: writing receipts".to_owned()));
    assert!(claim.intend().await.unwrap(), "started again, it finds nothing of what it left undone");
    assert!(!claim.is_doubtful());
}

#[tokio::test]
async fn a_thousand_intentions_at_once_are_all_durable() {
    let desk = Desk::new();
    let receipts = desk.open().await;
    let begin = |n: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        receipts.begin(Jti::from_bytes(bytes), &LinkId::from_store("link"), 10, Some(HOME))
    };
    let claims: Vec<Claim> = (0..1000).map(begin).collect();
    let all = futures_util::future::join_all(claims.iter().map(Claim::intend)).await;
    assert!(all.into_iter().all(|intended| intended.unwrap()));
    assert_eq!(receipts.outbox.open_ones().await.unwrap().len(), 1000);
}
