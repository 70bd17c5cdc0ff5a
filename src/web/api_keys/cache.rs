//! Cached keys, each with the time at which its use was last recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::accounts::changes::ChangeNumber;
use crate::web::api_keys::key::ApiKey;

/// Maximum number of cached keys; the cache begins anew beyond that.
const CACHED_MAX: usize = 250_000;

/// How accurately the last use of a key is recorded, in seconds.
const USE_STEP: u64 = 60;

/// The cached keys. Clones share their state.
#[derive(Clone, Default)]
pub(super) struct KeyCache(Arc<DashMap<[u8; 32], Arc<CachedKey>>>);

/// A key as it was read.
pub(super) struct CachedKey {
    pub(super) key: Arc<ApiKey>,
    pub(super) read_at: ChangeNumber,
    /// When a use was last recorded.
    recorded_at: AtomicU64,
}

impl KeyCache {
    pub(super) fn find(&self, digest: &Digest) -> Option<Arc<CachedKey>> {
        self.0.get(digest.as_bytes()).map(|cached| Arc::clone(&cached))
    }

    pub(super) fn insert(&self, digest: &Digest, cached: Arc<CachedKey>) {
        if self.0.len() >= CACHED_MAX {
            // Rare, and costs each key that is used again one read.
            self.0.clear();
        }
        self.0.insert(*digest.as_bytes(), cached);
    }

    pub(super) fn remove(&self, digest: &Digest) {
        self.0.remove(digest.as_bytes());
    }

    /// Removes keys that have expired.
    pub(super) fn prune(&self, now: Timestamp) {
        self.0.retain(|_, cached| !cached.key.has_ended(now));
    }
}

impl CachedKey {
    /// Creates a cached key whose use was last recorded at `recorded`.
    pub(super) fn new(key: ApiKey, read_at: ChangeNumber, recorded: Option<Timestamp>) -> CachedKey {
        let recorded_at = AtomicU64::new(recorded.map_or(0, Timestamp::secs));
        CachedKey { key: Arc::new(key), read_at, recorded_at }
    }

    /// Returns whether a use at `now` is to be recorded: at most once a minute, and for only one of many simultaneous
    /// requests.
    pub(super) fn is_worth_recording(&self, now: Timestamp) -> bool {
        let recorded = self.recorded_at.load(Ordering::Relaxed);
        now.secs() >= recorded.saturating_add(USE_STEP)
            && self
                .recorded_at
                .compare_exchange(recorded, now.secs(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }
}
