//! Tracks whether the mail server works. While it fails, only one attempt at a time is made as a probe and
//! all other mail waits; when it works again, everything is sent at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::web::mail::verdict::MailFault;

/// How long to wait after each consecutive failure of the server, in seconds; the last value repeats. Probing
/// a server that is down costs nothing, and waiting mail should be sent soon after it works again.
const PAUSES: [u64; 3] = [5, 15, 30];
/// The same for a server that refuses us: many failed logins in a row could lock us out.
const PAUSES_AFTER_REFUSAL: [u64; 5] = [10, 30, 60, 2 * 60, 5 * 60];

/// The state of the mail server.
#[derive(Debug, Default)]
pub struct CircuitBreaker(Mutex<Trouble>);

#[derive(Debug, Default)]
struct Trouble {
    /// Number of consecutive failures.
    failures: usize,
    /// When the server may be tried again.
    until: Option<Timestamp>,
    /// Whether a probe is running.
    is_probing: bool,
}

impl CircuitBreaker {
    /// Whether an attempt may start now. While the server is failing, only one attempt is admitted at a time,
    /// as a probe, and only after the pause.
    pub fn admits(&self, now: Timestamp) -> bool {
        let mut trouble = self.trouble();
        match trouble.until {
            None => true,
            Some(until) if until > now || trouble.is_probing => false,
            Some(_) => {
                trouble.is_probing = true;
                true
            }
        }
    }

    /// Records that the server works. Returns whether it was failing before.
    pub fn succeeded(&self) -> bool {
        let mut trouble = self.trouble();
        let was_in_trouble = trouble.until.is_some();
        *trouble = Trouble::default();
        was_in_trouble
    }

    /// Records a failure of the server with this cause. Returns when it may be tried again.
    pub fn failed(&self, fault: MailFault, now: Timestamp) -> Timestamp {
        let mut trouble = self.trouble();
        trouble.is_probing = false;
        // Attempts that ran at the same time count as one failure.
        if let Some(until) = trouble.until.filter(|until| *until > now) {
            return until;
        }
        let pauses = if fault == MailFault::Operator { &PAUSES_AFTER_REFUSAL[..] } else { &PAUSES[..] };
        let until = now.plus(nth_wait(pauses, trouble.failures));
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.until = Some(until);
        until
    }

    /// Ends the pause, because someone requested an attempt now.
    pub fn end_pause(&self, now: Timestamp) {
        let mut trouble = self.trouble();
        trouble.until = trouble.until.map(|_| now);
    }

    /// Records that an attempt ended without showing whether the server works, so that another one may probe.
    pub fn undecided(&self) {
        self.trouble().is_probing = false;
    }

    /// Whether the server is failing.
    pub fn is_open(&self) -> bool {
        self.trouble().until.is_some()
    }

    // A poisoned lock means a panic elsewhere; each change here is a single step.
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the wait after `failures` earlier failures, from waits in seconds; the last value repeats.
pub(super) fn nth_wait(waits: &[u64], failures: usize) -> Duration {
    Duration::from_secs(waits.get(failures).or(waits.last()).copied().unwrap_or(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn while_the_server_fails_one_probe_at_a_time_is_admitted() {
        let breaker = CircuitBreaker::default();
        assert!(breaker.admits(at(0)) && breaker.admits(at(0)));
        assert_eq!(breaker.failed(MailFault::Server, at(0)), at(5));
        assert_eq!(
            breaker.failed(MailFault::Server, at(1)),
            at(5),
            "what was under way beside it is the same failure"
        );
        assert!(!breaker.admits(at(4)));
        assert!(breaker.admits(at(5)) && !breaker.admits(at(5)));
        assert_eq!(breaker.failed(MailFault::Operator, at(12)), at(42));
        assert!(breaker.admits(at(42)));
        breaker.undecided();
        assert!(breaker.admits(at(42)));
        assert!(breaker.succeeded() && !breaker.succeeded());
        assert!(breaker.admits(at(42)) && breaker.admits(at(42)));
    }
}
