//! Limits the mails that strangers and accounts may cause.

use std::net::IpAddr;
use std::time::Duration;

use crate::client_address::neighbourhood;
use crate::clock::Timestamp;
use crate::web::identity::{AccountId, Email};
use crate::web::throttle::counter::{BackoffRule, RateLimit, Throttled};
use crate::web::throttle::limits::{Throttle, count, key};
use crate::words::words;

/// Mails to one mailbox for one cause: a few in a row, then fewer and fewer.
const MAILBOX: BackoffRule = BackoffRule { free: 3, longest: Duration::from_secs(60 * 60) };
/// Requests from one address that cause a mail.
const REQUESTS: BackoffRule = BackoffRule { free: 20, longest: Duration::from_secs(15 * 60) };

words! {
    /// Why a mail is sent on someone's request. Each cause is counted separately, so that none uses up
    /// another's limit.
    pub enum MailCause {
        /// Someone signs up.
        SignUp = "sign-up",
        /// Someone forgot their password.
        Forgot = "forgot",
        /// Someone requests an action link again.
        Renew = "renew",
        /// An address has to be confirmed.
        Address = "address",
        /// The code for a link is requested.
        Code = "code",
        /// An administrator sends a test mail.
        Test = "test",
    }
}

/// Mails with a link were not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailsRefused<'e> {
    /// These recipients have received too many from this account within an hour.
    Mailboxes(Vec<&'e Email>),
    /// The account may have only so many sent within a day.
    Day(u32),
}

impl Throttle {
    /// Returns whether a mail that a stranger requested may be sent to `recipient` (spelled the same way each
    /// time) now, and counts it if so. The requester isn't told, because the result also depends on what
    /// others do.
    pub fn mail(&self, cause: MailCause, recipient: &str, now: Timestamp) -> bool {
        let mailbox = key(cause.as_str(), recipient);
        self.0.mailboxes.with(mailbox, now, |counter| counter.count(MAILBOX, now)).is_ok()
    }

    /// Like [`Throttle::mail`] for a forgotten password, but with a reserve for addresses from which the
    /// owner has logged in before, which strangers can't use up.
    pub fn forgot_mail(&self, recipient: &str, address: IpAddr, now: Timestamp) -> bool {
        let known = (key("account", recipient), neighbourhood(address));
        let reserve = || {
            let mailbox = key("forgot, known", recipient);
            self.0.mailboxes.with(mailbox, now, |counter| counter.count(MAILBOX, now)).is_ok()
        };
        self.mail(MailCause::Forgot, recipient, now) || (self.0.known.contains(&known, now) && reserve())
    }

    /// Admits mails with a link of `account` to these recipients, either all or none of them.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn link_mails<'e>(
        &self,
        account: &AccountId,
        recipients: &'e [Email],
        now: Timestamp,
    ) -> Result<(), MailsRefused<'e>> {
        let limits = self.0.links.current();
        let allowance = RateLimit::per_hour(limits.mails);
        let mailbox = |email: &Email| key("link mail", &format!("{account} {}", email.key()));
        // Checked before anything is counted. Two simultaneous calls may still both try to take the last use.
        let is_full = |email: &Email| {
            let mut left = self.0.budgets.with(mailbox(email), now, |bucket| *bucket);
            left.take(1, allowance, now).is_err()
        };
        let full: Vec<&Email> = recipients.iter().filter(|email| is_full(email)).collect();
        if !full.is_empty() {
            return Err(MailsRefused::Mailboxes(full));
        }
        let count = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
        let day = RateLimit::per_day(limits.mails_per_day);
        let mails = key("link mails of a day", account.as_str());
        if self.0.budgets.with(mails, now, |bucket| bucket.take(count, day, now)).is_err() {
            return Err(MailsRefused::Day(limits.mails_per_day));
        }
        let taken = |email: &Email| {
            self.0.budgets.with(mailbox(email), now, |bucket| bucket.take(1, allowance, now)).is_ok()
        };
        let full: Vec<&Email> = recipients.iter().filter(|email| !taken(email)).collect();
        if full.is_empty() { Ok(()) } else { Err(MailsRefused::Mailboxes(full)) }
    }

    /// Admits a request from `address` that causes a mail.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn request(&self, address: IpAddr, now: Timestamp) -> Result<(), Throttled> {
        count(&self.0.requests, REQUESTS, neighbourhood(address), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LinkSettings;
    use crate::web::throttle::limits::{address, at};

    #[test]
    fn a_mailbox_gets_a_few_mails_and_then_fewer_and_fewer() {
        let throttle = Throttle::default();
        let sent =
            (0..3_600_u64).filter(|second| throttle.mail(MailCause::SignUp, "ada", at(*second))).count();
        assert!((4..=15).contains(&sent), "{sent} mails within an hour");
        assert!(throttle.mail(MailCause::SignUp, "bob", at(0)), "another mailbox");
        assert!(throttle.mail(MailCause::Forgot, "ada", at(3_599)), "another cause");
        let late = throttle.mail(MailCause::SignUp, "ada", at(3 * 3_600));
        assert!(late, "after a quiet while it starts again");
    }

    #[test]
    fn strangers_can_t_prevent_the_owners_reset() {
        let throttle = Throttle::default();
        let home = address("198.51.100.7");
        let first = throttle.attempt("ada", home, at(0)).unwrap();
        throttle.succeeded(first, at(0));
        while throttle.mail(MailCause::Forgot, "ada", at(1)) {}
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
        assert_eq!(full, MailsRefused::Mailboxes(vec![&all[0]]), "the one that is full is named");
        for _ in 0..3 {
            throttle.link_mails(&ann, &all[1..], at(0)).unwrap();
        }
        assert!(throttle.link_mails(&bob, only_r, at(0)).is_ok(), "another account");
        assert!(throttle.link_mails(&ann, only_r, at(1_200)).is_ok(), "a third of an hour later");
    }

    #[test]
    fn an_account_has_only_so_many_links_mailed_within_a_day_whoever_gets_them() {
        let throttle = Throttle::new(&LinkSettings { mails_per_day: 4, ..LinkSettings::default() });
        let (ann, bob) = (AccountId::from_store("ann"), AccountId::from_store("bob"));
        let many = |from: usize, to: usize| -> Vec<Email> {
            (from..to).map(|n| format!("r{n}@example.org").parse().unwrap()).collect()
        };
        throttle.link_mails(&ann, &many(0, 3), at(0)).unwrap();
        assert_eq!(throttle.link_mails(&ann, &many(3, 5), at(0)), Err(MailsRefused::Day(4)));
        throttle.link_mails(&ann, &many(3, 4), at(0)).unwrap();
        assert_eq!(throttle.link_mails(&ann, &many(4, 5), at(3_600)), Err(MailsRefused::Day(4)));
        assert!(throttle.link_mails(&bob, &many(0, 4), at(0)).is_ok(), "another account");
        throttle.set_limits(&LinkSettings { mails_per_day: 24, ..LinkSettings::default() });
        assert!(throttle.link_mails(&ann, &many(4, 5), at(3_600)).is_ok(), "another limit");
        assert!(throttle.link_mails(&ann, &many(9, 10), at(3 * 86_400)).is_ok());
    }
}
