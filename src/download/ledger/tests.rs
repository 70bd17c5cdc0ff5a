//! The rule on its own, and the bounds that no order of events may break.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use proptest::prelude::*;

use super::delivery::{KEYED_FACTOR, MAX_STREAMS, Obstacle, RESEND_ALLOWANCE};
use super::*;
use crate::files::FileVersion;
use crate::secret::Secret;

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

/// The end of a stream whose client has read everything.
fn arrive(mut stream: Stream) {
    stream.finish();
}

#[test]
fn a_file_whose_last_bytes_may_be_lost_is_not_whole_until_they_arrive() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 10, 0..10);
    assert_eq!(first.take(100, NOW), Take::Send(10));
    first.finish();
    let used = Err(Denied::Used);
    let wish = Wish { range: 0..10, plain: true, proof: Proof::Address(HOME) };
    assert_eq!(delivery.would_admit(&wish, LEASE, NOW), used, "nothing is known to be lost");
    first.acknowledge();
    assert_eq!(delivery.would_admit(&wish, LEASE, NOW), used, "it has arrived");
    assert!(delivery.progress(LEASE, NOW).idle, "and its owner may know");
    first.doubt();
    assert!(!ledger.went_out_whole(delivery.jti));
    let stranger = Wish { proof: Proof::Address(ELSEWHERE), ..wish.clone() };
    assert_eq!(delivery.would_admit(&stranger, LEASE, NOW), used);
    let mut retry = admit(&delivery, &ledger, 0..10, Proof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut retry), 10);
    arrive(retry);
    assert!(ledger.went_out_whole(delivery.jti));
}

#[test]
fn a_file_that_went_out_whole_opens_to_the_key_only() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut stream) = redeemed(&ledger, 10, 0..10);
    assert_eq!(stream.take(100, NOW), Take::Send(10));
    arrive(stream);
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
fn a_client_that_split_a_stream_and_closed_it_gets_each_piece_after_the_others_made_it_whole() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 100, 0..100);
    assert_eq!(drain(&mut first), 100);
    first.finish();
    first.acknowledge();
    first.doubt();
    let mut last = admit(&delivery, &ledger, 60..100, Proof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut last), 40);
    arrive(last);
    assert!(delivery.is_whole(&delivery.state()));
    assert!(admit(&delivery, &ledger, 0..100, Proof::Address(HOME)).is_err(), "a plain GET");
    assert!(admit(&delivery, &ledger, 50..70, Proof::Address(HOME)).is_err(), "read on another connection");
    let mut middle = admit(&delivery, &ledger, 50..60, Proof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut middle), 10);
    arrive(middle);
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
    assert!(matches!(admit(&delivery, &ledger, 50..51, Proof::Key), Err(Obstacle::Passing(Denied::Crowded))));
    drop((first, more));
    assert!(admit(&delivery, &ledger, 50..51, Proof::Key).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Admit { start: u64, len: u64, who: u8 },
    Take { stream: usize, wish: u64 },
    PressOn(usize),
    Drop(usize),
    Finish(usize),
    Acknowledge(usize),
    Lose { stream: usize, count: u64 },
    Doubt(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0u64..24, 0u64..25, 0u8..4).prop_map(|(start, len, who)| Step::Admit { start: start * MIB, len: len * MIB, who }),
        6 => (0usize..20, 1u64..5 * MIB).prop_map(|(stream, wish)| Step::Take { stream, wish }),
        1 => (0usize..20).prop_map(Step::PressOn),
        2 => (0usize..20).prop_map(Step::Drop),
        1 => (0usize..20).prop_map(Step::Finish),
        1 => (0usize..20).prop_map(Step::Acknowledge),
        1 => (0usize..20, 0u64..5 * MIB).prop_map(|(stream, count)| Step::Lose { stream, count }),
        1 => (0usize..20).prop_map(Step::Doubt),
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
                    let whole = delivery.is_whole(&delivery.state());
                    if let Ok(stream) = admit(&delivery, &ledger, range, proof) {
                        prop_assert!(proof != Proof::Address(ELSEWHERE));
                        prop_assert!(proof == Proof::Key || !whole || !delivery.state().unread.is_empty());
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
                Step::Finish(stream) => if let Some((stream, _)) = streams.get_mut(stream) && stream.remaining() == 0 {
                    stream.finish();
                },
                Step::Acknowledge(stream) => if let Some((stream, _)) = streams.get_mut(stream) {
                    stream.acknowledge();
                },
                Step::Lose { stream, count } => if stream < streams.len() {
                    let (mut stream, keyed) = streams.swap_remove(stream);
                    let before = stream.position();
                    stream.lose(count);
                    unkeyed -= if keyed { 0 } else { before - stream.position() };
                    let state = delivery.state();
                    let elsewhere = state.repeated.overlap(&(stream.position()..before)) > 0;
                    prop_assert!(before == stream.position() || elsewhere || !delivery.is_whole(&state));
                },
                Step::Doubt(stream) => if stream < streams.len() {
                    streams.swap_remove(stream).0.doubt();
                },
            }
            prop_assert!(unkeyed <= size + RESEND_ALLOWANCE);
            prop_assert!(all <= KEYED_FACTOR * size + RESEND_ALLOWANCE);
        }
    }
}
