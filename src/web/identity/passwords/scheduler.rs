//! Decides whose password is hashed next. Hashing is the most expensive work that a request can cause, so
//! only a few hashes run at once, logins have their own lane, and within a lane requesters take turns: an
//! account that sends four hundred requests delays only itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::client_address::neighbourhood;
use crate::web::identity::account_id::AccountId;
use crate::web::identity::passwords::memory::HashMemory;

/// Maximum number of requests that wait for their turn.
const WAITING_MAX: usize = 2_000;

/// The requester for whom a password is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// Someone at this address who wants to log in.
    LogIn(IpAddr),
    /// Someone who is logged in to this account.
    Account(AccountId),
    /// Someone at this address without an account, such as a visitor of a link.
    Visitor(IpAddr),
    /// The operator, at the command line.
    Operator,
}

impl Asker {
    /// Returns the same key for all addresses of one customer.
    fn key(self) -> Asker {
        match self {
            Asker::LogIn(address) => Asker::LogIn(neighbourhood(address)),
            Asker::Visitor(address) => Asker::Visitor(neighbourhood(address)),
            other => other,
        }
    }

    const fn is_log_in(&self) -> bool {
        matches!(self, Asker::LogIn(_))
    }
}

/// Schedules hashes. Clones share the queue.
#[derive(Clone)]
pub(crate) struct HashScheduler(Arc<Mutex<Queue>>);

struct Queue {
    /// How many more hashes may run now.
    free: usize,
    /// Memory that isn't in use; each running hash has its own.
    memory: Vec<HashMemory>,
    /// Requesters for whom a hash is running.
    busy: HashSet<Asker>,
    log_ins: Lane,
    others: Lane,
    /// Whether the lane for logins is served next.
    log_ins_next: bool,
    waiting: usize,
}

/// Requesters in the order of their turns, each with its requests in the order of arrival.
#[derive(Default)]
struct Lane {
    order: VecDeque<Asker>,
    requests: HashMap<Asker, VecDeque<oneshot::Sender<HashPermit>>>,
}

/// The permit for one hash. The next hash starts when it is dropped.
pub(crate) struct HashPermit {
    turns: HashScheduler,
    asker: Asker,
    memory: Option<HashMemory>,
}

impl HashScheduler {
    pub(crate) fn new(at_once: usize) -> HashScheduler {
        HashScheduler(Arc::new(Mutex::new(Queue {
            free: at_once.max(1),
            memory: Vec::new(),
            busy: HashSet::new(),
            log_ins: Lane::default(),
            others: Lane::default(),
            log_ins_next: true,
            waiting: 0,
        })))
    }

    /// Queues a request; the permit arrives through the receiver. Returns `None` if too many are already
    /// waiting.
    pub(crate) fn wait(&self, asker: Asker) -> Option<oneshot::Receiver<HashPermit>> {
        let (turn, receiver) = oneshot::channel();
        {
            let mut queue = self.lock();
            if queue.waiting >= WAITING_MAX {
                return None;
            }
            queue.waiting = queue.waiting.saturating_add(1);
            let lane = if asker.is_log_in() { &mut queue.log_ins } else { &mut queue.others };
            lane.push(asker.key(), turn);
        }
        self.give_permits();
        Some(receiver)
    }

    /// Gives free permits to waiting requests.
    fn give_permits(&self) {
        loop {
            // Not while holding the lock: a permit that nobody receives is dropped, which takes the lock
            // itself.
            let Some((waiting, turn)) = self.lock().next(self) else { return };
            // If the requester has hung up, the permit is dropped.
            drop(waiting.send(turn));
        }
    }

    // Invariant: nothing that is done while holding the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn next(&mut self, turns: &HashScheduler) -> Option<(oneshot::Sender<HashPermit>, HashPermit)> {
        if self.free == 0 {
            return None;
        }
        let lanes = match self.log_ins_next {
            true => [(true, &mut self.log_ins), (false, &mut self.others)],
            false => [(false, &mut self.others), (true, &mut self.log_ins)],
        };
        for (is_log_in, lane) in lanes {
            if let Some((asker, waiting)) = lane.pop(&self.busy) {
                self.waiting = self.waiting.saturating_sub(1);
                self.free = self.free.saturating_sub(1);
                self.busy.insert(asker.clone());
                self.log_ins_next = !is_log_in;
                let memory = Some(self.memory.pop().unwrap_or_default());
                return Some((waiting, HashPermit { turns: turns.clone(), asker, memory }));
            }
        }
        None
    }
}

impl Lane {
    fn push(&mut self, asker: Asker, turn: oneshot::Sender<HashPermit>) {
        let requests = self.requests.entry(asker.clone()).or_default();
        if requests.is_empty() {
            self.order.push_back(asker);
        }
        requests.push_back(turn);
    }

    /// Returns the oldest request of the first requester for whom no hash is running.
    fn pop(&mut self, busy: &HashSet<Asker>) -> Option<(Asker, oneshot::Sender<HashPermit>)> {
        let at = self.order.iter().position(|asker| !busy.contains(asker))?;
        let asker = self.order.remove(at)?;
        let requests = self.requests.get_mut(&asker)?;
        let oldest = requests.pop_front();
        if requests.is_empty() {
            self.requests.remove(&asker);
        } else {
            self.order.push_back(asker.clone());
        }
        oldest.map(|oldest| (asker, oldest))
    }
}

impl HashPermit {
    /// Returns the memory for the hash.
    pub(crate) fn memory(&mut self) -> &mut HashMemory {
        self.memory.get_or_insert_default()
    }
}

impl Drop for HashPermit {
    fn drop(&mut self) {
        {
            let mut queue = self.turns.lock();
            queue.free = queue.free.saturating_add(1);
            queue.busy.remove(&self.asker);
            queue.memory.extend(self.memory.take());
        }
        self.turns.give_permits();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn log_in(last: u8) -> Asker {
        Asker::LogIn(Ipv4Addr::new(192, 0, 2, last).into())
    }

    fn account(name: &str) -> Asker {
        Asker::Account(AccountId::from_store(name))
    }

    /// Serves all requests one after another, and returns their order.
    fn order(
        turns: &HashScheduler,
        first: HashPermit,
        mut waiting: Vec<(&'static str, oneshot::Receiver<HashPermit>)>,
    ) -> Vec<&'static str> {
        let mut order = Vec::new();
        drop(first);
        while let Some(at) = waiting.iter_mut().position(|(_, receiver)| !receiver.is_empty()) {
            let (name, mut receiver) = waiting.remove(at);
            order.push(name);
            drop(receiver.try_recv().unwrap());
        }
        let queue = turns.lock();
        assert_eq!((waiting.len(), queue.waiting, queue.free), (0, 0, 1));
        drop(queue);
        order
    }

    #[test]
    fn logins_and_others_take_turns_and_so_do_the_requesters_in_each() {
        let turns = HashScheduler::new(1);
        let first = turns.wait(Asker::Operator).unwrap().try_recv().unwrap();
        let waiting = [
            ("bob 1", account("bob")),
            ("bob 2", account("bob")),
            ("bob 3", account("bob")),
            ("ann", account("ann")),
            ("log-in 1", log_in(1)),
            ("log-in 1 again", log_in(1)),
            ("log-in 2", log_in(2)),
        ];
        let waiting = waiting.map(|(name, asker)| (name, turns.wait(asker).unwrap())).into();
        let expected = ["log-in 1", "bob 1", "log-in 2", "ann", "log-in 1 again", "bob 2", "bob 3"];
        assert_eq!(order(&turns, first, waiting), expected);
    }

    #[test]
    fn a_requester_has_one_hash_at_a_time_even_if_more_could_run() {
        let turns = HashScheduler::new(4);
        let first = turns.wait(account("bob")).unwrap().try_recv().unwrap();
        let mut second = turns.wait(account("bob")).unwrap();
        assert!(second.try_recv().is_err());
        assert!(turns.wait(account("ann")).unwrap().try_recv().is_ok());
        drop(first);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn a_requester_who_hangs_up_is_skipped() {
        let turns = HashScheduler::new(1);
        let first = turns.wait(Asker::Operator).unwrap().try_recv().unwrap();
        drop(turns.wait(account("bob")).unwrap());
        let mut ann = turns.wait(account("ann")).unwrap();
        drop(first);
        assert!(ann.try_recv().is_ok());
    }

    #[test]
    fn a_request_beyond_the_limit_is_refused() {
        let turns = HashScheduler::new(1);
        let _first = turns.wait(Asker::Operator).unwrap().try_recv().unwrap();
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| turns.wait(account("bob")).unwrap()).collect();
        assert!(turns.wait(log_in(1)).is_none());
        drop(waiting);
    }

    #[test]
    fn memory_is_reused() {
        let turns = HashScheduler::new(1);
        for _ in 0..3 {
            drop(turns.wait(Asker::Operator).unwrap().try_recv().unwrap());
        }
        assert_eq!(turns.lock().memory.len(), 1);
    }
}
