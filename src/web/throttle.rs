//! Slows down guessing: after a few failures, each attempt has to wait longer than the one before.
//!
//! Attempts count per account (whether or not it exists) and per address. The delays have an end,
//! so nobody is locked out for good; and an address from which the owner has logged in before is
//! not slowed down by what strangers do to his account.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use crate::client_address::neighbourhood;
use crate::clock::Timestamp;
use crate::secret::Digest;

/// How one kind of counter behaves.
struct Rule {
    /// Attempts that don't have to wait.
    free: u32,
    /// The longest wait.
    longest: Duration,
}

/// Few attempts against one account …
const ACCOUNT: Rule = Rule { free: 5, longest: Duration::from_secs(5 * 60) };
/// … more from one address, behind which a whole office may be.
const ADDRESS: Rule = Rule { free: 20, longest: Duration::from_secs(15 * 60) };

/// Mails to one mailbox: a few in a row, then ever fewer.
const MAILBOX: Rule = Rule { free: 3, longest: Duration::from_secs(60 * 60) };
/// Requests from one address that cost a mail.
const REQUESTS: Rule = Rule { free: 20, longest: Duration::from_secs(15 * 60) };

/// A counter that was left alone for so long starts anew.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// How long an address counts as one of the owner's.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Most counters of each kind in memory.
const MAX_COUNTERS: usize = 100_000;

/// Counts attempts. Clones share the counters.
#[derive(Clone, Default)]
pub struct Throttle {
    accounts: Arc<DashMap<[u8; 32], Counter>>,
    addresses: Arc<DashMap<IpAddr, Counter>>,
    mailboxes: Arc<DashMap<[u8; 32], Counter>>,
    requests: Arc<DashMap<IpAddr, Counter>>,
    /// Where an account was used successfully, and when last.
    known: Arc<DashMap<([u8; 32], IpAddr), Timestamp>>,
}

#[derive(Clone, Copy, Default)]
struct Counter {
    attempts: u32,
    next_at: Timestamp,
    last_at: Timestamp,
}

/// An attempt that may be made now. It counts as failed until [`Throttle::succeeded`] takes it back.
#[derive(Debug)]
pub struct Attempt {
    account: [u8; 32],
    address: IpAddr,
}

/// The attempt comes too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooEarly {
    /// How long to wait; at least a second.
    pub wait: Duration,
}

impl Throttle {
    /// Admits an attempt on the account named `account` (in any one spelling per account) from
    /// `address`, or says how long to wait. Counting comes first, so that many attempts at once
    /// count each.
    ///
    /// # Errors
    /// When there were too many.
    pub fn attempt(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<Attempt, TooEarly> {
        let account = *Digest::of(account.as_bytes()).as_bytes();
        let address = neighbourhood(address);
        make_room(&self.addresses, now);
        self.addresses.entry(address).or_default().count(&ADDRESS, now)?;
        let known = self.known.get(&(account, address)).is_some_and(|at| now < at.plus(KNOWN_FOR));
        if !known {
            make_room(&self.accounts, now);
            self.accounts.entry(account).or_default().count(&ACCOUNT, now)?;
        }
        Ok(Attempt { account, address })
    }

    /// The attempt was its owner's: it doesn't count, and the account starts anew.
    pub fn succeeded(&self, attempt: Attempt, now: Timestamp) {
        self.accounts.remove(&attempt.account);
        // Only this one attempt is taken back: whoever has an account of his own must not be able
        // to clear his address by logging in between two guesses.
        if let Some(mut counter) = self.addresses.get_mut(&attempt.address) {
            counter.attempts = counter.attempts.saturating_sub(1);
        }
        if self.known.len() >= MAX_COUNTERS {
            self.known.clear();
        }
        self.known.insert((attempt.account, attempt.address), now);
    }

    /// Whether a mail that a stranger asked for may go to `recipient` (in any one spelling) now; it
    /// counts as sent then. Whoever asked is not told, for it says nothing about his own doing.
    pub fn mail(&self, recipient: &str, now: Timestamp) -> bool {
        make_room(&self.mailboxes, now);
        let key = *Digest::of(recipient.as_bytes()).as_bytes();
        let mut counter = self.mailboxes.entry(key).or_default();
        counter.count(&MAILBOX, now).is_ok()
    }

    /// Admits a request from `address` that has a mail sent, or says how long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub fn request(&self, address: IpAddr, now: Timestamp) -> Result<(), TooEarly> {
        make_room(&self.requests, now);
        self.requests.entry(neighbourhood(address)).or_default().count(&REQUESTS, now)
    }

    /// Forgets what has no effect any more.
    pub fn prune(&self, now: Timestamp) {
        self.mailboxes.retain(|_, counter| !counter.is_over(now));
        self.requests.retain(|_, counter| !counter.is_over(now));
        self.accounts.retain(|_, counter| !counter.is_over(now));
        self.addresses.retain(|_, counter| !counter.is_over(now));
        self.known.retain(|_, at| now < at.plus(KNOWN_FOR));
    }
}

impl Counter {
    fn count(&mut self, rule: &Rule, now: Timestamp) -> Result<(), TooEarly> {
        if self.is_over(now) {
            *self = Counter::default();
        }
        if now < self.next_at {
            return Err(TooEarly { wait: self.next_at.since(now).max(Duration::from_secs(1)) });
        }
        self.attempts = self.attempts.saturating_add(1);
        self.last_at = now;
        if let Some(beyond) = self.attempts.checked_sub(rule.free) {
            let seconds = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX);
            self.next_at = now.plus(Duration::from_secs(seconds).min(rule.longest));
        }
        Ok(())
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.next_at && now >= self.last_at.plus(FORGET_AFTER)
    }
}

/// Keeps a flood of made-up names or addresses from filling the memory. That forgets counters that
/// still count, which such a flood costs more than it gains.
fn make_room<K: Eq + std::hash::Hash>(counters: &DashMap<K, Counter>, now: Timestamp) {
    if counters.len() >= MAX_COUNTERS {
        counters.retain(|_, counter| now < counter.next_at);
        if counters.len() >= MAX_COUNTERS {
            counters.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn waits_grow_and_have_an_end() {
        let throttle = Throttle::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        for n in 0..16_u8 {
            // Another address each time: this is about the account.
            let from = IpAddr::from([192, 0, 2, n]);
            if let Err(early) = throttle.attempt("ada", from, now) {
                waits.push(early.wait.as_secs());
                now = now.plus(early.wait);
                throttle.attempt("ada", from, now).unwrap();
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(throttle.attempt("bob", address("192.0.2.1"), now).is_ok());
    }

    #[test]
    fn an_address_is_slowed_down_whatever_account_it_tries() {
        let throttle = Throttle::default();
        let attempt = |n: u32, from: &str| throttle.attempt(&format!("user{n}"), address(from), at(0));
        for n in 0..20 {
            attempt(n, &format!("2001:db8:1:2::{n}")).unwrap();
        }
        assert!(attempt(20, "2001:db8:1:2:ffff::1").is_err(), "the same /64");
        assert!(attempt(20, "2001:db8:1:3::1").is_ok(), "another /64");
    }

    #[test]
    fn success_clears_the_account_but_not_the_address() {
        let throttle = Throttle::default();
        for n in 0..40 {
            // Guesses, each followed by a log-in of the guesser's own.
            let Ok(_guess) = throttle.attempt(&format!("victim{n}"), address("192.0.2.1"), at(0)) else {
                return;
            };
            if let Ok(own) = throttle.attempt("guesser", address("192.0.2.1"), at(0)) {
                throttle.succeeded(own, at(0));
            }
        }
        panic!("the address was never slowed down");
    }

    #[test]
    fn a_known_address_of_the_owner_is_spared() {
        let throttle = Throttle::default();
        let home = address("198.51.100.7");
        let first = throttle.attempt("ada", home, at(0)).unwrap();
        throttle.succeeded(first, at(0));
        for n in 0..9 {
            let _ = throttle.attempt("ada", IpAddr::from([192, 0, 2, n]), at(1));
        }
        assert!(throttle.attempt("ada", address("203.0.113.5"), at(1)).is_err());
        assert!(throttle.attempt("ada", home, at(1)).is_ok());
    }

    #[test]
    fn a_mailbox_gets_a_few_mails_and_then_ever_fewer() {
        let throttle = Throttle::default();
        let sent = (0..3_600_u64).filter(|second| throttle.mail("ada", at(*second))).count();
        assert!((4..=15).contains(&sent), "{sent} mails within an hour");
        assert!(throttle.mail("bob", at(0)), "another mailbox");
        let late = throttle.mail("ada", at(3 * 3_600));
        assert!(late, "after a quiet while it starts anew");
    }

    #[test]
    fn what_has_no_effect_is_forgotten() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.attempt("ada", address("192.0.2.1"), at(0)).unwrap();
        }
        assert!(throttle.attempt("ada", address("192.0.2.1"), at(0)).is_err());
        throttle.prune(at(3_599));
        assert_eq!(throttle.accounts.len(), 1);
        throttle.prune(at(3_600));
        assert_eq!((throttle.accounts.len(), throttle.addresses.len()), (0, 0));
    }
}
