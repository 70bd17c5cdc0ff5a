//! The views of this node: how many connections send one, how much was sent, and which were revoked.
//!
//! Invariant: a view is entered here before the store is asked whether it was revoked, and a revocation is
//! recorded in the store before it is looked up here. So either the request finds the record, or the
//! revocation finds the view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::clock::Timestamp;
use crate::id::Jti;

/// Maximum number of connections that send one view at once, as for downloads.
const CONNECTIONS_MAX: usize = 16;
/// A view may be sent this many times …
const TIMES_MAX: u64 = 16;
/// … and this much more, in bytes. A player that is looking for a place fetches many pieces of a file.
const MORE: u64 = 64 * 1024 * 1024;

/// The views that may still be sent. Each token that was shown has an entry until it expires.
#[derive(Default)]
pub(crate) struct Views(DashMap<Jti, Arc<View>>);

/// One view.
pub(super) struct View {
    pub(super) jti: Jti,
    expires_at: Timestamp,
    connections: AtomicUsize,
    sent: AtomicU64,
    revoked: AtomicBool,
}

/// A connection that sends a view, or is about to. Ends when dropped.
pub(super) struct Viewing(Arc<View>);

impl Views {
    /// Enters a connection; `None` if there are too many for this view.
    pub(super) fn enter(&self, jti: Jti, expires_at: Timestamp) -> Option<Viewing> {
        let view = self.0.entry(jti).or_insert_with(|| {
            let (connections, sent, revoked) = Default::default();
            Arc::new(View { jti, expires_at, connections, sent, revoked })
        });
        let view = Arc::clone(&view);
        let one_more = |count: usize| (count < CONNECTIONS_MAX).then_some(count + 1);
        let entered = view.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        // Only a connection that was counted may be counted off.
        entered.is_ok().then(|| Viewing(view))
    }

    /// Stops a view.
    pub(crate) fn revoke(&self, jti: Jti) {
        if let Some(view) = self.0.get(&jti) {
            view.revoked.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the jtis of the views that are being sent.
    pub(crate) fn sending(&self) -> Vec<Jti> {
        self.0.iter().filter(|view| view.is_sending()).map(|view| view.jti).collect()
    }

    /// Removes views that expired before this moment and aren't being sent.
    pub(crate) fn purge(&self, before: Timestamp) {
        self.0.retain(|_, view| view.expires_at >= before || view.is_sending());
    }
}

impl View {
    fn is_sending(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 0
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    /// Takes up to `wish` bytes of what may be sent of a file of `size` bytes; zero if it was sent too often.
    pub(super) fn take(&self, wish: u64, size: u64) -> u64 {
        let most = size.saturating_mul(TIMES_MAX).saturating_add(MORE);
        let mut taken = 0;
        let take = |sent: u64| {
            taken = wish.min(most.saturating_sub(sent));
            Some(sent.saturating_add(taken))
        };
        // Always succeeds, because the function always returns a value.
        let _updated = self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken
    }
}

impl std::ops::Deref for Viewing {
    type Target = View;

    fn deref(&self) -> &View {
        &self.0
    }
}

impl Drop for Viewing {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn one_view_has_sixteen_connections_and_a_revocation_reaches_them_all() {
        let views = Views::default();
        let jti = Jti::random().unwrap();
        let held: Vec<_> = (0..CONNECTIONS_MAX).map(|_| views.enter(jti, NOW).unwrap()).collect();
        assert!(views.enter(jti, NOW).is_none());
        assert!(views.enter(Jti::random().unwrap(), NOW).is_some(), "another view");
        assert_eq!(views.sending(), [jti]);
        assert!(!held[0].is_revoked());
        views.revoke(jti);
        assert!(held.iter().all(|viewing| viewing.is_revoked()));
        drop(held);
        assert!(views.enter(jti, NOW).unwrap().is_revoked(), "and those that come later");
    }

    #[test]
    fn a_view_is_remembered_until_it_expires_and_is_not_sent_any_more() {
        let views = Views::default();
        let jti = Jti::random().unwrap();
        let viewing = views.enter(jti, NOW).unwrap();
        assert_eq!(viewing.take(u64::MAX, 1), TIMES_MAX + MORE);
        assert_eq!(viewing.take(1, 1), 0);
        let later = Timestamp::from_secs(NOW.secs() + 1);
        views.purge(later);
        drop(viewing);
        assert_eq!(views.enter(jti, NOW).unwrap().take(1, 1), 0, "the same view");
        views.purge(NOW);
        assert_eq!(views.0.len(), 1);
        views.purge(later);
        assert_eq!(views.0.len(), 0);
    }
}
