//! The index in memory: which jtis are on record, and where their records are.
//!
//! It decides who is first: a claim is one insert under the lock of one shard. Exact, never
//! probabilistic. About 45 bytes for each settled jti.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::used_tokens::UsedToken;

/// So many that growing one shard of ten million jtis takes about a millisecond.
const SHARDS: usize = 256;

/// Where the record of a jti is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not on record.
    Nowhere,
    /// In the journal, or on its way there; here it is.
    Journal(UsedToken),
    /// In this block of the database.
    Block(u32),
}

/// All jtis on record.
pub(super) struct Index {
    shards: Box<[Mutex<Shard>]>,
}

/// A part of the index; a jti is always in the same one.
#[derive(Default)]
pub(super) struct Shard {
    settled: HashMap<Jti, u32, BuildHasherDefault<JtiHasher>>,
    /// Records that are not in the database yet; they go before `settled`.
    recent: HashMap<Jti, Recent, BuildHasherDefault<JtiHasher>>,
}

struct Recent {
    ticket: u64,
    used: UsedToken,
}

impl Index {
    pub(super) fn new() -> Index {
        Index { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Makes room for `count` settled jtis at once, which leaves less behind than growing to it.
    pub(super) fn reserve(&self, count: u64) {
        let share = usize::try_from(count / SHARDS as u64).unwrap_or(0);
        for shard in &self.shards {
            // Shards differ by a few jtis; some room spares those above the average from growing.
            shard.lock().unwrap_or_else(PoisonError::into_inner).settled.reserve(share + share / 32);
        }
    }

    /// Locks the shard of `jti`.
    pub(super) fn shard(&self, jti: Jti) -> MutexGuard<'_, Shard> {
        let [.., last] = *jti.as_bytes();
        match self.shards.get(usize::from(last)) {
            Some(shard) => shard.lock().unwrap_or_else(PoisonError::into_inner),
            None => unreachable!("there is a shard for every byte"),
        }
    }

    /// Whether a record that is not in the database yet may be forgotten at `now`.
    pub(super) fn journal_holds_due(&self, now: Timestamp) -> bool {
        self.shards.iter().any(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.recent.values().any(|recent| recent.used.forget_at <= now)
        })
    }
}

impl Shard {
    pub(super) fn place(&self, jti: Jti) -> Place {
        match (self.recent.get(&jti), self.settled.get(&jti)) {
            (Some(recent), _) => Place::Journal(recent.used),
            (None, Some(block)) => Place::Block(*block),
            (None, None) => Place::Nowhere,
        }
    }

    /// A record goes to the journal; `ticket` says in which order.
    pub(super) fn put_recent(&mut self, ticket: u64, used: UsedToken) {
        self.recent.insert(used.jti, Recent { ticket, used });
    }

    /// The record with this ticket has come to the database, durably.
    pub(super) fn settle(&mut self, jti: Jti, ticket: u64, block: u32) {
        self.settled.insert(jti, block);
        // A revocation may have come since; it has a later ticket and is settled in its turn.
        if self.recent.get(&jti).is_some_and(|recent| recent.ticket == ticket) {
            self.recent.remove(&jti);
        }
        if self.recent.is_empty() && self.recent.capacity() > 64 {
            self.recent.shrink_to(16);
        }
    }

    pub(super) fn is_settled_in(&self, jti: Jti, block: u32) -> bool {
        self.settled.get(&jti) == Some(&block)
    }

    /// Block `block` no longer holds `jti`; answers whether that forgets the jti.
    pub(super) fn forget(&mut self, jti: Jti, block: u32) -> bool {
        if self.settled.get(&jti) != Some(&block) {
            return false;
        }
        self.settled.remove(&jti);
        if self.settled.len() < self.settled.capacity() / 8 {
            self.settled.shrink_to(self.settled.len().saturating_mul(2));
        }
        !self.recent.contains_key(&jti)
    }
}

/// A jti is random already: its first bytes are its hash.
#[derive(Default)]
struct JtiHasher(u64);

impl Hasher for JtiHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
