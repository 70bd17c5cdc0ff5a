//! Slows down guessing.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::client_address::neighbourhood;
use crate::clock::Timestamp;
use crate::config::LinkSettings;
use crate::secret::Digest;
use crate::web::identity::{AccountId, Email};
use crate::web::throttle::counter::{Aged, Allowance, Bucket, Counter, Rule, TooEarly};
use crate::web::throttle::table::Table;

/// Few attempts against one account …
const ACCOUNT: Rule = Rule { free: 5, longest: Duration::from_secs(5 * 60) };
/// … more from one address, behind which a whole office may be.
const ADDRESS: Rule = Rule { free: 20, longest: Duration::from_secs(15 * 60) };

/// Mails to one mailbox for one cause: a few in a row, then ever fewer.
const MAILBOX: Rule = Rule { free: 3, longest: Duration::from_secs(60 * 60) };
/// Requests from one address that cost a mail.
const REQUESTS: Rule = Rule { free: 20, longest: Duration::from_secs(15 * 60) };

/// A network of many neighbourhoods may do so many times what one may.
const WIDER: u32 = 4;

/// Downloads of an account, which each put a token on record.
const DOWNLOADS: Allowance = Allowance::per_minute(600);
/// Links that an account makes or changes, each a line in the audit log.
const LINKS: Allowance = Allowance::per_hour(600);
/// Everything else that an account does and the audit log tells of: whole folders are uploaded.
const ACTS: Allowance = Allowance::per_hour(20_000);
/// Sessions that one account begins and ends.
const SESSIONS: Allowance = Allowance::per_hour(600);

/// How long an address or browser counts as one of the owner's.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The digest of what is counted: of any length and any content.
type Key = [u8; 32];

/// Why a stranger has a mail sent. Each is counted apart, so that none can use up another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An account is asked for.
    SignUp,
    /// A password was forgotten.
    Forgot,
    /// An action link is asked for again.
    Renew,
    /// An address is to be confirmed.
    Address,
    /// The code of a link.
    Code,
    /// An administrator tries whether mails arrive.
    Test,
}

impl Cause {
    const fn word(self) -> &'static str {
        match self {
            Cause::SignUp => "sign-up",
            Cause::Forgot => "forgot",
            Cause::Renew => "renew",
            Cause::Address => "address",
            Cause::Code => "code",
            Cause::Test => "test",
        }
    }
}

/// Counts attempts. Clones share the counters.
#[derive(Clone)]
pub struct Throttle(Arc<Counters>);

struct Counters {
    links: LinkSettings,
    accounts: Table<Key, Counter>,
    addresses: Table<IpAddr, Counter>,
    mailboxes: Table<Key, Counter>,
    requests: Table<IpAddr, Counter>,
    /// Presses of a link, by it and where they come from.
    presses: Table<(Key, IpAddr), Bucket>,
    /// What one account or link may have done.
    budgets: Table<Key, Bucket>,
    /// Where an account or link was used successfully, and when last.
    known: Table<(Key, IpAddr), Seen>,
    /// The same by browser.
    known_browsers: Table<(Key, Key), Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen(Timestamp);

impl Aged for Seen {
    fn last_at(&self) -> Timestamp {
        self.0
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.0.plus(KNOWN_FOR)
    }
}

/// An attempt that may be made now. It counts as failed until [`Throttle::succeeded`] takes it back.
#[derive(Debug)]
pub struct Attempt {
    account: Key,
    address: IpAddr,
    browser: Option<Key>,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle::new(&LinkSettings::default())
    }
}

impl Throttle {
    /// Counters within the limits of the settings.
    pub fn new(links: &LinkSettings) -> Throttle {
        Throttle(Arc::new(Counters {
            links: links.clone(),
            accounts: Table::default(),
            addresses: Table::default(),
            mailboxes: Table::default(),
            requests: Table::default(),
            presses: Table::default(),
            budgets: Table::default(),
            known: Table::default(),
            known_browsers: Table::default(),
        }))
    }

    /// Admits an attempt on the account named `account` (in any one spelling per account) from
    /// `address`, or says how long to wait. Counting comes first, so that many attempts at once
    /// count each.
    ///
    /// # Errors
    /// When there were too many.
    pub fn attempt(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<Attempt, TooEarly> {
        let account = key("account", account);
        let address = neighbourhood(address);
        count(&self.0.addresses, ADDRESS, address, now)?;
        if !self.0.known.contains(&(account, address), now) {
            self.0.accounts.with(account, now, |counter| counter.count(ACCOUNT, now))?;
        }
        Ok(Attempt { account, address, browser: None })
    }

    /// Admits a guess at the password or code of a link, by one of its recipients, or says how long to
    /// wait. Beside the recipient the link counts as a whole, for all of its recipients share one
    /// password. A browser or address that has shown it before is spared what strangers do.
    ///
    /// # Errors
    /// When there were too many.
    pub fn guess(
        &self,
        (link, recipient): (&str, &str),
        address: IpAddr,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Attempt, TooEarly> {
        let account = key("recipient", recipient);
        let address = neighbourhood(address);
        let browser = browser.map(|mark| key("browser", mark));
        count(&self.0.addresses, ADDRESS, address, now)?;
        let is_known = self.0.known.contains(&(account, address), now)
            || browser.is_some_and(|browser| self.0.known_browsers.contains(&(account, browser), now));
        if !is_known {
            self.0.accounts.with(account, now, |counter| counter.count(ACCOUNT, now))?;
            let guesses = Allowance::per_hour(self.0.links.password_guesses);
            self.0.budgets.with(key("guesses", link), now, |bucket| bucket.take(1, guesses, now))?;
        }
        Ok(Attempt { account, address, browser })
    }

    /// The attempt was its owner's: it doesn't count, and the account starts again.
    pub fn succeeded(&self, attempt: Attempt, now: Timestamp) {
        self.0.accounts.remove(&attempt.account);
        // Only this one attempt is taken back: somebody who has an account must not be able to clear
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

    /// Whether a mail that a stranger asked for may go to `recipient` (in any one spelling) now; it
    /// counts as sent then. The one who asked is not told, for it says nothing about their own doing.
    pub fn mail(&self, cause: Cause, recipient: &str, now: Timestamp) -> bool {
        let mailbox = key(cause.word(), recipient);
        self.0.mailboxes.with(mailbox, now, |counter| counter.count(MAILBOX, now)).is_ok()
    }

    /// The same for a forgotten password: an address from which the owner has logged in before has
    /// mails of its own, which strangers can't use up.
    pub fn forgot_mail(&self, recipient: &str, address: IpAddr, now: Timestamp) -> bool {
        let known = (key("account", recipient), neighbourhood(address));
        let reserve = || {
            let mailbox = key("forgot, known", recipient);
            self.0.mailboxes.with(mailbox, now, |counter| counter.count(MAILBOX, now)).is_ok()
        };
        self.mail(Cause::Forgot, recipient, now) || (self.0.known.contains(&known, now) && reserve())
    }

    /// Admits mails that bring a link of `account` to these recipients, all or none of them.
    ///
    /// # Errors
    /// Those who have had too many from this account.
    pub fn link_mails<'e>(
        &self,
        account: &AccountId,
        recipients: &'e [Email],
        now: Timestamp,
    ) -> Result<(), Vec<&'e Email>> {
        let allowance = Allowance::per_hour(self.0.links.mails);
        let mailbox = |email: &Email| key("link mail", &format!("{account} {}", email.key()));
        // Looked at before anything is counted. Two at once may each count the last one.
        let is_full = |email: &Email| {
            let mut left = self.0.budgets.with(mailbox(email), now, |bucket| *bucket);
            left.take(1, allowance, now).is_err()
        };
        let full: Vec<&Email> = recipients.iter().filter(|email| is_full(email)).collect();
        if !full.is_empty() {
            return Err(full);
        }
        let taken = |email: &Email| {
            self.0.budgets.with(mailbox(email), now, |bucket| bucket.take(1, allowance, now)).is_ok()
        };
        let full: Vec<&Email> = recipients.iter().filter(|email| !taken(email)).collect();
        if full.is_empty() { Ok(()) } else { Err(full) }
    }

    /// Admits a press of a link's button from `address`, or says how long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub fn press(&self, link: &str, address: IpAddr, now: Timestamp) -> Result<(), TooEarly> {
        let (link, each) = (key("presses", link), Allowance::per_minute(self.0.links.presses));
        for (net, times) in networks(neighbourhood(address)).into_iter().zip([1, WIDER]) {
            let allowed = each.times(times);
            self.0.presses.with((link, net), now, |bucket| bucket.take(1, allowed, now))?;
        }
        let all = Allowance::per_minute(self.0.links.presses_per_link);
        self.0.budgets.with(link, now, |bucket| bucket.take(1, all, now))
    }

    /// Admits a download of an account, or says how long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub fn download(&self, account: &AccountId, now: Timestamp) -> Result<(), TooEarly> {
        self.budget("downloads", account, DOWNLOADS, now)
    }

    /// Admits making or changing a link, or says how long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub fn link(&self, account: &AccountId, now: Timestamp) -> Result<(), TooEarly> {
        self.budget("links", account, LINKS, now)
    }

    /// Admits an act of an account of which the audit log tells, or says how long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub fn act(&self, account: &AccountId, now: Timestamp) -> Result<(), TooEarly> {
        self.budget("acts", account, ACTS, now)
    }

    /// Admits one more session of an account, or says how long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub fn session(&self, account: &AccountId, now: Timestamp) -> Result<(), TooEarly> {
        self.budget("sessions", account, SESSIONS, now)
    }

    fn budget(
        &self,
        what: &str,
        account: &AccountId,
        allowance: Allowance,
        now: Timestamp,
    ) -> Result<(), TooEarly> {
        self.0.budgets.with(key(what, account.as_str()), now, |bucket| bucket.take(1, allowance, now))
    }

    /// Admits a request from `address` that has a mail sent, or says how long to wait.
    ///
    /// # Errors
    /// When there were too many.
    pub fn request(&self, address: IpAddr, now: Timestamp) -> Result<(), TooEarly> {
        count(&self.0.requests, REQUESTS, neighbourhood(address), now)
    }

    /// Forgets what has no effect any more.
    pub fn prune(&self, now: Timestamp) {
        self.0.mailboxes.prune(now);
        self.0.requests.prune(now);
        self.0.accounts.prune(now);
        self.0.addresses.prune(now);
        self.0.presses.prune(now);
        self.0.budgets.prune(now);
        self.0.known.prune(now);
        self.0.known_browsers.prune(now);
    }
}

/// Counts an attempt of a neighbourhood and of the network around it.
fn count(
    table: &Table<IpAddr, Counter>,
    rule: Rule,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), TooEarly> {
    for (net, times) in networks(address).into_iter().zip([1, WIDER]) {
        let rule = Rule { free: rule.free.saturating_mul(times), ..rule };
        table.with(net, now, |counter| counter.count(rule, now))?;
    }
    Ok(())
}

/// A neighbourhood, and for an IPv6 one the /48 around it. The last bit tells the two apart where they
/// have the same first address.
fn networks(neighbourhood: IpAddr) -> Vec<IpAddr> {
    match neighbourhood {
        IpAddr::V4(_) => vec![neighbourhood],
        IpAddr::V6(address) => {
            let wider = (address.to_bits() & (u128::MAX << 80)) | 1;
            vec![neighbourhood, Ipv6Addr::from_bits(wider).into()]
        }
    }
}

fn key(what: &str, name: &str) -> Key {
    *Digest::of(format!("{what}\n{name}").as_bytes()).as_bytes()
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
        let sent = (0..3_600_u64).filter(|second| throttle.mail(Cause::SignUp, "ada", at(*second))).count();
        assert!((4..=15).contains(&sent), "{sent} mails within an hour");
        assert!(throttle.mail(Cause::SignUp, "bob", at(0)), "another mailbox");
        assert!(throttle.mail(Cause::Forgot, "ada", at(3_599)), "another cause");
        let late = throttle.mail(Cause::SignUp, "ada", at(3 * 3_600));
        assert!(late, "after a quiet while it starts again");
    }

    #[test]
    fn what_has_no_effect_is_forgotten() {
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
    fn a_network_of_many_neighbourhoods_has_a_limit_too() {
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
    fn guesses_at_a_link_count_for_all_of_its_recipients_and_spare_those_who_know() {
        let throttle = Throttle::default();
        let guess = |n: u32, browser: Option<&str>| {
            let from = IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8]);
            throttle.guess(("link", &format!("recipient{n}")), from, browser, at(0))
        };
        let first = guess(1_000, Some("ann's browser")).unwrap();
        throttle.succeeded(first, at(0));
        let admitted = (0..100).filter(|n| guess(*n, None).is_ok()).count();
        assert_eq!(admitted, 49, "50 guesses an hour, and one was made before");
        assert!(guess(1_000, None).is_ok(), "the address is known");
        let elsewhere =
            throttle.guess(("link", "recipient1000"), address("192.0.2.9"), Some("ann's browser"), at(0));
        assert!(elsewhere.is_ok(), "the browser is known");
        assert!(throttle.guess(("other", "r"), address("192.0.2.9"), None, at(0)).is_ok(), "another link");
    }

    #[test]
    fn strangers_can_t_keep_the_owner_from_a_reset() {
        let throttle = Throttle::default();
        let home = address("198.51.100.7");
        let first = throttle.attempt("ada", home, at(0)).unwrap();
        throttle.succeeded(first, at(0));
        while throttle.mail(Cause::Forgot, "ada", at(1)) {}
        assert!(!throttle.forgot_mail("ada", address("203.0.113.5"), at(1)));
        assert!(throttle.forgot_mail("ada", home, at(1)));
    }

    #[test]
    fn a_mailbox_gets_three_links_an_hour_from_one_account() {
        let throttle = Throttle::default();
        let (ann, bob) = (AccountId::from_store("ann"), AccountId::from_store("bob"));
        let all: Vec<Email> = ["r@example.org", "s@example.org"].map(|email| email.parse().unwrap()).to_vec();
        let only_r = &all[..1];
        for _ in 0..3 {
            throttle.link_mails(&ann, only_r, at(0)).unwrap();
        }
        let full = throttle.link_mails(&ann, &all, at(0)).unwrap_err();
        assert_eq!(full, [&all[0]], "the one that is full is named");
        for _ in 0..3 {
            throttle.link_mails(&ann, &all[1..], at(0)).unwrap();
        }
        assert!(throttle.link_mails(&bob, only_r, at(0)).is_ok(), "another account");
        assert!(throttle.link_mails(&ann, only_r, at(1_200)).is_ok(), "a third of an hour later");
    }

    #[test]
    fn presses_are_bounded_per_address_and_per_link() {
        let throttle = Throttle::default();
        let press = |from: &str| throttle.press("link", address(from), at(0)).is_ok();
        assert_eq!((0..40).filter(|_| press("192.0.2.1")).count(), 30);
        assert!(throttle.press("other", address("192.0.2.1"), at(0)).is_ok(), "another link");
        let others = (0..1_000).filter(|n| press(&format!("10.0.{}.{}", n / 250, n % 250))).count();
        assert_eq!(others, 570, "600 a minute for the link");
    }
}
