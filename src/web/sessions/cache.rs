//! Sessions in memory, each with the moment of its last use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::accounts::changes::ChangeNumber;
use crate::web::sessions::session::{Session, SessionLifetimes};

/// Most sessions in memory; beyond that a new one takes the place of one that was not used lately.
const MAX_CACHED: usize = 250_000;

/// What was read of sessions. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Cache(Arc<DashMap<[u8; 32], Arc<Cached>>>);

/// A session as it was read.
pub(super) struct Cached {
    pub(super) session: Session,
    pub(super) generation: ChangeNumber,
    last_seen: AtomicU64,
    /// What the database has as the moment of last use.
    last_written: AtomicU64,
}

impl Cache {
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Cached>> {
        self.0.get(digest.as_bytes()).map(|cached| Arc::clone(&cached))
    }

    pub(super) fn insert(&self, cached: Arc<Cached>) {
        if self.0.len() >= MAX_CACHED {
            self.make_room();
        }
        self.0.insert(*cached.session.digest.as_bytes(), cached);
    }

    pub(super) fn remove(&self, digest: &Digest) {
        self.0.remove(digest.as_bytes());
    }

    /// Forgets sessions that have ended by themselves.
    pub(super) fn prune(&self, ends: &SessionLifetimes, now: Timestamp) {
        self.0.retain(|_, cached| !cached.has_ended(ends, now));
    }

    /// Drops the half that was used least lately. Rare, and it costs those sessions one read each.
    fn make_room(&self) {
        let mut seen: Vec<u64> =
            self.0.iter().map(|cached| cached.last_seen.load(Ordering::Relaxed)).collect();
        let middle = seen.len() / 2;
        let (_, limit, _) = seen.select_nth_unstable(middle);
        let limit = *limit;
        self.0.retain(|_, cached| cached.last_seen.load(Ordering::Relaxed) > limit);
    }
}

impl Cached {
    /// A session of which the database has `written` as the moment of last use, unless `outdated`, an earlier
    /// reading of it, knows of a later one.
    pub(super) fn new(
        session: Session,
        generation: ChangeNumber,
        written: Timestamp,
        outdated: Option<&Cached>,
    ) -> Cached {
        let seen = outdated.map_or(0, |cached| cached.last_seen.load(Ordering::Relaxed));
        Cached {
            session,
            generation,
            last_seen: AtomicU64::new(written.secs().max(seen)),
            last_written: AtomicU64::new(written.secs()),
        }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self, ends: &SessionLifetimes, now: Timestamp) -> bool {
        let last_seen = Timestamp::from_secs(self.last_seen.load(Ordering::Relaxed));
        ends.is_over(self.session.remembered, self.session.created_at, last_seen, now)
    }

    /// Counts a use. Returns whether it is to be written to the database: of many requests at once, the one
    /// that moves the mark writes, and it moves after `step`.
    pub(super) fn note_use(&self, step: Duration, now: Timestamp) -> bool {
        self.last_seen.fetch_max(now.secs(), Ordering::Relaxed);
        let written = self.last_written.load(Ordering::Relaxed);
        now.secs() >= written.saturating_add(step.as_secs().max(1))
            && self
                .last_written
                .compare_exchange(written, now.secs(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }
}
