//! However clients, breaks, restarts and nodes follow each other, no more is sent than promised.

use std::ops::Range;
use std::sync::Arc;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::download::ledger::limits::{KEYED_FACTOR, MAX_STREAMS, RESEND_ALLOWANCE};
use crate::used_tokens::memory::MemoryUsedTokens;
use crate::used_tokens::{Lease, Mark, Reservation, UsedToken, UsedTokens};

#[derive(Clone, Debug)]
enum Step {
    Admit { node: usize, start: u64, len: u64, who: u8 },
    Take { stream: usize, wish: u64 },
    PressOn(usize),
    Drop(usize),
    Restart(usize),
    Finish(usize),
    Acknowledge(usize),
    Lose { stream: usize, count: u64 },
    Doubt(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..2, 0u64..24, 0u64..25, 0u8..5).prop_map(|(node, start, len, who)| Step::Admit { node, start: start * MIB, len: len * MIB, who }),
        8 => (0usize..20, 1u64..5 * MIB).prop_map(|(stream, wish)| Step::Take { stream, wish }),
        1 => (0usize..20).prop_map(Step::PressOn),
        3 => (0usize..20).prop_map(Step::Drop),
        1 => (0usize..2).prop_map(Step::Restart),
        1 => (0usize..20).prop_map(Step::Finish),
        1 => (0usize..20).prop_map(Step::Acknowledge),
        1 => (0usize..20, 0u64..5 * MIB).prop_map(|(stream, count)| Step::Lose { stream, count }),
        1 => (0usize..20).prop_map(Step::Doubt),
    ];
    prop::collection::vec(step, 0..160)
}

/// Two nodes that share a store; the first one redeemed.
struct World {
    store: MemoryUsedTokens,
    nodes: [Arc<Ledger>; 2],
    jti: Jti,
}

impl World {
    fn found(&self) -> Lease {
        match self.store.find(self.jti).now_or_never().unwrap().unwrap().unwrap().mark {
            Mark::Redeemed(Some(lease)) => lease,
            mark => panic!("{mark:?}"),
        }
    }

    /// A request at a node, as the rule treats it.
    fn ask(&self, node: usize, range: Range<u64>, proof: RedeemerProof) -> Option<Stream> {
        let ledger = &self.nodes[node];
        let known = ledger.find(self.jti);
        let delivery = match known {
            Some(delivery) => delivery,
            None if !proof.is_keyed() => return None,
            None if proof == RedeemerProof::Continuation && ledger.went_out_whole(self.jti) => return None,
            None => {
                let lease = self.found();
                ledger
                    .reopen(self.jti, LEASE, NOW, true, || Delivery::recorded(self.jti, &lease, None, NOW))?
            }
        };
        let plain = range == (0..delivery.size);
        let stream = delivery.try_admit(ledger, &StreamRequest { range, plain, proof }, LEASE, NOW).ok()?;
        while proof.is_keyed() {
            match delivery.shortfall(&stream) {
                Shortfall::None => break,
                Shortfall::TooMuch => return None,
                Shortfall::Reserve { bytes, limit: most } => {
                    match self.store.reserve(self.jti, bytes, most, NOW).now_or_never().unwrap().unwrap() {
                        Reservation::Granted { reserved } => delivery.add_reservation(bytes, reserved),
                        Reservation::Exceeded { reserved } => delivery.note_total_reserved(reserved),
                        Reservation::NoLease(_) => return None,
                    }
                }
            }
        }
        Some(stream)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// Presses, breaks, restarts, addresses and nodes, in any order.
    #[test]
    fn whatever_happens_no_more_leaves_than_promised(size in 0u64..24 * MIB, steps in steps()) {
        let ledger = Arc::new(Ledger::default());
        let (delivery, first) = redeemed(&ledger, size, 0..size);
        let jti = delivery.jti;
        let store = MemoryUsedTokens::new(NOW);
        let mark = Mark::Redeemed(Some(lease(&delivery, 0)));
        let used = UsedToken { jti, marked_at: NOW, forget_at: NOW.plus(LEASE * 48), mark };
        store.claim(used).now_or_never().unwrap().unwrap();
        let mut world = World { store, nodes: [ledger, Arc::default()], jti };
        drop(delivery);
        let mut streams = vec![(0, first, false)];
        let (mut unkeyed, mut all, mut restarted) = (0u64, 0u64, false);
        for step in steps {
            match step {
                Step::Admit { node, start, len, who } => {
                    let start = start.min(size);
                    let range = if len == 0 { 0..size } else { start..(start + len).min(size) };
                    let proof = match who { 0 => RedeemerProof::Key, 1 => RedeemerProof::Continuation, 2 => RedeemerProof::Address(ELSEWHERE), _ => RedeemerProof::Address(HOME) };
                    let known = world.nodes[node].find(jti);
                    let whole = world.nodes[node].went_out_whole(jti) || known.as_ref().is_some_and(|known| known.is_complete(&known.state()));
                    if let Some(stream) = world.ask(node, range, proof) {
                        prop_assert!(proof != RedeemerProof::Address(ELSEWHERE));
                        prop_assert!(proof.is_keyed() || (node == 0 && !restarted), "an address is known to the node that redeemed");
                        let unread = known.is_some_and(|known| {
                            let state = known.state();
                            !state.unread.is_empty() || state.is_split
                        });
                        prop_assert!(proof == RedeemerProof::Key || !whole || (!proof.is_keyed() && unread));
                        streams.push((node, stream, proof.is_keyed()));
                    }
                    if let Some(known) = world.nodes[node].find(jti) {
                        prop_assert!(known.state().streams.len() <= MAX_STREAMS);
                    }
                }
                Step::Take { stream, wish } => if let Some((_, stream, keyed)) = streams.get_mut(stream) {
                    let before = stream.position();
                    if let Take::Send(count) = stream.take(wish, NOW) {
                        prop_assert!(count > 0 && count <= wish && stream.position() == before + count && stream.position() <= size);
                        all += count;
                        unkeyed += if *keyed { 0 } else { count };
                    }
                },
                Step::PressOn(stream) => if let Some((_, stream, _)) = streams.get_mut(stream) {
                    stream.resume_after_pause();
                },
                Step::Drop(stream) => if stream < streams.len() {
                    streams.swap_remove(stream);
                },
                Step::Restart(node) => {
                    streams.retain(|(of, ..)| *of != node);
                    world.nodes[node] = Arc::default();
                    restarted |= node == 0;
                }
                Step::Finish(stream) => if let Some((_, stream, _)) = streams.get_mut(stream) && stream.remaining() == 0 {
                    stream.finish();
                },
                Step::Acknowledge(stream) => if let Some((_, stream, _)) = streams.get_mut(stream) {
                    stream.acknowledge();
                },
                Step::Lose { stream, count } => if stream < streams.len() {
                    let (_, mut stream, keyed) = streams.swap_remove(stream);
                    let delivery = stream.delivery().clone();
                    let before = stream.position();
                    stream.mark_lost(count);
                    let lost = before - stream.position();
                    all -= lost;
                    unkeyed -= if keyed { 0 } else { lost };
                    let state = delivery.state();
                    let elsewhere = state.repeated.overlap(&(stream.position()..before)) > 0;
                    prop_assert!(before == stream.position() || elsewhere || !delivery.is_complete(&state));
                },
                Step::Doubt(stream) => if stream < streams.len() {
                    streams.swap_remove(stream).1.mark_unread();
                },
            }
            prop_assert!(unkeyed <= size + RESEND_ALLOWANCE);
            prop_assert!(all <= KEYED_FACTOR * size + RESEND_ALLOWANCE);
        }
    }
}
