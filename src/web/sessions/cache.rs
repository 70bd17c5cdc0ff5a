//! Cached sessions, each with the time of its last use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::accounts::changes::ChangeNumber;
use crate::web::sessions::session::{Session, SessionLifetimes};

/// Maximum number of cached sessions; a new one then evicts those that were used least recently.
const MAX_CACHED: usize = 250_000;

/// The cached sessions. Clones share their state.
#[derive(Clone, Default)]
pub(super) struct Cache(Arc<DashMap<[u8; 32], Arc<Cached>>>);

/// A session as it was read.
pub(super) struct Cached {
    pub(super) session: Session,
    pub(super) generation: ChangeNumber,
    last_seen: AtomicU64,
    /// The time of last use that is stored in the database.
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

    /// Removes sessions that have expired.
    pub(super) fn prune(&self, ends: &SessionLifetimes, now: Timestamp) {
        self.0.retain(|_, cached| !cached.has_ended(ends, now));
    }

    /// Removes the half that was used least recently. This is rare, and costs each of those sessions one
    /// read.
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
    /// Creates a cached session. `written` is the time of last use in the database; `outdated`, an earlier
    /// cached version of the session, may know a later one.
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

    /// Returns whether the session has expired.
    pub(super) fn has_ended(&self, ends: &SessionLifetimes, now: Timestamp) -> bool {
        let last_seen = Timestamp::from_secs(self.last_seen.load(Ordering::Relaxed));
        ends.is_over(self.session.remembered, self.session.created_at, last_seen, now)
    }

    /// Records a use, and returns whether it should be written to the database. That is the case at most once
    /// in `step`, and for only one of many simultaneous requests.
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
