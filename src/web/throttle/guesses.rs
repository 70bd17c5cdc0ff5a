//! Slows down guessing of passwords and codes.

use std::net::IpAddr;
use std::time::Duration;

use crate::client_address::neighbourhood;
use crate::clock::Timestamp;
use crate::id::{LinkId, RecipientId, RequestId};
use crate::web::throttle::counter::{BackoffRule, RateLimit, Throttled};
use crate::web::throttle::limits::{Key, Seen, Throttle, count, key, networks};

/// A few attempts against one account …
const ACCOUNT: BackoffRule = BackoffRule { free: 5, longest: Duration::from_secs(5 * 60) };
/// … and more from one address, which a whole office may share.
const ADDRESS: BackoffRule = BackoffRule { free: 20, longest: Duration::from_secs(15 * 60) };

/// An admitted attempt. It counts as failed unless [`Throttle::succeeded`] is called.
#[derive(Debug)]
pub struct Attempt {
    account: Key,
    address: IpAddr,
    browser: Option<Key>,
}

impl Throttle {
    /// Admits an attempt on the account named `account` (spelled the same way each time) from `address`. The
    /// attempt is counted before it is made, so that simultaneous attempts all count.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn attempt(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<Attempt, Throttled> {
        let account = key("account", account);
        let address = neighbourhood(address);
        count(&self.0.addresses, ADDRESS, address, now)?;
        if !self.0.known.contains(&(account, address), now) {
            self.0.accounts.with(account, now, |counter| counter.count(ACCOUNT, now))?;
        }
        Ok(Attempt { account, address, browser: None })
    }

    /// Admits a guess at the password or code of a link by one of its recipients. Guesses also count for the
    /// link as a whole, because all its recipients share one password. A browser or address that has
    /// succeeded before is not affected by guesses of strangers.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn guess(
        &self,
        (link, recipient): (&LinkId, &RecipientId),
        address: IpAddr,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        self.guess_of(key("recipient", recipient.as_str()), link.as_str(), address, browser, now)
    }

    /// Admits a guess at the password of a file request, like one at the password of a link.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn guess_request(
        &self,
        request: &RequestId,
        address: IpAddr,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        self.guess_of(key("request", request.as_str()), request.as_str(), address, browser, now)
    }

    fn guess_of(
        &self,
        account: Key,
        all: &str,
        address: IpAddr,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        let address = neighbourhood(address);
        let browser = browser.map(|mark| key("browser", mark));
        count(&self.0.addresses, ADDRESS, address, now)?;
        let is_known = self.0.known.contains(&(account, address), now)
            || browser.is_some_and(|browser| self.0.known_browsers.contains(&(account, browser), now));
        if !is_known {
            self.0.accounts.with(account, now, |counter| counter.count(ACCOUNT, now))?;
            let guesses = RateLimit::per_hour(self.0.links.current().password_guesses);
            self.0.budgets.with(key("guesses", all), now, |bucket| bucket.take(1, guesses, now))?;
        }
        Ok(Attempt { account, address, browser })
    }

    /// Records that an attempt succeeded: it no longer counts, and the counter of the account starts again.
    pub fn succeeded(&self, attempt: Attempt, now: Timestamp) {
        self.0.accounts.remove(&attempt.account);
        // Only this one attempt is taken back: otherwise anyone with an account could reset the counter of
        // their address by logging in between two guesses.
        for net in networks(attempt.address) {
            self.0.addresses.change(&net, |counter| {
                counter.attempts = counter.attempts.saturating_sub(1);
            });
        }
        self.0.known.with((attempt.account, attempt.address), now, |seen| *seen = Seen(now));
        if let Some(browser) = attempt.browser {
            self.0.known_browsers.with((attempt.account, browser), now, |seen| *seen = Seen(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::throttle::limits::{address, at};

    #[test]
    fn waits_grow_up_to_a_maximum() {
        let throttle = Throttle::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        for n in 0..16_u8 {
            // A different address each time, because this is about the account.
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
            // Guesses, each followed by a login to the guesser's own account.
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
    fn counters_without_effect_are_dropped() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.attempt("ada", address("192.0.2.1"), at(0)).unwrap();
        }
        assert!(throttle.attempt("ada", address("192.0.2.1"), at(0)).is_err());
        throttle.prune(at(3_599));
        assert_eq!(throttle.0.accounts.len(), 1);
        throttle.prune(at(3_600));
        assert_eq!((throttle.0.accounts.len(), throttle.0.addresses.len()), (0, 0));
    }

    #[test]
    fn a_network_of_many_neighborhoods_has_a_limit_too() {
        let throttle = Throttle::default();
        let attempt = |net: u32, n: u32| {
            let from = address(&format!("2001:db8:7:{net:x}::1"));
            throttle.attempt(&format!("user{net}-{n}"), from, at(0)).is_ok()
        };
        let admitted = (0..200).filter(|net| attempt(*net, 0)).count();
        assert_eq!(admitted, 80, "four times what a /64 may do");
        assert!(throttle.attempt("other", address("2001:db8:8::1"), at(0)).is_ok(), "another /48");
    }

    #[test]
    fn guesses_at_a_link_count_for_all_its_recipients_except_those_who_knew_the_password() {
        let throttle = Throttle::default();
        let link = LinkId::from_store("link");
        let recipient = |n: u32| RecipientId::from_store(&format!("recipient{n}"));
        let guess = |n: u32, browser: Option<&str>| {
            let from = IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8]);
            throttle.guess((&link, &recipient(n)), from, browser, at(0))
        };
        let first = guess(1_000, Some("ann's browser")).unwrap();
        throttle.succeeded(first, at(0));
        let admitted = (0..100).filter(|n| guess(*n, None).is_ok()).count();
        assert_eq!(admitted, 49, "50 guesses an hour, and one was made before");
        assert!(guess(1_000, None).is_ok(), "the address is known");
        let elsewhere =
            throttle.guess((&link, &recipient(1_000)), address("192.0.2.9"), Some("ann's browser"), at(0));
        assert!(elsewhere.is_ok(), "the browser is known");
        assert!(
            throttle
                .guess((&LinkId::from_store("other"), &recipient(0)), address("192.0.2.9"), None, at(0))
                .is_ok(),
            "another link"
        );
    }
}
