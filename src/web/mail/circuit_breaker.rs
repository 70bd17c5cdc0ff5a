//! Whether the mail server is worth trying. While it fails, all mail waits for one probe at a time, and
//! when it is back everything leaves at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::web::mail::verdict::MailFault;

/// How long to wait after each failure of the server in a row, in seconds; the last one repeats. A probe of a
/// server that is down costs nobody anything, and what waits is to leave soon after it is back.
const PAUSES: [u64; 3] = [5, 15, 30];
/// The same where the server refuses us: many log-ins that fail in a row would lock us out.
const PAUSES_AFTER_REFUSAL: [u64; 5] = [10, 30, 60, 2 * 60, 5 * 60];

/// The state of the one mail server.
#[derive(Debug, Default)]
pub struct CircuitBreaker(Mutex<Trouble>);

#[derive(Debug, Default)]
struct Trouble {
    /// Failures in a row.
    failures: usize,
    /// The server is not tried before.
    until: Option<Timestamp>,
    /// Whether a probe is under way.
    is_probing: bool,
}

impl CircuitBreaker {
    /// Whether an attempt may begin now. While the server is in trouble only one may, a probe, and only
    /// after its pause.
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

    /// The server works. Returns whether it did not before.
    pub fn succeeded(&self) -> bool {
        let mut trouble = self.trouble();
        let was_in_trouble = trouble.until.is_some();
        *trouble = Trouble::default();
        was_in_trouble
    }

    /// The server failed, by that fault; returns when it is tried next.
    pub fn failed(&self, fault: MailFault, now: Timestamp) -> Timestamp {
        let mut trouble = self.trouble();
        trouble.is_probing = false;
        // Attempts that were under way side by side are one failure.
        if let Some(until) = trouble.until.filter(|until| *until > now) {
            return until;
        }
        let pauses = if fault == MailFault::Operator { &PAUSES_AFTER_REFUSAL[..] } else { &PAUSES[..] };
        let until = now.plus(nth_wait(pauses, trouble.failures));
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.until = Some(until);
        until
    }

    /// Somebody asks for an attempt now.
    pub fn end_pause(&self, now: Timestamp) {
        let mut trouble = self.trouble();
        trouble.until = trouble.until.map(|_| now);
    }

    /// An attempt ended without a word on the server, so that another one may probe.
    pub fn undecided(&self) {
        self.trouble().is_probing = false;
    }

    /// Whether the server is in trouble.
    pub fn is_open(&self) -> bool {
        self.trouble().until.is_some()
    }

    // A poisoned lock means a panic elsewhere; each change here is a single step.
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after so many failures before this one, of waits in seconds; the last one repeats.
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
