//! A lock table for action links.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

use crate::id::Jti;

/// The number of locks. Two links may share one; then one only waits for the other.
const LOCKS: u64 = 64;

/// Locks by jti. Of many clicks on one link at once, only the first hashes a password; the others find the
/// link already used.
pub struct JtiLocks(Vec<Mutex<()>>);

impl Default for JtiLocks {
    fn default() -> JtiLocks {
        JtiLocks((0..LOCKS).map(|_| Mutex::default()).collect())
    }
}

impl JtiLocks {
    /// Waits for the lock of that jti.
    pub async fn lock(&self, jti: Jti) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        jti.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % LOCKS).unwrap_or(0);
        match self.0.get(at) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }
}
