//! The contract of the used-token store, run against every backend.
//!
//! A backend joins by implementing [`Backend`] and a line `contract!(name, Type);`.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use oncelink::clock::{Clock, Timestamp};
use oncelink::files::identity::FileFingerprint;
use oncelink::files::{EdgeDigest, FileVersion};
use oncelink::id::Jti;
use oncelink::secret::Digest;
use oncelink::standing::Standing;
use oncelink::used_tokens::memory::MemoryUsedTokens;
use oncelink::used_tokens::sled::{SledUsedTokens, Tuning};
use oncelink::used_tokens::{
    ASKED_AT_ONCE, Lease, Mark, Reservation, StoreError, Use, UsedToken, UsedTokens,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::shared::SharedServer;

/// How the suite creates a store, closes it and opens it again.
pub(crate) trait Backend: Sized + Send + Sync {
    /// Whether records survive [`Backend::open`] of the same place.
    const PERSISTS: bool;

    /// A place for a store of its own; `None` if this machine lacks what the backend needs.
    fn place() -> impl Future<Output = Option<Self>> + Send;

    /// Opens the store; a new one accepts tokens issued at `issued` or later.
    fn open(&self, clock: &Clock, issued: Timestamp) -> impl Future<Output = Arc<dyn UsedTokens>> + Send;
}

struct Memory;

impl Backend for Memory {
    const PERSISTS: bool = false;

    async fn place() -> Option<Memory> {
        Some(Memory)
    }

    async fn open(&self, _clock: &Clock, issued: Timestamp) -> Arc<dyn UsedTokens> {
        Arc::new(MemoryUsedTokens::new(issued))
    }
}

/// sled with a journal of `SLOTS` slots; with a few, it wraps around all the time. Whoever claims commits, or a
/// thread does.
struct Sled<const SLOTS: u32, const ON_WORKERS: bool>(tempfile::TempDir);

impl<const SLOTS: u32, const ON_WORKERS: bool> Backend for Sled<SLOTS, ON_WORKERS> {
    const PERSISTS: bool = true;

    async fn place() -> Option<Self> {
        tempfile::tempdir().ok().map(Sled)
    }

    async fn open(&self, clock: &Clock, issued: Timestamp) -> Arc<dyn UsedTokens> {
        let worker_limit = if ON_WORKERS { Duration::MAX } else { Duration::ZERO };
        let tuning = Tuning { slots: SLOTS, worker_limit, ..Tuning::default() };
        Arc::new(
            SledUsedTokens::open_tuned(&self.0.path().join("store"), clock, Some(issued), &tuning).unwrap(),
        )
    }
}

/// On PostgreSQL or Redis, where several nodes share it.
struct OnServer<const REDIS: bool>(SharedServer);

impl<const REDIS: bool> Backend for OnServer<REDIS> {
    const PERSISTS: bool = true;

    async fn place() -> Option<Self> {
        let server = if REDIS { SharedServer::redis().await } else { SharedServer::postgres().await };
        server.map(OnServer)
    }

    async fn open(&self, clock: &Clock, issued: Timestamp) -> Arc<dyn UsedTokens> {
        self.0.open(clock, Some(issued)).await
    }
}

macro_rules! contract {
    ($name:ident, $backend:ty) => {
        contract!($name, $backend:
            the_first_claim_is_first_and_all_later_ones_replay_its_record
            of_64_simultaneous_claims_exactly_one_is_first
            find_returns_the_record_and_changes_nothing
            a_revoked_jti_cannot_be_claimed
            a_revocation_ends_a_redemption_and_keeps_the_later_end
            a_revocation_may_be_repeated
            reservations_add_up_to_their_bound_and_no_further
            of_64_simultaneous_reservations_no_more_are_granted_than_the_bound_has_room_for
            nothing_is_reserved_where_there_is_no_lease
            reservations_outlive_the_process
            of_many_jtis_the_revoked_ones_are_returned
            activity_is_visible_to_others_who_share_the_store
            purge_forgets_what_is_due_and_nothing_else
            a_forgotten_jti_can_be_claimed_again
            records_outlive_the_process
            time_outlives_the_process
            the_fence_of_a_new_store_is_the_given_time
            a_store_behind_what_somebody_remembers_raises_its_fence_permanently
            a_closed_store_refuses_everything
            any_sequence_of_operations_does_what_the_model_does
        );
    };
    ($name:ident, $backend:ty: $($test:ident)*) => {
        mod $name {
            #[allow(unused_imports, reason = "unused where the type has const generics")]
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    if let Some(place) = <$backend as Backend>::place().await {
                        super::$test(&place).await;
                    }
                }
            )*
        }
    };
}

contract!(memory, Memory);
contract!(sled, Sled<4096, true>);
contract!(sled_that_commits_by_its_thread, Sled<4096, false>);
contract!(sled_with_a_tiny_journal, Sled<3, true>);
contract!(sled_with_a_tiny_journal_that_commits_by_its_thread, Sled<3, false>);
contract!(sqlite, crate::web_database::Sqlite);
contract!(postgres, OnServer<false>);
contract!(redis, OnServer<true>);

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(NOW.secs() + seconds)
}

pub(crate) fn jti() -> Jti {
    Jti::random().unwrap()
}

/// A redemption with a lease.
pub(crate) fn redeemed(jti: Jti, forget_at: Timestamp) -> UsedToken {
    let lease = Lease {
        resume_key: Digest::of(jti.as_bytes()),
        until: at(86_400),
        version: FileVersion { len: 5_000_000_000, modified_ns: 1_700_000_000_123_456_789 },
        trace: Some(FileFingerprint {
            inode: u64::MAX - 5,
            changed_ns: 1_700_000_000_987_654_321,
            edges: EdgeDigest::from_bytes(*jti.as_bytes().first_chunk().unwrap()),
        }),
        reserved: 0,
        active_at: NOW,
    };
    UsedToken { jti, marked_at: NOW, forget_at, mark: Mark::Redeemed(Some(lease)) }
}

fn revoked(jti: Jti, marked_at: Timestamp, forget_at: Timestamp) -> UsedToken {
    UsedToken { jti, marked_at, forget_at, mark: Mark::Revoked }
}

async fn open<B: Backend>(place: &B) -> Arc<dyn UsedTokens> {
    place.open(&Clock::manual(NOW), NOW).await
}

async fn the_first_claim_is_first_and_all_later_ones_replay_its_record<B: Backend>(place: &B) {
    let store = open(place).await;
    let leased = redeemed(jti(), at(9_000));
    let bare = UsedToken { mark: Mark::Redeemed(None), ..redeemed(jti(), at(9_000)) };
    for used in [leased, bare] {
        assert_eq!(store.claim(used).await.unwrap(), Use::First);
        let other = UsedToken { mark: Mark::Redeemed(None), marked_at: at(7), forget_at: at(77), ..used };
        for _ in 0..3 {
            assert_eq!(store.claim(other).await.unwrap(), Use::Replay(used));
        }
    }
    store.close().await;
}

async fn of_64_simultaneous_claims_exactly_one_is_first<B: Backend>(place: &B) {
    let store = open(place).await;
    for _ in 0..50 {
        let jti = jti();
        let start = Arc::new(tokio::sync::Barrier::new(64));
        let claims: Vec<_> = (0..64)
            .map(|n| {
                let (store, start) = (Arc::clone(&store), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    store.claim(redeemed(jti, at(n))).await.unwrap()
                })
            })
            .collect();
        let (mut first, mut replayed) = (Vec::new(), Vec::new());
        for (n, claim) in (0..).zip(claims) {
            match claim.await.unwrap() {
                Use::First => first.push(redeemed(jti, at(n))),
                Use::Replay(record) => replayed.push(record),
            }
        }
        assert_eq!(first.len(), 1);
        assert!(replayed.iter().all(|record| *record == first[0]), "a replay returns the first record");
    }
    store.close().await;
}

async fn find_returns_the_record_and_changes_nothing<B: Backend>(place: &B) {
    let store = open(place).await;
    let used = redeemed(jti(), at(10));
    assert_eq!(store.find(used.jti).await.unwrap(), None);
    assert_eq!(store.claim(used).await.unwrap(), Use::First);
    assert_eq!(store.find(used.jti).await.unwrap(), Some(used));
    assert_eq!(store.find(used.jti).await.unwrap(), Some(used));
    assert_eq!(store.find(jti()).await.unwrap(), None);
    store.close().await;
}

async fn a_revoked_jti_cannot_be_claimed<B: Backend>(place: &B) {
    let store = open(place).await;
    let jti = jti();
    store.revoke(jti, at(1), at(50)).await.unwrap();
    let record = revoked(jti, at(1), at(50));
    assert_eq!(store.find(jti).await.unwrap(), Some(record));
    assert_eq!(store.claim(redeemed(jti, at(60))).await.unwrap(), Use::Replay(record));
    store.close().await;
}

async fn a_revocation_ends_a_redemption_and_keeps_the_later_end<B: Backend>(place: &B) {
    let store = open(place).await;
    for (redeemed_until, revoked_until) in [(50, 40), (40, 50)] {
        let used = redeemed(jti(), at(redeemed_until));
        assert_eq!(store.claim(used).await.unwrap(), Use::First);
        store.revoke(used.jti, at(3), at(revoked_until)).await.unwrap();
        let record = revoked(used.jti, at(3), at(50));
        assert_eq!(store.find(used.jti).await.unwrap(), Some(record));
        assert_eq!(store.claim(used).await.unwrap(), Use::Replay(record));
    }
    store.close().await;
}

async fn a_revocation_may_be_repeated<B: Backend>(place: &B) {
    let store = open(place).await;
    let jti = jti();
    for (now, forget_at) in [(1, 50), (2, 40), (3, 60)] {
        store.revoke(jti, at(now), at(forget_at)).await.unwrap();
    }
    let record = store.find(jti).await.unwrap().unwrap();
    assert_eq!((record.forget_at, record.mark), (at(60), Mark::Revoked));
    store.close().await;
}

fn with_reserved(used: UsedToken, reserved: u64, active_at: Timestamp) -> UsedToken {
    let Mark::Redeemed(Some(lease)) = used.mark else { panic!("{used:?} has no lease") };
    UsedToken { mark: Mark::Redeemed(Some(Lease { reserved, active_at, ..lease })), ..used }
}

async fn reservations_add_up_to_their_bound_and_no_further<B: Backend>(place: &B) {
    let store = open(place).await;
    let used = redeemed(jti(), at(9_000));
    assert_eq!(store.claim(used).await.unwrap(), Use::First);
    let granted = |reserved| Reservation::Granted { reserved };
    let exceeded = |reserved| Reservation::Exceeded { reserved };
    assert_eq!(store.reserve(used.jti, 40, 100, at(5)).await.unwrap(), granted(40));
    assert_eq!(store.reserve(used.jti, 61, 100, at(6)).await.unwrap(), exceeded(40));
    assert_eq!(store.reserve(used.jti, 60, 100, at(7)).await.unwrap(), granted(100));
    assert_eq!(store.reserve(used.jti, 1, 100, at(8)).await.unwrap(), exceeded(100));
    assert_eq!(store.reserve(used.jti, u64::MAX, u64::MAX, at(8)).await.unwrap(), exceeded(100));
    assert_eq!(store.reserve(used.jti, 1, 50, at(8)).await.unwrap(), exceeded(100), "a lower bound");
    assert_eq!(store.reserve(used.jti, 5, 105, at(3)).await.unwrap(), granted(105));
    // The rest of the record is unchanged, and an earlier time does not overwrite a later one.
    let record = with_reserved(used, 105, at(7));
    assert_eq!(store.find(used.jti).await.unwrap(), Some(record));
    assert_eq!(store.claim(used).await.unwrap(), Use::Replay(record));
    store.close().await;
}

async fn of_64_simultaneous_reservations_no_more_are_granted_than_the_bound_has_room_for<B: Backend>(
    place: &B,
) {
    let store = open(place).await;
    for _ in 0..20 {
        let used = redeemed(jti(), at(9_000));
        assert_eq!(store.claim(used).await.unwrap(), Use::First);
        let asked = (0..64).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.reserve(used.jti, 10, 195, NOW).await.unwrap() })
        });
        let answers = futures_util::future::join_all(asked).await;
        let granted = answers.into_iter().filter(|answer| matches!(answer, Ok(Reservation::Granted { .. })));
        assert_eq!(granted.count(), 19);
        assert_eq!(store.find(used.jti).await.unwrap(), Some(with_reserved(used, 190, NOW)));
    }
    store.close().await;
}

async fn nothing_is_reserved_where_there_is_no_lease<B: Backend>(place: &B) {
    let store = open(place).await;
    let unknown = jti();
    assert_eq!(store.reserve(unknown, 1, 9, NOW).await.unwrap(), Reservation::NoLease(None));
    assert_eq!(store.find(unknown).await.unwrap(), None);
    let bare = UsedToken { mark: Mark::Redeemed(None), ..redeemed(jti(), at(9_000)) };
    assert_eq!(store.claim(bare).await.unwrap(), Use::First);
    assert_eq!(store.reserve(bare.jti, 1, 9, NOW).await.unwrap(), Reservation::NoLease(Some(bare)));
    let used = redeemed(jti(), at(9_000));
    assert_eq!(store.claim(used).await.unwrap(), Use::First);
    assert_eq!(store.reserve(used.jti, 1, 9, NOW).await.unwrap(), Reservation::Granted { reserved: 1 });
    store.revoke(used.jti, at(3), at(9_000)).await.unwrap();
    let record = revoked(used.jti, at(3), at(9_000));
    assert_eq!(store.reserve(used.jti, 1, 9, NOW).await.unwrap(), Reservation::NoLease(Some(record)));
    store.close().await;
}

async fn reservations_outlive_the_process<B: Backend>(place: &B) {
    if !B::PERSISTS {
        return;
    }
    let clock = Clock::manual(NOW);
    let used = redeemed(jti(), at(9_000));
    for round in 0..6_u64 {
        let store = place.open(&clock, NOW).await;
        assert_eq!(store.fence(), NOW, "an undamaged store keeps its fence");
        let _first_or_not = store.claim(used).await.unwrap();
        // Other claims flush the journal in between.
        for _ in 0..5 {
            assert_eq!(store.claim(redeemed(jti(), at(9_000))).await.unwrap(), Use::First);
        }
        let expected = if round < 5 {
            Reservation::Granted { reserved: round * 10 + 10 }
        } else {
            Reservation::Exceeded { reserved: 50 }
        };
        assert_eq!(store.reserve(used.jti, 10, 55, at(round)).await.unwrap(), expected);
        if round % 2 == 0 {
            store.close().await;
        }
        drop(store);
    }
}

async fn activity_is_visible_to_others_who_share_the_store<B: Backend>(place: &B) {
    let store = open(place).await;
    let (used, idle) = (redeemed(jti(), at(9_000)), redeemed(jti(), at(9_000)));
    for used in [used, idle] {
        assert_eq!(store.claim(used).await.unwrap(), Use::First);
    }
    for now in [70, 60] {
        store.record_activity(&[used.jti, jti()], at(now)).await.unwrap();
    }
    store.record_activity(&[], at(90)).await.unwrap();
    let found = store.find(used.jti).await.unwrap();
    let is_told = found == Some(with_reserved(used, 0, at(70)));
    assert!(is_told || (!store.is_shared() && found == Some(used)), "{found:?}");
    assert_eq!(store.find(idle.jti).await.unwrap(), Some(idle));
    store.close().await;
}

async fn of_many_jtis_the_revoked_ones_are_returned<B: Backend>(place: &B) {
    let store = open(place).await;
    let mut revoked = Vec::new();
    let mut jtis = Vec::new();
    for n in 0..ASKED_AT_ONCE {
        let jti = jti();
        jtis.push(jti);
        match n % 100 {
            0 => {
                store.revoke(jti, NOW, at(9_000)).await.unwrap();
                revoked.push(jti);
            }
            1 => assert_eq!(store.claim(redeemed(jti, at(9_000))).await.unwrap(), Use::First),
            _ => {}
        }
    }
    let mut found = store.revoked_among(&jtis).await.unwrap();
    found.sort_unstable();
    revoked.sort_unstable();
    assert_eq!(found, revoked);
    assert_eq!(store.revoked_among(&[]).await.unwrap(), []);
    store.close().await;
}

async fn purge_forgets_what_is_due_and_nothing_else<B: Backend>(place: &B) {
    let store = open(place).await;
    assert_eq!(store.purge(at(1)).await.unwrap(), 0);
    let (early, due, later) = (redeemed(jti(), at(99)), redeemed(jti(), at(100)), redeemed(jti(), at(101)));
    for used in [later, due, early] {
        assert_eq!(store.claim(used).await.unwrap(), Use::First);
    }
    let revoked = jti();
    store.revoke(revoked, at(5), at(100)).await.unwrap();
    assert_eq!(store.purge(at(98)).await.unwrap(), 0);
    assert_eq!(store.purge(at(100)).await.unwrap(), 3);
    for forgotten in [early.jti, due.jti, revoked] {
        assert_eq!(store.find(forgotten).await.unwrap(), None);
    }
    assert_eq!(store.find(later.jti).await.unwrap(), Some(later));
    assert_eq!(store.purge(at(100)).await.unwrap(), 0);
    assert_eq!(store.purge(at(101)).await.unwrap(), 1);
    store.close().await;
}

async fn a_forgotten_jti_can_be_claimed_again<B: Backend>(place: &B) {
    let store = open(place).await;
    let used = redeemed(jti(), at(10));
    assert_eq!(store.claim(used).await.unwrap(), Use::First);
    assert_eq!(store.purge(at(10)).await.unwrap(), 1);
    let again = redeemed(used.jti, at(30));
    assert_eq!(store.claim(again).await.unwrap(), Use::First);
    assert_eq!(store.claim(used).await.unwrap(), Use::Replay(again));
    assert_eq!(store.purge(at(20)).await.unwrap(), 0);
    assert_eq!(store.find(used.jti).await.unwrap(), Some(again));
    store.close().await;
}

async fn records_outlive_the_process<B: Backend>(place: &B) {
    if !B::PERSISTS {
        return;
    }
    let clock = Clock::manual(NOW);
    let mut known = HashMap::new();
    for round in 0..6_u64 {
        let store = place.open(&clock, NOW).await;
        assert_eq!(store.fence(), NOW, "an undamaged store keeps its fence");
        for (jti, record) in &known {
            assert_eq!(store.find(*jti).await.unwrap(), Some(*record), "round {round}");
        }
        for _ in 0..7 {
            let used = redeemed(jti(), at(1_000 + round));
            assert_eq!(store.claim(used).await.unwrap(), Use::First);
            known.insert(used.jti, used);
        }
        let ended = *known.keys().next().unwrap();
        store.revoke(ended, at(round), at(500)).await.unwrap();
        known.insert(ended, store.find(ended).await.unwrap().unwrap());
        // Both ways in which a process ends: an orderly stop, and a sudden end.
        if round % 2 == 0 {
            store.close().await;
        }
        drop(store);
    }
}

async fn time_outlives_the_process<B: Backend>(place: &B) {
    if !B::PERSISTS {
        return;
    }
    let store = open(place).await;
    store.record_time(at(5_000)).await.unwrap();
    store.close().await;
    drop(store);
    let set_back = Clock::manual(at(100));
    let store = place.open(&set_back, NOW).await;
    assert!(store.opened_mark() >= at(5_000));
    assert!(set_back.now() >= at(5_000), "time never goes back, even if the clock does");
    let used = UsedToken { marked_at: at(6_000), ..redeemed(jti(), at(9_000)) };
    assert_eq!(store.claim(used).await.unwrap(), Use::First);
    drop(store);
    let store = place.open(&set_back, NOW).await;
    assert!(store.opened_mark() >= at(6_000), "a claim stores the time, too");
    store.close().await;
}

async fn the_fence_of_a_new_store_is_the_given_time<B: Backend>(place: &B) {
    let store = place.open(&Clock::manual(NOW), at(17)).await;
    assert_eq!(store.fence(), at(17));
    store.ready().await.unwrap();
    store.close().await;
}

async fn a_store_behind_what_somebody_remembers_raises_its_fence_permanently<B: Backend>(place: &B) {
    if !B::PERSISTS {
        return;
    }
    let clock = Clock::manual(NOW);
    let store = open(place).await;
    let first = store.standing(NOW).await.unwrap().unwrap();
    if store.is_shared() {
        assert_eq!(store.standing(NOW).await.unwrap().unwrap(), first, "nothing was recorded");
    }
    assert!(
        !store.raise_fence_if_restored(&first, NOW).await.unwrap(),
        "the store is where it is remembered to be"
    );
    store.claim(redeemed(jti(), at(9_000))).await.unwrap();
    let later = store.standing(NOW).await.unwrap().unwrap();
    assert!(first.is_behind(&later), "{later:?} after {first:?}");
    assert!(!store.raise_fence_if_restored(&first, NOW).await.unwrap(), "other nodes may remember less");
    let other = Standing { id: "another store".to_owned(), position: later.position + 1, ..later.clone() };
    assert!(!store.raise_fence_if_restored(&other, NOW).await.unwrap(), "that is another store");

    let remembered = Standing { position: later.position + 1000, ..later.clone() };
    assert!(store.raise_fence_if_restored(&remembered, NOW).await.unwrap());
    assert_eq!(store.fence(), at(1));
    let after = store.standing(NOW).await.unwrap().unwrap();
    assert!(remembered.is_behind(&after), "{after:?} after {remembered:?}");
    assert!(!store.raise_fence_if_restored(&remembered, at(7)).await.unwrap(), "already done");
    assert_eq!(store.claim(redeemed(jti(), at(9_000))).await.unwrap(), Use::First);
    store.close().await;

    let store = place.open(&clock, NOW).await;
    assert_eq!(store.fence(), at(1));
    let reopened = store.standing(NOW).await.unwrap().unwrap();
    assert!(!reopened.is_behind(&after), "{reopened:?} after {after:?}");
    // A second restore, and several nodes that notice it.
    assert!(!store.raise_fence_if_restored(&after, at(9)).await.unwrap(), "the store continues from there");
    let lost = Standing { branch: "of another history".to_owned(), ..after.clone() };
    assert!(
        store.raise_fence_if_restored(&lost, at(9)).await.unwrap(),
        "however far the store has come since"
    );
    let again = Standing { epoch: reopened.epoch + 2, ..reopened };
    let (one, other) = tokio::join!(
        store.raise_fence_if_restored(&again, at(20)),
        store.raise_fence_if_restored(&again, at(20))
    );
    assert!(one.unwrap() || other.unwrap());
    assert_eq!(store.fence(), at(21));
    store.close().await;
}

async fn a_closed_store_refuses_everything<B: Backend>(place: &B) {
    let store = open(place).await;
    let used = redeemed(jti(), at(10));
    assert_eq!(store.claim(used).await.unwrap(), Use::First);
    store.close().await;
    assert!(matches!(store.claim(used).await, Err(StoreError::Closed)));
    assert!(matches!(store.find(used.jti).await, Err(StoreError::Closed)));
    assert!(matches!(store.revoke(used.jti, NOW, at(1)).await, Err(StoreError::Closed)));
    assert!(matches!(store.reserve(used.jti, 1, 9, NOW).await, Err(StoreError::Closed)));
    assert!(matches!(store.purge(at(10)).await, Err(StoreError::Closed)));
    assert!(matches!(store.record_time(at(10)).await, Err(StoreError::Closed)));
    assert!(matches!(store.ready().await, Err(StoreError::Closed)));
    store.close().await;
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Claim(usize, u64),
    Revoke(usize, u64),
    Reserve(usize, u64),
    Find(usize),
    Purge(u64),
    KeepTime(u64),
    Reopen { orderly: bool },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8_usize, 0..40_u64).prop_map(|(jti, forget)| Step::Claim(jti, forget)),
        2 => (0..8_usize, 0..40_u64).prop_map(|(jti, forget)| Step::Revoke(jti, forget)),
        3 => (0..8_usize, 0..40_u64).prop_map(|(jti, bytes)| Step::Reserve(jti, bytes)),
        2 => (0..8_usize).prop_map(Step::Find),
        2 => (0..40_u64).prop_map(Step::Purge),
        1 => (0..40_u64).prop_map(Step::KeepTime),
        1 => any::<bool>().prop_map(|orderly| Step::Reopen { orderly }),
    ]
}

async fn any_sequence_of_operations_does_what_the_model_does<B: Backend>(place: &B) {
    let runtime = tokio::runtime::Handle::current();
    let clock = Clock::manual(NOW);
    let sequences = || {
        let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
        TestRunner::new(config).run(&proptest::collection::vec(any_step(), 1..60), |steps| {
            // Own jtis, so that the sequences can share a store.
            let jtis: Vec<Jti> = (0..8).map(|_| jti()).collect();
            runtime.block_on(follow(place, &clock, &jtis, &steps));
            Ok(())
        })
    };
    tokio::task::block_in_place(sequences).unwrap();
}

async fn follow<B: Backend>(place: &B, clock: &Clock, jtis: &[Jti], steps: &[Step]) {
    let mut store = place.open(clock, NOW).await;
    let mut model: HashMap<Jti, UsedToken> = HashMap::new();
    for (second, step) in (0..).zip(steps) {
        match *step {
            Step::Claim(n, forget) => {
                let used = UsedToken { marked_at: at(second), ..redeemed(jtis[n], at(forget)) };
                let expected = model.get(&used.jti).map_or(Use::First, |record| Use::Replay(*record));
                model.entry(used.jti).or_insert(used);
                assert_eq!(store.claim(used).await.unwrap(), expected, "{second} {step:?} in {steps:?}");
            }
            Step::Revoke(n, forget) => {
                let until = model.get(&jtis[n]).map_or(at(forget), |record| record.forget_at.max(at(forget)));
                model.insert(jtis[n], revoked(jtis[n], at(second), until));
                store.revoke(jtis[n], at(second), at(forget)).await.unwrap();
            }
            Step::Reserve(n, bytes) => {
                let expected = match model.get(&jtis[n]).copied() {
                    Some(UsedToken { mark: Mark::Redeemed(Some(lease)), .. })
                        if lease.reserved + bytes <= 100 =>
                    {
                        let reserved = lease.reserved + bytes;
                        model
                            .entry(jtis[n])
                            .and_modify(|used| *used = with_reserved(*used, reserved, at(second)));
                        Reservation::Granted { reserved }
                    }
                    Some(UsedToken { mark: Mark::Redeemed(Some(lease)), .. }) => {
                        Reservation::Exceeded { reserved: lease.reserved }
                    }
                    other => Reservation::NoLease(other),
                };
                let found = store.reserve(jtis[n], bytes, 100, at(second)).await.unwrap();
                assert_eq!(found, expected, "{second} {step:?} in {steps:?}");
            }
            Step::Find(n) => {
                let found = store.find(jtis[n]).await.unwrap();
                assert_eq!(found, model.get(&jtis[n]).copied(), "{second} {step:?} in {steps:?}");
            }
            Step::Purge(now) => {
                // At least: what an earlier sequence left in the same store may be deleted, too.
                let due = model.values().filter(|record| record.forget_at <= at(now)).count() as u64;
                model.retain(|_, record| record.forget_at > at(now));
                assert!(store.purge(at(now)).await.unwrap() >= due, "{second} {step:?} in {steps:?}");
            }
            Step::KeepTime(now) => store.record_time(at(now)).await.unwrap(),
            Step::Reopen { orderly } if B::PERSISTS => {
                if orderly {
                    store.close().await;
                }
                drop(store);
                store = place.open(clock, NOW).await;
                assert_eq!(store.fence(), NOW, "{second} {step:?} in {steps:?}");
            }
            Step::Reopen { .. } => {}
        }
    }
    for jti in jtis {
        assert_eq!(store.find(*jti).await.unwrap(), model.get(jti).copied(), "after {steps:?}");
    }
    store.close().await;
}
