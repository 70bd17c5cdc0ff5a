//! Waits briefly for news of a download before a press of the button is decided. A program that retries right
//! after an interruption comes before the download service has reported the interruption.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client_address::neighbourhood;
use crate::clock::Timestamp;
use crate::web::links::progress::{BegunDownload, DownloadProgress, LeaseRules};

/// How long a request waits at most …
pub const LONGEST: Duration = Duration::from_secs(2);
/// … and how often it checks meanwhile.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Maximum number of requests that wait at the same time …
const AT_ONCE: usize = 64;
/// … and how many of them from one client. Requests above that are decided immediately.
const PER_CLIENT: u32 = 8;

/// News of a token that was issued longer ago than this has already arrived, unless the download service is
/// unreachable.
const NEWS_WITHIN: Duration = Duration::from_secs(10);

/// Limits how many requests wait. Clones share the limit.
#[derive(Clone)]
pub struct LongPolls {
    all: Arc<Semaphore>,
    clients: Arc<DashMap<IpAddr, u32>>,
}

impl Default for LongPolls {
    fn default() -> LongPolls {
        LongPolls { all: Arc::new(Semaphore::new(AT_ONCE)), clients: Arc::default() }
    }
}

impl LongPolls {
    /// Reserves a place for a client at `address`; `None` if too many are waiting.
    pub fn begin(&self, address: IpAddr) -> Option<LongPoll> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let client = neighbourhood(address);
        let mut waiting = self.clients.entry(client).or_insert(0);
        if *waiting >= PER_CLIENT {
            return None;
        }
        *waiting += 1;
        Some(LongPoll { clients: Arc::clone(&self.clients), client, _permit: permit })
    }
}

/// A request that waits. Dropping this frees its place.
pub struct LongPoll {
    clients: Arc<DashMap<IpAddr, u32>>,
    client: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Drop for LongPoll {
    fn drop(&mut self) {
        if let Some(mut waiting) = self.clients.get_mut(&self.client) {
            *waiting = waiting.saturating_sub(1);
        }
        self.clients.remove_if(&self.client, |_, waiting| *waiting == 0);
    }
}

/// Whether news may arrive that changes the result of a program's request: a running download may turn out
/// to be interrupted. If no use is left, a token that was just issued may also turn out to be redeemed.
pub fn may_change(begun: &[BegunDownload], none_left: bool, rules: &LeaseRules, now: Timestamp) -> bool {
    let mut runs = false;
    for one in begun {
        match one.progress(rules, now) {
            DownloadProgress::Interrupted => return false,
            DownloadProgress::Running => runs = true,
            DownloadProgress::Unredeemed => runs |= none_left && one.issued_at.plus(NEWS_WITHIN) > now,
            DownloadProgress::Whole | DownloadProgress::Over => {}
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_of_places_and_returns_each() {
        let patience = LongPolls::default();
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let turns: Vec<_> = (0..8).map_while(|_| patience.begin(address(1))).collect();
        assert_eq!(turns.len(), 8);
        assert!(patience.begin(address(1)).is_none(), "its share is used");
        assert!(patience.begin(address(2)).is_some(), "that of others is not");
        drop(turns);
        assert!(patience.begin(address(1)).is_some());
        assert!(patience.clients.is_empty(), "nothing is kept of those who left");
        let all: Vec<_> = (0..=255).map_while(|last| patience.begin(address(last))).collect();
        assert_eq!(all.len(), AT_ONCE);
    }
}
