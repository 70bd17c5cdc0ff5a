//! What a receipt claims of a delivery.

use proptest::prelude::*;

use super::*;
use crate::download::ledger::{RangeSet, RedeemerProof, StreamRequest, Take};
use crate::download::receipts::tally::Tally;
use crate::receipt::DeliveryState;

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
    assert_eq!((tally.state, tally.bytes(sending.size)), (DeliveryState::Interrupted, 100 * KIB));
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
    stream.mark_unread();
    let tally = sending.tally();
    assert_eq!((tally.state, tally.bytes(10)), (DeliveryState::Interrupted, 9));
    // Another range to its end does not bring the lost byte.
    let mut other = sending.resume(0..5).await;
    take(&mut other, 5);
    other.finish();
    drop(other);
    assert_eq!(sending.tally().state, DeliveryState::Interrupted);
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
    first.mark_unread();
    take(&mut second, 50);
    second.finish();
    drop(second);
    assert_eq!(sending.tally().state, DeliveryState::Interrupted, "the ledger would call that whole");
    // The ledger would, so it must open the file again for a client that presents the key.
    let (before, sending) = (sending.tally(), Sending::restarted(100));
    let mut again = sending.resume(40..50).await;
    take(&mut again, 10);
    again.finish();
    drop(again);
    assert_eq!(before.plus(&sending.progress(), 100).state, DeliveryState::Complete);
}

#[tokio::test]
async fn after_a_restart_a_file_is_complete_only_if_every_byte_is_accounted_for() {
    for (resumed_at, state) in [(100 * KIB, DeliveryState::Complete), (101 * KIB, DeliveryState::Interrupted)]
    {
        let (sending, mut stream) = Sending::redeemed(300 * KIB, 0..300 * KIB);
        take(&mut stream, 100 * KIB);
        take(&mut stream, 100 * KIB);
        // The process dies here: what was under way counts for nothing.
        let before = Tally { state: DeliveryState::Interrupted, ..sending.tally() };
        let sending = Sending::restarted(300 * KIB);
        let mut rest = sending.resume(resumed_at..300 * KIB).await;
        while let Take::Send(_) = rest.take(100 * KIB, T0) {}
        rest.finish();
        drop(rest);
        let after = before.plus(&sending.progress(), sending.size);
        assert_eq!((after.state, after.resumed), (state, 1), "from {resumed_at}");
    }
}

#[tokio::test]
async fn after_a_restart_the_place_of_resumption_shows_what_arrived_without_an_acknowledgement() {
    let size = 300 * KIB;
    for (resumed_at, state) in [
        (160 * KIB, DeliveryState::Complete),
        (190 * KIB, DeliveryState::Complete),
        (200 * KIB, DeliveryState::Complete),
        (201 * KIB, DeliveryState::Interrupted),
    ] {
        let (sending, mut stream) = Sending::redeemed(size, 0..size);
        take(&mut stream, 200 * KIB);
        stream.mark_lost(40 * KIB);
        drop(stream);
        let before = sending.tally();
        assert_eq!(before.sent.to_string(), format!("0-{}", 160 * KIB));
        assert_eq!(before.unacknowledged.to_string(), format!("{}-{}", 160 * KIB, 200 * KIB));
        let sending = Sending::restarted(size);
        let mut rest = sending.resume(resumed_at..size).await;
        while let Take::Send(_) = rest.take(100 * KIB, T0) {}
        rest.finish();
        drop(rest);
        let after = before.plus(&sending.progress(), size);
        assert_eq!(after.state, state, "from {resumed_at}");
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
    let at = |now| Tally::new(T0).plus(&sending.delivery.progress(LEASE, now), 10);
    let just_before = at(T0.plus(LEASE).minus(Duration::from_secs(1)));
    assert_eq!((just_before.state, just_before.started_at), (DeliveryState::Interrupted, None));
    let over = at(T0.plus(LEASE));
    assert_eq!((over.state, over.started_at), (DeliveryState::Ended, None));
}

#[tokio::test]
async fn a_revocation_ends_it_and_what_was_complete_stays_so() {
    let (sending, mut stream) = Sending::redeemed(10, 0..10);
    take(&mut stream, 5);
    sending.ledger.revoke(jti(7));
    assert_eq!(sending.tally().state, DeliveryState::Ended);
    let complete = Tally { state: DeliveryState::Complete, ..Tally::new(T0) };
    assert_eq!(complete.plus(&sending.progress(), 10).state, DeliveryState::Complete);
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
                        let wish = StreamRequest { range: start..(start + len).min(size), plain: false, proof: RedeemerProof::Key };
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
                        stream.mark_unread();
                    },
                    Step::Drop(at) => if at < streams.len() {
                        streams.swap_remove(at);
                    },
                    Step::Restart => {
                        before = before.plus(&sending.progress(), size);
                        streams.clear();
                        sending = Sending::restarted(size);
                    }
                }
                let tally = before.plus(&sending.progress(), size);
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
