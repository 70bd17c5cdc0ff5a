//! What is told of deliveries, whatever crashes.

use std::sync::Mutex;

use async_trait::async_trait;
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::download::receipts::{OutboxError, PendingRedemption, ReceiptSettings, Receipts};
use crate::health::Health;
use crate::id::LinkId;
use crate::receipt::{DeliveryState, NotAccepted, Receipt, ReceiptSink, Report, ReportReply};
use crate::used_tokens::memory::MemoryUsedTokens;
use crate::used_tokens::{Mark, UsedToken, UsedTokens};

/// A web app that notes what it is told, and takes it or not.
#[derive(Default)]
struct Web {
    reports: Mutex<Vec<Report>>,
    down: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl ReceiptSink for Web {
    async fn accept(&self, report: Report) -> Result<ReportReply, NotAccepted> {
        if self.down.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(NotAccepted("down".into()));
        }
        self.reports.lock().unwrap().push(report);
        Ok(ReportReply::default())
    }
}

impl Web {
    fn receipts(&self) -> Vec<Receipt> {
        self.reports.lock().unwrap().iter().flat_map(|report| report.receipts.clone()).collect()
    }

    fn reported_until(&self) -> Timestamp {
        self.reports.lock().unwrap().last().unwrap().reported_until
    }
}

struct Stage {
    folder: TempDir,
    store: MemoryUsedTokens,
    clock: Clock,
    web: Arc<Web>,
    health: Health,
}

impl Stage {
    fn new() -> Stage {
        let clock = Clock::manual(T0);
        let store = MemoryUsedTokens::new(T0);
        Stage {
            folder: TempDir::new().unwrap(),
            store,
            clock,
            web: Arc::default(),
            health: Health::default(),
        }
    }

    async fn open(&self) -> Arc<Receipts> {
        let rules = ReceiptSettings {
            node: "node".to_owned(),
            shared: false,
            lease: LEASE,
            lease_max: LEASE * 24,
            health: self.health.clone(),
        };
        let receipts = Receipts::open(self.folder.path(), &self.store, self.clock.clone(), rules).await;
        let receipts = Arc::new(receipts.unwrap());
        receipts.set_sink(self.web.clone());
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

fn lease() -> Mark {
    Mark::Redeemed(Some(lease_on(10)))
}

#[tokio::test]
async fn a_crash_between_intention_and_first_byte_is_told_as_begun_only_if_the_token_is_spent() {
    let stage = Stage::new();
    let receipts = stage.open().await;
    let claims: Vec<PendingRedemption> =
        (1..=3).map(|byte| receipts.begin(jti(byte), &LinkId::from_store("link"), 10, Some(HOME))).collect();
    for claim in &claims {
        assert!(claim.intend().await.unwrap());
    }
    // Killed here: the first was claimed, the second was not, the third was claimed and revoked.
    std::mem::forget(claims);
    drop(receipts);
    stage.mark(1, lease()).await;
    stage.mark(3, Mark::Revoked).await;
    stage.pass(60);
    let receipts = stage.open().await;
    receipts.record_changes().await;
    receipts.report(None).await.unwrap();
    let mut told = stage.web.receipts();
    told.sort_by_key(|receipt| receipt.jti);
    let seen: Vec<_> = told.iter().map(|r| (r.jti, r.started_at, r.bytes, r.state)).collect();
    let expected =
        [(jti(1), Some(T0), 0, DeliveryState::Interrupted), (jti(3), Some(T0), 0, DeliveryState::Ended)];
    assert_eq!(seen, expected);
    assert_eq!(stage.web.reported_until(), T0.plus(Duration::from_secs(60)));
}

#[tokio::test]
async fn after_a_crash_a_delivery_of_which_nothing_was_seen_to_leave_counts_as_begun() {
    for (crash, started_at) in [(true, Some(T0)), (false, None)] {
        let stage = Stage::new();
        let receipts = stage.open().await;
        let (sending, stream) = Sending::redeemed(10, 0..10);
        let claim = receipts.begin(jti(7), &LinkId::from_store("link"), 10, Some(HOME));
        claim.intend().await.unwrap();
        claim.redeemed(&sending.delivery);
        assert!(receipts.record_changes().await);
        drop(stream);
        if !crash {
            receipts.finish().await;
        }
        drop(receipts);
        let receipts = stage.open().await;
        receipts.record_changes().await;
        receipts.report(None).await.unwrap();
        let told = stage.web.receipts().pop().unwrap();
        assert_eq!((told.started_at, told.state), (started_at, DeliveryState::Interrupted));
    }
}

#[tokio::test]
async fn the_watermark_never_passes_a_redemption_that_is_not_told() {
    let stage = Stage::new();
    let receipts = stage.open().await;
    let claim = receipts.begin(jti(1), &LinkId::from_store("link"), 10, Some(HOME));
    stage.pass(100);
    receipts.report(None).await.unwrap();
    assert_eq!(stage.web.reported_until(), T0, "a claim is under way");
    claim.intend().await.unwrap();
    receipts.report(None).await.unwrap();
    assert_eq!(stage.web.reported_until(), T0);
    // The token is redeemed, but the state of its delivery is not recorded yet.
    let (sending, stream) = Sending::redeemed(10, 0..10);
    let delivery = Arc::new(Delivery::recorded(jti(1), &lease_on(10), Some(Secret::presented("key")), T0));
    drop((sending, stream));
    claim.redeemed(&delivery);
    receipts.report(None).await.unwrap();
    assert_eq!(stage.web.reported_until(), T0);
    receipts.record_changes().await;
    stage.web.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(receipts.report(None).await.is_err());
    stage.web.down.store(false, std::sync::atomic::Ordering::SeqCst);
    receipts.report(None).await.unwrap();
    assert_eq!(stage.web.reported_until(), T0.plus(Duration::from_secs(100)));
    assert_eq!(stage.web.receipts().len(), 1);
    // A claim that fails holds nothing up.
    let claim = receipts.begin(jti(2), &LinkId::from_store("link"), 10, Some(HOME));
    let new = claim.intend().await.unwrap();
    claim.cancelled(new);
    receipts.record_changes().await;
    stage.pass(100);
    receipts.report(None).await.unwrap();
    assert_eq!(stage.web.reported_until(), T0.plus(Duration::from_secs(200)));
    assert_eq!(stage.web.receipts().len(), 1);
}

#[tokio::test]
async fn what_was_told_is_not_told_again_and_what_changed_is() {
    let stage = Stage::new();
    let receipts = stage.open().await;
    let (sending, mut stream) = Sending::redeemed(300 * KIB, 0..300 * KIB);
    let claim = receipts.begin(jti(7), &LinkId::from_store("link"), 300 * KIB, Some(HOME));
    claim.intend().await.unwrap();
    claim.redeemed(&sending.delivery);
    let tell = async || {
        receipts.record_changes().await;
        receipts.report(Some(T0)).await.unwrap();
        stage
            .web
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
    let receipts = stage.open().await;
    receipts.record_changes().await;
    receipts.report(Some(T0)).await.unwrap();
    assert_eq!(stage.web.receipts().len(), 3);
}

#[tokio::test]
async fn a_writer_that_panics_is_told_of_starts_again_and_what_it_left_undone_is_refused() {
    let stage = Stage::new();
    let receipts = stage.open().await;
    assert_eq!(stage.health.verdict(), Ok(()));
    receipts.outbox.panic().await;
    let claim = receipts.begin(jti(1), &LinkId::from_store("link"), 10, Some(HOME));
    // In one group with what panics: nobody knows whether it is on disk, so no byte may leave.
    assert!(matches!(claim.intend().await, Err(OutboxError::Closed)));
    assert!(claim.may_fail(), "the next intention is written before its token is redeemed");
    assert_eq!(stage.health.verdict(), Err("a background task is down: writing receipts".to_owned()));
    assert!(claim.intend().await.unwrap(), "started again, it finds nothing of what it left undone");
    assert!(!claim.may_fail());
}

#[tokio::test]
async fn a_thousand_intentions_at_once_are_all_durable() {
    let stage = Stage::new();
    let receipts = stage.open().await;
    let begin = |n: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        receipts.begin(Jti::from_bytes(bytes), &LinkId::from_store("link"), 10, Some(HOME))
    };
    let claims: Vec<PendingRedemption> = (0..1000).map(begin).collect();
    let all = futures_util::future::join_all(claims.iter().map(PendingRedemption::intend)).await;
    assert!(all.into_iter().all(|intended| intended.unwrap()));
    assert_eq!(receipts.outbox.unfinished().await.unwrap().len(), 1000);
}

#[tokio::test]
async fn an_outbox_of_an_earlier_release_is_opened_with_what_it_holds() {
    use sqlx::{Connection, Executor};

    let stage = Stage::new();
    let receipts = stage.open().await;
    let (sending, mut stream) = Sending::redeemed(100, 0..100);
    let claim = receipts.begin(jti(7), &LinkId::from_store("link"), 100, Some(HOME));
    claim.intend().await.unwrap();
    claim.redeemed(&sending.delivery);
    take(&mut stream, 50);
    drop(stream);
    receipts.finish().await;
    drop(receipts);
    let path = stage.folder.path().join("receipts.sqlite");
    let mut file = sqlx::SqliteConnection::connect(&path.display().to_string()).await.unwrap();
    file.execute("ALTER TABLE receipts DROP COLUMN unacknowledged").await.unwrap();
    file.close().await.unwrap();
    let receipts = stage.open().await;
    let kept = receipts.outbox.find(jti(7)).await.unwrap().unwrap();
    assert_eq!(
        (kept.tally.sent.to_string(), kept.tally.unacknowledged.is_empty()),
        ("0-50".to_owned(), true)
    );
}

#[tokio::test]
async fn of_several_intentions_of_one_token_in_a_group_the_first_is_new() {
    let stage = Stage::new();
    let receipts = stage.open().await;
    let begin = |byte| receipts.begin(jti(byte), &LinkId::from_store("link"), 10, Some(HOME));
    let claims: Vec<PendingRedemption> = [1, 2, 1, 3, 1].map(begin).into();
    let group = futures_util::future::join_all(claims.iter().map(PendingRedemption::intend)).await;
    let new: Vec<bool> = group.into_iter().map(Result::unwrap).collect();
    assert_eq!(new, [true, true, false, true, false]);
    assert!(!claims[0].intend().await.unwrap());
    // In one group and in this order, so the second intention is a new record.
    let cancel = receipts.outbox.save(Vec::new(), vec![jti(1), jti(2)]);
    let other = begin(4);
    let (first, cancelled, second) = tokio::join!(other.intend(), cancel, claims[0].intend());
    assert!(first.unwrap() && second.unwrap());
    cancelled.unwrap();
    let mut left: Vec<Jti> =
        receipts.outbox.unfinished().await.unwrap().iter().map(|kept| kept.jti).collect();
    left.sort_unstable();
    assert_eq!(left, [jti(1), jti(3), jti(4)]);
}

#[tokio::test]
async fn more_deliveries_than_fit_into_a_statement_are_all_recorded_and_told_once() {
    let stage = Stage::new();
    let receipts = stage.open().await;
    let mut saved = Vec::new();
    for n in 0..150_u16 {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        let claim = receipts.begin(Jti::from_bytes(bytes), &LinkId::from_store("link"), 10, Some(HOME));
        assert!(claim.intend().await.unwrap());
        saved.push(Jti::from_bytes(bytes));
    }
    let mut kept = receipts.outbox.unfinished().await.unwrap();
    for entry in &mut kept {
        entry.settled = true;
        entry.sequence = 2;
    }
    receipts.outbox.save(kept.clone(), Vec::new()).await.unwrap();
    assert_eq!(receipts.outbox.unfinished().await.unwrap(), kept);
    receipts.report(None).await.unwrap();
    let mut told: Vec<Jti> = stage.web.receipts().iter().map(|receipt| receipt.jti).collect();
    told.sort_unstable();
    assert_eq!(told, saved);
    receipts.report(None).await.unwrap();
    assert_eq!(stage.web.receipts().len(), saved.len());
}
