//! Who may get which bytes, and how many.

use super::*;

#[test]
fn a_file_whose_last_bytes_may_be_lost_is_not_whole_until_they_arrive() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 10, 0..10);
    assert_eq!(first.take(100, NOW), Take::Send(10));
    first.finish();
    let used = Err(StreamRefusal::Used);
    let wish = StreamRequest { range: 0..10, plain: true, proof: RedeemerProof::Address(HOME) };
    assert_eq!(delivery.would_admit(&wish, LEASE, NOW), used, "nothing is known to be lost");
    first.acknowledge();
    assert_eq!(delivery.would_admit(&wish, LEASE, NOW), used, "it has arrived");
    assert!(delivery.progress(LEASE, NOW).idle, "and its owner may know");
    first.mark_unread();
    assert!(!ledger.went_out_whole(delivery.jti));
    let stranger = StreamRequest { proof: RedeemerProof::Address(ELSEWHERE), ..wish.clone() };
    assert_eq!(delivery.would_admit(&stranger, LEASE, NOW), used);
    let mut retry = admit(&delivery, &ledger, 0..10, RedeemerProof::Address(HOME)).ok().unwrap();
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
    let lease = lease(&delivery, 0);
    let make = || Delivery::recorded(delivery.jti, &lease, Some(Secret::presented("key")), NOW);
    let again = ledger.reopen(delivery.jti, LEASE, NOW, false, make).unwrap();
    assert!(matches!(
        admit(&again, &ledger, 0..10, RedeemerProof::Address(HOME)),
        Err(Obstacle::Final(StreamRefusal::Used))
    ));
    assert_eq!(drain(&mut admit(&again, &ledger, 0..10, RedeemerProof::Key).ok().unwrap()), 10);
}

#[test]
fn a_broken_transfer_may_be_retried_by_its_own_address_only() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 20 * MIB, 0..20 * MIB);
    assert_eq!(first.take(5 * MIB, NOW), Take::Send(5 * MIB));
    assert!(matches!(
        admit(&delivery, &ledger, 0..20 * MIB, RedeemerProof::Address(HOME)),
        Err(Obstacle::Passing(StreamRefusal::Used))
    ));
    drop(first);
    assert!(matches!(
        admit(&delivery, &ledger, 0..20 * MIB, RedeemerProof::Address(ELSEWHERE)),
        Err(Obstacle::Final(StreamRefusal::Used))
    ));
    let mut retry = admit(&delivery, &ledger, 0..20 * MIB, RedeemerProof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut retry), 20 * MIB);
}

#[test]
fn more_than_the_allowance_is_not_sent_again() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 20 * MIB, 0..20 * MIB);
    assert_eq!(first.take(9 * MIB, NOW), Take::Send(9 * MIB));
    drop(first);
    assert!(matches!(
        admit(&delivery, &ledger, 0..20 * MIB, RedeemerProof::Address(HOME)),
        Err(Obstacle::Final(StreamRefusal::Used))
    ));
    let mut rest = admit(&delivery, &ledger, 4 * MIB..20 * MIB, RedeemerProof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut rest), 16 * MIB);
}

#[test]
fn ranges_ahead_of_a_running_stream_are_served_and_the_stream_stops_where_they_began() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 4 * MIB, 0..4 * MIB);
    assert_eq!(first.take(1000, NOW), Take::Send(1000));
    let mut second = admit(&delivery, &ledger, 2 * MIB..4 * MIB, RedeemerProof::Address(HOME)).ok().unwrap();
    assert_eq!(second.take(MIB, NOW), Take::Send(MIB));
    assert_eq!(first.take(4 * MIB, NOW), Take::Send(2 * MIB - 1000));
    assert_eq!(first.take(4 * MIB, NOW), Take::Pause);
    first.resume_after_pause();
    assert_eq!(first.take(4 * MIB, NOW), Take::Send(MIB));
}

#[test]
fn a_client_that_goes_on_within_what_it_never_acknowledged_has_what_comes_before() {
    let goes_on_at = |start: u64, other_runs: bool| {
        let ledger = Arc::new(Ledger::default());
        let (delivery, mut first) = redeemed(&ledger, 4 * MIB, 0..4 * MIB);
        assert_eq!(first.take(2 * MIB, NOW), Take::Send(2 * MIB));
        first.mark_lost(MIB);
        drop(first);
        let other = other_runs
            .then(|| admit(&delivery, &ledger, 3 * MIB..4 * MIB, RedeemerProof::Address(HOME)).ok().unwrap());
        let mut rest = admit(&delivery, &ledger, start..4 * MIB, RedeemerProof::Address(HOME)).ok().unwrap();
        assert_eq!(rest.take(4 * MIB, NOW), Take::Send(4 * MIB - start));
        drop(other);
        rest.finish();
        rest.acknowledge();
        drop(rest);
        delivery.progress(LEASE, NOW).arrived
    };
    assert!(goes_on_at(MIB, false));
    assert!(goes_on_at(MIB + 24_548, false));
    assert!(goes_on_at(MIB + TWO_SEGMENTS, false));
    assert!(!goes_on_at(MIB + TWO_SEGMENTS + 1, false), "more than can be read without being acknowledged");
    assert!(!goes_on_at(MIB + 24_548, true), "a download manager may ask for it yet");
}

#[test]
fn a_client_that_goes_on_before_the_break_is_noticed_has_what_comes_before() {
    let goes_on_at = |start: u64| {
        let ledger = Arc::new(Ledger::default());
        let (delivery, mut first) = redeemed(&ledger, 4 * MIB, 0..4 * MIB);
        assert_eq!(first.take(2 * MIB, NOW), Take::Send(2 * MIB));
        let mut rest = admit(&delivery, &ledger, start..4 * MIB, RedeemerProof::Continuation).ok().unwrap();
        assert_eq!(drain(&mut rest), 4 * MIB - start);
        rest.finish();
        rest.acknowledge();
        drop(rest);
        first.mark_lost(MIB);
        drop(first);
        delivery.progress(LEASE, NOW).arrived
    };
    assert!(goes_on_at(MIB));
    assert!(goes_on_at(MIB + 24_548));
    assert!(!goes_on_at(MIB + TWO_SEGMENTS + 1), "more than can be read without being acknowledged");
    assert!(!goes_on_at(3 * MIB), "what comes before was never sent");
}

#[test]
fn a_client_that_split_a_stream_and_closed_it_gets_each_piece_after_the_others_made_it_whole() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 100, 0..100);
    assert_eq!(drain(&mut first), 100);
    first.finish();
    first.acknowledge();
    first.mark_unread();
    let mut last = admit(&delivery, &ledger, 60..100, RedeemerProof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut last), 40);
    arrive(last);
    assert!(delivery.is_complete(&delivery.state()));
    assert!(admit(&delivery, &ledger, 0..100, RedeemerProof::Address(HOME)).is_err(), "a plain GET");
    assert!(
        admit(&delivery, &ledger, 50..70, RedeemerProof::Address(HOME)).is_err(),
        "read on another connection"
    );
    let mut middle = admit(&delivery, &ledger, 50..60, RedeemerProof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut middle), 10);
    arrive(middle);
}

/// It gives the rest of a connection to another, reads a little beyond that on the one, throws it away and
/// closes in good order.
#[test]
fn a_client_with_several_connections_gets_what_it_threw_away_on_one_when_all_has_left() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 100, 0..60);
    let ask = |range: Range<u64>, who| admit(&delivery, &ledger, range, RedeemerProof::Address(who));
    let mut second = ask(60..100, HOME).ok().unwrap();
    assert_eq!((drain(&mut first), drain(&mut second)), (60, 40));
    arrive(first);
    arrive(second);
    assert!(ask(50..60, ELSEWHERE).is_err());
    assert!(ask(0..100, HOME).is_err(), "a plain GET");
    let mut rest = ask(50..60, HOME).ok().unwrap();
    assert_eq!(drain(&mut rest), 10);
    arrive(rest);
    let minute = Duration::from_secs(60);
    let wish = StreamRequest { range: 50..60, plain: false, proof: RedeemerProof::Address(HOME) };
    assert_eq!(
        delivery.would_admit(&wish, LEASE, NOW.plus(minute)),
        Err(StreamRefusal::Used),
        "after a minute"
    );
    ledger.purge(LEASE, NOW.plus(minute));
    assert!(ledger.went_out_whole(delivery.jti));
}

/// One connection at a time, the second where the first broke off.
#[test]
fn a_client_with_one_connection_at_a_time_gets_nothing_after_all_of_it() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 100, 0..100);
    assert_eq!(first.take(40, NOW), Take::Send(40));
    drop(first);
    let mut rest = admit(&delivery, &ledger, 30..100, RedeemerProof::Address(HOME)).ok().unwrap();
    assert_eq!(drain(&mut rest), 70);
    arrive(rest);
    assert!(ledger.went_out_whole(delivery.jti));
}

#[test]
fn a_revocation_stops_a_stream_and_a_lease_ends() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut stream) = redeemed(&ledger, 100, 0..100);
    assert_eq!(stream.take(10, NOW), Take::Send(10));
    let later = NOW.plus(LEASE);
    let wish = StreamRequest { range: 0..100, plain: true, proof: RedeemerProof::Key };
    assert_eq!(delivery.would_admit(&wish, LEASE, later), Err(StreamRefusal::Used));
    assert_eq!(delivery.would_admit(&wish, LEASE, later.minus(Duration::from_secs(1))), Ok(()));
    ledger.revoke(delivery.jti);
    assert_eq!(stream.take(10, NOW), Take::Stop);
    assert_eq!(delivery.would_admit(&wish, LEASE, NOW), Err(StreamRefusal::Revoked));
}

#[test]
fn at_most_sixteen_connections_carry_one_jti() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, first) = redeemed(&ledger, 100, 0..1);
    let more: Vec<_> = (1..16)
        .map(|i| admit(&delivery, &ledger, i * 2..i * 2 + 1, RedeemerProof::Key).ok().unwrap())
        .collect();
    assert!(matches!(
        admit(&delivery, &ledger, 50..51, RedeemerProof::Key),
        Err(Obstacle::Passing(StreamRefusal::Crowded))
    ));
    drop((first, more));
    assert!(admit(&delivery, &ledger, 50..51, RedeemerProof::Key).is_ok());
}

#[test]
fn a_continuation_counts_as_the_key_until_the_file_has_gone_out_whole() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, mut first) = redeemed(&ledger, 20 * MIB, 0..20 * MIB);
    assert_eq!(first.take(15 * MIB, NOW), Take::Send(15 * MIB));
    assert!(
        admit(&delivery, &ledger, 0..20 * MIB, RedeemerProof::Continuation).is_ok(),
        "beside a running one"
    );
    drop(first);
    let mut again = admit(&delivery, &ledger, 0..20 * MIB, RedeemerProof::Continuation).ok().unwrap();
    assert_eq!(drain(&mut again), 20 * MIB);
    assert!(matches!(
        admit(&delivery, &ledger, 0..20 * MIB, RedeemerProof::Continuation),
        Err(Obstacle::Passing(StreamRefusal::Used))
    ));
    arrive(again);
    // The rule then looks there first.
    assert!(ledger.went_out_whole(delivery.jti));
}

#[test]
fn after_a_restart_what_was_reserved_counts_as_sent_and_the_rest_as_sent_without_the_key() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, first) = redeemed(&ledger, 10 * MIB, 0..10 * MIB);
    drop(first);
    for (reserved, left) in [(0, 2), (10, 1), (15, 0), (20, 0), (50, 0)] {
        let ledger = Arc::new(Ledger::default());
        let recorded = Delivery::recorded(delivery.jti, &lease(&delivery, reserved * MIB), None, NOW);
        let recorded = Arc::new(recorded);
        let whole = |_: &u32| {
            admit(&recorded, &ledger, 0..10 * MIB, RedeemerProof::Continuation)
                .is_ok_and(|mut s| drain(&mut s) == 10 * MIB)
        };
        assert_eq!((0..5).take_while(whole).count(), left, "{reserved} MiB were reserved");
    }
}

#[test]
fn what_was_reserved_and_not_sent_is_used_by_the_next_stream() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, first) = redeemed(&ledger, 10 * MIB, 0..10 * MIB);
    drop(first);
    for _ in 0..50 {
        let mut broken = admit(&delivery, &ledger, 0..10 * MIB, RedeemerProof::Key).ok().unwrap();
        assert_eq!(broken.take(1000, NOW), Take::Send(1000));
    }
    let reserved = delivery.state().reserved.total;
    assert!(reserved < 10 * MIB + 51_000, "{reserved} bytes are reserved");
}

#[test]
fn streams_by_key_that_run_together_may_ask_for_more_than_they_will_send() {
    let ledger = Arc::new(Ledger::default());
    let (delivery, first) = redeemed(&ledger, 64 * MIB, 0..64 * MIB);
    drop(first);
    // Eight connections that each ask for all from somewhere on, as some download managers do.
    let streams: Vec<_> = (0..8)
        .map(|n| admit(&delivery, &ledger, n * 8 * MIB..64 * MIB, RedeemerProof::Key).ok().unwrap())
        .collect();
    let sent: u64 = streams
        .into_iter()
        .map(|mut stream| match stream.take(8 * MIB, NOW) {
            Take::Send(count) => count,
            _ => 0,
        })
        .sum();
    assert_eq!(sent, 64 * MIB);
}
