//! The in-memory index: which jtis are recorded, and where their records are.
//!
//! It decides which claim is first: a claim is one insert under the lock of one shard. Exact, never
//! probabilistic. About 45 bytes for each settled jti.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::used_tokens::UsedToken;

/// Enough that growing one shard with ten million jtis in total takes about a millisecond.
const SHARDS: usize = 256;

/// Where the record of a jti is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordLocation {
    /// Not recorded.
    Nowhere,
    /// In the journal, or about to be; with the record.
    Journal(UsedToken),
    /// In this block of the database.
    Block(u32),
}

/// All recorded jtis.
pub(super) struct JtiIndex {
    shards: Box<[Mutex<IndexShard>]>,
}

/// A part of the index; a jti is always in the same part.
#[derive(Default)]
pub(super) struct IndexShard {
    settled: HashMap<Jti, u32, BuildHasherDefault<JtiHasher>>,
    /// Records that aren't in the database yet; they override `settled`.
    recent: HashMap<Jti, Recent, BuildHasherDefault<JtiHasher>>,
}

struct Recent {
    ticket: u64,
    used: UsedToken,
}

impl JtiIndex {
    pub(super) fn new() -> JtiIndex {
        JtiIndex { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Makes room for `count` settled jtis at once, which wastes less memory than growing.
    pub(super) fn reserve(&self, count: u64) {
        let share = usize::try_from(count / SHARDS as u64).unwrap_or(0);
        for shard in &self.shards {
            // Shards differ by a few jtis; some extra room keeps those above the average from growing.
            shard.lock().unwrap_or_else(PoisonError::into_inner).settled.reserve(share + share / 32);
        }
    }

    /// Locks the shard of `jti`.
    pub(super) fn shard(&self, jti: Jti) -> MutexGuard<'_, IndexShard> {
        let [.., last] = *jti.as_bytes();
        match self.shards.get(usize::from(last)) {
            Some(shard) => shard.lock().unwrap_or_else(PoisonError::into_inner),
            None => unreachable!("there is a shard for every byte"),
        }
    }

    /// Returns the number of jtis. One whose record is being replaced counts twice.
    pub(super) fn len(&self) -> usize {
        let count = |shard: &Mutex<IndexShard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.settled.len() + shard.recent.len()
        };
        self.shards.iter().map(count).sum()
    }

    /// Returns whether a record that isn't in the database yet may be purged at `now`.
    pub(super) fn journal_holds_due(&self, now: Timestamp) -> bool {
        self.shards.iter().any(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.recent.values().any(|recent| recent.used.forget_at <= now)
        })
    }
}

impl IndexShard {
    pub(super) fn location(&self, jti: Jti) -> RecordLocation {
        match (self.recent.get(&jti), self.settled.get(&jti)) {
            (Some(recent), _) => RecordLocation::Journal(recent.used),
            (None, Some(block)) => RecordLocation::Block(*block),
            (None, None) => RecordLocation::Nowhere,
        }
    }

    /// Adds a record that goes to the journal; `ticket` is its order.
    pub(super) fn put_recent(&mut self, ticket: u64, used: UsedToken) {
        self.recent.insert(used.jti, Recent { ticket, used });
    }

    /// Records that the record with this ticket is durably in the database.
    pub(super) fn settle(&mut self, jti: Jti, ticket: u64, block: u32) {
        self.settled.insert(jti, block);
        // A revocation may have come since. It has a later ticket and is settled later.
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

    /// Records that block `block` no longer contains `jti`. Returns whether that removes the jti.
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

/// A jti is random, so its first bytes are its hash.
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
