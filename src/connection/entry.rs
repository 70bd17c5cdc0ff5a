//! A connection as the registry sees it, from any thread.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// The listener of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(super) usize);

/// The state that the registry and the connection's worker share.
pub(super) struct ConnectionEntry {
    pub(super) id: u64,
    pub(super) listener: ListenerId,
    /// The peer's address; IPv6: its /64.
    pub(super) near: IpAddr,
    /// The same for IPv4; IPv6: its /48.
    pub(super) wide: IpAddr,
    began: Instant,
    /// Milliseconds from `began` to the time when the last byte moved.
    moved: AtomicU64,
    /// Whether the server is working for the client, so that the client isn't idle.
    working: AtomicBool,
    closing: AtomicBool,
    /// Whether there was no free place when it came, so that it may only request the service's health.
    on_probation: AtomicBool,
    waker: AtomicWaker,
}

impl ConnectionEntry {
    pub(super) fn new(id: u64, listener: ListenerId, near: IpAddr, wide: IpAddr) -> ConnectionEntry {
        ConnectionEntry {
            id,
            listener,
            near,
            wide,
            began: Instant::now(),
            moved: AtomicU64::new(0),
            working: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            on_probation: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Records that a byte moved.
    pub(super) fn touch(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(since, Ordering::Relaxed);
    }

    /// Returns when the last byte moved.
    pub(super) fn moved_at(&self) -> Instant {
        self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    pub(super) fn set_working(&self, working: bool) {
        self.working.store(working, Ordering::Relaxed);
    }

    pub(super) fn is_working(&self) -> bool {
        self.working.load(Ordering::Relaxed)
    }

    pub(super) fn put_on_probation(&self) {
        self.on_probation.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_on_probation(&self) -> bool {
        self.on_probation.load(Ordering::Relaxed)
    }

    /// Tells the connection's worker to close it.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Wakes `waker` when the connection must be closed.
    pub(super) fn on_close(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

#[cfg(test)]
impl ConnectionEntry {
    /// Returns the same connection as if it had been opened at another time.
    pub(super) fn begun(began: Instant, entry: &ConnectionEntry) -> ConnectionEntry {
        let mut aged = ConnectionEntry::new(entry.id, entry.listener, entry.near, entry.wide);
        aged.began = began;
        aged
    }
}
