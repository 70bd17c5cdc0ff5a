//! kill -9, under load and during a start: a jti whose first byte reached a client is never served again.
//!
//! A short loop runs with all other tests. A long one:
//! `ONCELINK_TEST_KILL_ROUNDS=5000 cargo test --release faults_kill`; `ONCELINK_TEST_SEED=7` before it
//! changes the delays.

use std::time::Duration;

use crate::needs::variable;
use crate::support::process::{Dice, Site, Ticket, pause, say, under_load};

/// Connections that send requests all the time.
const CLIENTS: usize = 8;
/// The number of earlier tokens that each round replays.
const SAMPLE: u64 = 30;

#[test]
fn a_file_whose_first_byte_reached_a_client_is_never_served_again() {
    let number =
        |name: &str, otherwise: u64| variable(name).map_or(otherwise, |text| text.parse().expect("a number"));
    let (rounds, seed) = (number("ONCELINK_TEST_KILL_ROUNDS", 100), number("ONCELINK_TEST_SEED", 1));
    let mut dice = Dice::new(seed);
    let site = Site::new();
    let mut seen: Vec<Ticket> = Vec::new();
    let mut node = site.start();
    for round in 0..rounds {
        let (fresh, ()) = under_load(&site, CLIENTS, |_| {
            pause(Duration::from_millis(dice.below(120)));
            node.kill();
        });
        if round % 3 == 0 {
            // A start can be killed, too: it moves the journal into the database.
            let starting = site.launch(site.command(&[]));
            pause(Duration::from_millis(dice.below(250)));
            starting.kill();
        }
        node = site.start();
        site.assert_used(&fresh);
        let earlier = |_| &seen[usize::try_from(dice.below(seen.len() as u64)).unwrap()];
        let sample: Vec<&Ticket> =
            if seen.is_empty() { Vec::new() } else { (0..SAMPLE).map(earlier).collect() };
        site.assert_used(sample);
        seen.extend(fresh);
        // A node that refuses everything would pass otherwise.
        site.redeem(1);
    }
    site.assert_used(&seen);
    // A kill damages nothing, so no fence may have been set.
    assert!(!site.log().contains("cannot be trusted"), "{}", site.log());
    assert!(seen.len() as u64 > rounds * 5, "only {} tokens in {rounds} rounds: too little load", seen.len());
    say(&format!("{rounds} kills, {} tokens redeemed, none served twice", seen.len()));
}
