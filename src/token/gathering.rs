//! Gathers the signatures that are to be verified at the same moment on one thread, and verifies them in a batch.
//!
//! Each caller adds its signature and waits for one turn of the event loop. The first to continue verifies all that
//! were added. A batch costs less than its signatures only if they are valid, so after one that wasn't, this
//! thread verifies each signature alone for a second: a forged token costs others at most one batch in vain.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::token::batch::{BatchMember, MAX_BATCH, all_are_valid};
use crate::turn::turn;

/// Fewer signatures are verified faster alone.
const MIN_BATCH: usize = 3;

/// How long each signature is verified alone after a batch that wasn't valid.
const PAUSE: Duration = Duration::from_secs(1);

thread_local! {
    static GATHERING: RefCell<Gathering> = RefCell::default();
}

/// What waits on this thread.
#[derive(Default)]
struct Gathering {
    waiting: Vec<Gathered>,
    alone_until: Option<Instant>,
}

struct Gathered {
    member: BatchMember,
    verdict: Rc<Cell<Option<Verdict>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid,
    /// It has to be verified alone.
    Unknown,
}

/// Returns whether a batch with this signature was valid. Otherwise the signature has to be verified alone.
pub(super) async fn is_in_a_valid_batch(member: BatchMember) -> bool {
    let Some(verdict) = GATHERING.with_borrow_mut(|gathering| gathering.add(member)) else { return false };
    turn().await;
    if verdict.get().is_none() {
        GATHERING.with_borrow_mut(Gathering::verify);
    }
    verdict.get() == Some(Verdict::Valid)
}

impl Gathering {
    /// Adds a signature, unless each is verified alone now.
    fn add(&mut self, member: BatchMember) -> Option<Rc<Cell<Option<Verdict>>>> {
        if self.is_pausing() {
            return None;
        }
        let verdict = Rc::new(Cell::new(None));
        self.waiting.push(Gathered { member, verdict: Rc::clone(&verdict) });
        Some(verdict)
    }

    fn is_pausing(&mut self) -> bool {
        // The clock is only read after a batch that wasn't valid.
        match self.alone_until {
            Some(end) if Instant::now() < end => true,
            _ => {
                self.alone_until = None;
                false
            }
        }
    }

    /// Verifies all that wait.
    fn verify(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        // Whoever hung up no longer has its verdict.
        waiting.retain(|gathered| Rc::strong_count(&gathered.verdict) > 1);
        for batch in waiting.chunks(MAX_BATCH) {
            let mut verdict = Verdict::Unknown;
            if batch.len() >= MIN_BATCH && self.alone_until.is_none() {
                let members: Vec<_> = batch.iter().map(|gathered| &gathered.member).collect();
                match all_are_valid(&members) {
                    true => verdict = Verdict::Valid,
                    false => self.alone_until = Some(Instant::now() + PAUSE),
                }
            }
            for gathered in batch {
                gathered.verdict.set(Some(verdict));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;
    use crate::token::point::KeyPoint;

    /// The signature of a message that says `message`, if it should be valid.
    fn member(message: u8, valid: bool) -> BatchMember {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = KeyPoint::decode(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        let signed = if valid { message } else { message ^ 1 };
        BatchMember::new(&key, &[message], pair.sign(&[signed]).as_ref()).unwrap()
    }

    async fn accepted(valid: &[bool]) -> Vec<bool> {
        let members = valid.iter().zip(0..).map(|(valid, n)| is_in_a_valid_batch(member(n, *valid)));
        join_all(members).await
    }

    #[actix_web::test]
    async fn three_signatures_are_a_batch_and_fewer_are_verified_alone() {
        assert_eq!(accepted(&[true; 1]).await, [false; 1]);
        assert_eq!(accepted(&[true; 2]).await, [false; 2]);
        assert_eq!(accepted(&[true; 3]).await, [true; 3]);
        assert_eq!(accepted(&[true; MAX_BATCH + 3]).await, [true; MAX_BATCH + 3]);
    }

    #[actix_web::test]
    async fn after_a_forged_signature_each_is_verified_alone_for_a_second() {
        assert_eq!(accepted(&[true, true, false, true]).await, [false; 4]);
        assert_eq!(accepted(&[true; 4]).await, [false; 4]);
        let end = GATHERING.with_borrow(|gathering| gathering.alone_until).unwrap();
        assert!(end > Instant::now() && end <= Instant::now() + PAUSE);
        GATHERING.with_borrow_mut(|gathering| gathering.alone_until = Some(Instant::now()));
        assert_eq!(accepted(&[true; 4]).await, [true; 4]);
    }

    #[actix_web::test]
    async fn who_hangs_up_takes_the_signature_along() {
        assert!(is_in_a_valid_batch(member(0, false)).now_or_never().is_none());
        assert_eq!(accepted(&[true; 3]).await, [true; 3]);
    }
}
