//! All counters, and the keys that identify what they count.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::{ApiSettings, LinkSettings};
use crate::reloadable::Reloadable;
use crate::secret::Digest;
use crate::web::throttle::counter::{BackoffRule, Bucket, Counter, Expiring, Throttled};
use crate::web::throttle::table::Table;

/// How many times as much as a single neighborhood the network around it may do.
pub(super) const WIDER: u32 = 4;

/// How long an address or browser counts as one of the owner's.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The digest of what is counted, which may have any length and content.
pub(super) type Key = [u8; 32];

/// All counters. Clones share them.
#[derive(Clone)]
pub struct Throttle(pub(super) Arc<Counters>);

pub(super) struct Counters {
    pub(super) links: Reloadable<LinkSettings>,
    pub(super) accounts: Table<Key, Counter>,
    pub(super) addresses: Table<IpAddr, Counter>,
    pub(super) mailboxes: Table<Key, Counter>,
    pub(super) requests: Table<IpAddr, Counter>,
    /// Presses of a link, by link and network.
    pub(super) presses: Table<(Key, IpAddr), Bucket>,
    /// What one account or link may still cause.
    pub(super) budgets: Table<Key, Bucket>,
    /// API keys that were looked up and don't exist, by network.
    pub(super) unknown_keys: Table<IpAddr, Bucket>,
    /// Requests of API keys …
    pub(super) api: Table<Key, Bucket>,
    /// … of which each may send so many in a minute.
    pub(super) api_requests: AtomicU32,
    /// From which networks an account or link was used successfully, and when last.
    pub(super) known: Table<(Key, IpAddr), Seen>,
    /// The same, by browser.
    pub(super) known_browsers: Table<(Key, Key), Seen>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Seen(pub(super) Timestamp);

impl Expiring for Seen {
    fn last_at(&self) -> Timestamp {
        self.0
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.0.plus(KNOWN_FOR)
    }
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle::new(&LinkSettings::default())
    }
}

impl Throttle {
    /// Creates counters with the limits in the settings.
    pub fn new(links: &LinkSettings) -> Throttle {
        Throttle(Arc::new(Counters {
            links: Reloadable::new(links.clone()),
            accounts: Table::default(),
            addresses: Table::default(),
            mailboxes: Table::default(),
            requests: Table::default(),
            presses: Table::default(),
            budgets: Table::default(),
            unknown_keys: Table::default(),
            api: Table::default(),
            api_requests: AtomicU32::new(ApiSettings::default().requests),
            known: Table::default(),
            known_browsers: Table::default(),
        }))
    }

    /// Changes the limits. What was counted so far stays counted.
    pub fn set_limits(&self, links: &LinkSettings) {
        self.0.links.replace(links.clone());
    }

    /// Drops counters that no longer have any effect.
    pub fn prune(&self, now: Timestamp) {
        self.0.mailboxes.prune(now);
        self.0.requests.prune(now);
        self.0.accounts.prune(now);
        self.0.addresses.prune(now);
        self.0.presses.prune(now);
        self.0.budgets.prune(now);
        self.0.unknown_keys.prune(now);
        self.0.api.prune(now);
        self.0.known.prune(now);
        self.0.known_browsers.prune(now);
    }
}

/// Counts an attempt for a neighborhood and for the network around it.
pub(super) fn count(
    table: &Table<IpAddr, Counter>,
    rule: BackoffRule,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), Throttled> {
    for (net, times) in networks(address).into_iter().zip([1, WIDER]) {
        let rule = BackoffRule { free: rule.free.saturating_mul(times), ..rule };
        table.with(net, now, |counter| counter.count(rule, now))?;
    }
    Ok(())
}

/// Returns a neighborhood, and for IPv6 also the /48 around it. The last bit distinguishes the two if they
/// have the same first address.
pub(super) fn networks(neighbourhood: IpAddr) -> Vec<IpAddr> {
    match neighbourhood {
        IpAddr::V4(_) => vec![neighbourhood],
        IpAddr::V6(address) => {
            let wider = (address.to_bits() & (u128::MAX << 80)) | 1;
            vec![neighbourhood, Ipv6Addr::from_bits(wider).into()]
        }
    }
}

pub(super) fn key(what: &str, name: &str) -> Key {
    *Digest::of(format!("{what}\n{name}").as_bytes()).as_bytes()
}

/// Returns a time, for tests.
#[cfg(test)]
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + seconds)
}

/// Parses an address, for tests.
#[cfg(test)]
pub(super) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
