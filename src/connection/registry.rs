//! All connections of this process: how many each client has, how much memory each holds, and which one is
//! closed if there are too many or they hold too much.
//!
//! There is no limit per address while there is room. When the listener is full, the address with the most
//! connections gives way; otherwise new clients would suffer from one with thousands of connections. Behind a
//! proxy, the address is the proxy's, and its longest idle connection gives way.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::client_address::{neighbourhood, site};
use crate::connection::entry::{ConnectionEntry, ListenerId};

/// Idle connections are collected in batches and closed one by one as places are needed, so that each new
/// connection in a flood doesn't have to search all of them.
const VICTIMS_AT_ONCE: usize = 64;
/// Connections beyond the limit, for health checks.
const ON_PROBATION: usize = 64;
/// A /48 counts as much as a /64 with a quarter of its connections.
const SITE_WEIGHT: usize = 4;
/// Minimum time between log lines about a full listener.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The connections of this process. Clones share them.
#[derive(Clone)]
pub struct Connections {
    shared: Arc<Mutex<State>>,
}

struct State {
    next: u64,
    settled: Duration,
    memory_max: usize,
    /// Memory that all connections hold, in bytes.
    held: usize,
    open: HashMap<u64, ConnectionMember>,
    listeners: Vec<Listener>,
}

struct ConnectionMember {
    entry: Arc<ConnectionEntry>,
    held: usize,
}

struct Listener {
    max: usize,
    open: usize,
    near: HashMap<IpAddr, usize>,
    /// Only for IPv6 addresses is the site larger than the neighborhood.
    sites: HashMap<IpAddr, usize>,
    /// The next connections to close, the longest idle one last, each with the time of its last byte.
    victims: Vec<(Instant, Arc<ConnectionEntry>)>,
    on_probation: VecDeque<u64>,
    logged: Option<Instant>,
}

/// An address or network with all its connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AddressGroup {
    Near(IpAddr),
    Site(IpAddr),
}

impl AddressGroup {
    fn has(self, entry: &ConnectionEntry) -> bool {
        match self {
            AddressGroup::Near(address) => entry.near == address,
            AddressGroup::Site(address) => entry.wide == address,
        }
    }

    const fn address(self) -> IpAddr {
        match self {
            AddressGroup::Near(address) | AddressGroup::Site(address) => address,
        }
    }
}

impl Connections {
    /// Returns how many connections are open, and how many bytes are held for them.
    pub fn figures(&self) -> (usize, usize) {
        let state = self.lock();
        (state.open.len(), state.held)
    }

    /// Creates an empty registry for connections that may hold `memory_max` bytes in all. A new one doesn't
    /// displace one from its own address that moved a byte within `settled`.
    pub fn new(memory_max: u64, settled: Duration) -> Connections {
        let state = State {
            next: 0,
            settled,
            memory_max: usize::try_from(memory_max).unwrap_or(usize::MAX),
            held: 0,
            open: HashMap::new(),
            listeners: Vec::new(),
        };
        Connections { shared: Arc::new(Mutex::new(state)) }
    }

    /// Adds a listener for at most `max` connections.
    pub fn listener(&self, max: usize) -> ListenerId {
        let mut state = self.lock();
        state.listeners.push(Listener {
            max,
            open: 0,
            near: HashMap::new(),
            sites: HashMap::new(),
            victims: Vec::new(),
            on_probation: VecDeque::new(),
            logged: None,
        });
        ListenerId(state.listeners.len().saturating_sub(1))
    }

    /// Takes a place for an accepted connection. If the listener is full, another connection is closed; if that
    /// isn't possible, the new one may only request the service's health.
    pub(super) fn enter(&self, listener: ListenerId, peer: Option<IpAddr>) -> Arc<ConnectionEntry> {
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (near, wide) = (neighbourhood(peer), site(peer));
        let mut state = self.lock();
        let id = state.next;
        state.next = id.wrapping_add(1);
        let entry = Arc::new(ConnectionEntry::new(id, listener, near, wide));
        state.open.insert(id, ConnectionMember { entry: Arc::clone(&entry), held: 0 });
        let is_over = state.listeners.get_mut(listener.0).is_some_and(|listener| {
            listener.count(&entry);
            listener.open > listener.max
        });
        if is_over {
            state.make_place(&entry);
        }
        entry
    }

    /// Gives a connection's place back.
    pub(super) fn leave(&self, entry: &ConnectionEntry) {
        self.lock().remove(entry.id);
    }

    /// Records that a connection holds `bytes` more. If the total exceeds the limit, the address that holds
    /// the most gives way. Returns whether `entry` may keep them.
    pub(super) fn hold(&self, entry: &ConnectionEntry, bytes: usize) -> bool {
        let mut state = self.lock();
        let Some(member) = state.open.get_mut(&entry.id) else { return false };
        member.held = member.held.saturating_add(bytes);
        state.held = state.held.saturating_add(bytes);
        while state.held > state.memory_max {
            match state.largest_holder().filter(|greedy| greedy.id != entry.id) {
                Some(greedy) => state.close(&greedy),
                None => {
                    state.release(entry.id, bytes);
                    return false;
                }
            }
        }
        true
    }

    /// Gives back what [`Connections::hold`] recorded.
    pub(super) fn release(&self, entry: &ConnectionEntry, bytes: usize) {
        self.lock().release(entry.id, bytes);
    }

    /// Returns how many connections a listener has.
    pub fn open(&self, listener: ListenerId) -> usize {
        self.lock().listeners.get(listener.0).map_or(0, |listener| listener.open)
    }

    /// Returns how many bytes all connections hold.
    pub fn held(&self) -> usize {
        self.lock().held
    }

    // Invariant: nothing under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_place(&mut self, newcomer: &Arc<ConnectionEntry>) {
        let settled = self.settled;
        let State { open, listeners, .. } = self;
        let Some(listener) = listeners.get_mut(newcomer.listener.0) else { return };
        while let Some((moved, victim)) = listener.victims.pop() {
            let is_still_idle = open.contains_key(&victim.id)
                && victim.moved_at() == moved
                && !victim.is_working()
                && !victim.is_on_probation();
            if is_still_idle {
                return self.close(&victim);
            }
        }
        let crowd = listener.address_group();
        let idle = |member: &&ConnectionMember| {
            member.entry.listener == newcomer.listener
                && member.entry.id != newcomer.id
                && crowd.is_some_and(|crowd| crowd.has(&member.entry))
                && !member.entry.is_working()
                && !member.entry.is_on_probation()
        };
        let mut idle: Vec<(Instant, Arc<ConnectionEntry>)> = open
            .values()
            .filter(idle)
            .map(|member| (member.entry.moved_at(), Arc::clone(&member.entry)))
            .collect();
        idle.sort_unstable_by_key(|(moved, _)| std::cmp::Reverse(*moved));
        listener.log_full(crowd, idle.len());
        let is_own = crowd.is_some_and(|crowd| crowd.has(newcomer));
        match idle.pop() {
            Some((moved, victim)) if !is_own || moved.elapsed() >= settled => {
                // Few at a time, because another address may have the most connections before they are used
                // up.
                let most = VICTIMS_AT_ONCE.min(idle.len() / 16);
                let is_settled = |(moved, _): &(Instant, Arc<ConnectionEntry>)| moved.elapsed() >= settled;
                let from = idle.len().saturating_sub(most);
                listener.victims = idle.split_off(from).into_iter().filter(is_settled).collect();
                self.close(&victim);
            }
            _ => self.put_on_probation(newcomer),
        }
    }

    fn put_on_probation(&mut self, newcomer: &ConnectionEntry) {
        newcomer.put_on_probation();
        let Some(listener) = self.listeners.get_mut(newcomer.listener.0) else { return };
        listener.on_probation.push_back(newcomer.id);
        if listener.on_probation.len() > ON_PROBATION
            && let Some(oldest) = listener.on_probation.pop_front()
            && let Some(oldest) = self.open.get(&oldest).map(|member| Arc::clone(&member.entry))
        {
            self.close(&oldest);
        }
    }

    /// Returns the longest idle connection that holds memory, of the address that holds the most.
    fn largest_holder(&self) -> Option<Arc<ConnectionEntry>> {
        let holders = || self.open.values().filter(|member| member.held > 0);
        let mut sums: HashMap<IpAddr, usize> = HashMap::new();
        for member in holders() {
            *sums.entry(member.entry.near).or_default() += member.held;
        }
        let (most, _) = sums.into_iter().max_by_key(|(_, held)| *held)?;
        let entries = holders().map(|member| &member.entry).filter(|entry| entry.near == most);
        entries.min_by_key(|entry| (entry.is_working(), entry.moved_at())).cloned()
    }

    /// Tells a connection to close. Its place and its memory count as free from now on.
    fn close(&mut self, entry: &ConnectionEntry) {
        self.remove(entry.id);
        entry.close();
    }

    fn remove(&mut self, id: u64) {
        let Some(member) = self.open.remove(&id) else { return };
        self.held = self.held.saturating_sub(member.held);
        if let Some(listener) = self.listeners.get_mut(member.entry.listener.0) {
            listener.discount(&member.entry);
        }
    }

    fn release(&mut self, id: u64, bytes: usize) {
        if let Some(member) = self.open.get_mut(&id) {
            let bytes = bytes.min(member.held);
            member.held -= bytes;
            self.held = self.held.saturating_sub(bytes);
        }
    }
}

impl Listener {
    fn count(&mut self, entry: &ConnectionEntry) {
        self.open = self.open.saturating_add(1);
        *self.near.entry(entry.near).or_default() += 1;
        if entry.near != entry.wide {
            *self.sites.entry(entry.wide).or_default() += 1;
        }
    }

    fn discount(&mut self, entry: &ConnectionEntry) {
        self.open = self.open.saturating_sub(1);
        decrease(&mut self.near, entry.near);
        if entry.near != entry.wide {
            decrease(&mut self.sites, entry.wide);
        }
        if entry.is_on_probation() {
            self.on_probation.retain(|id| *id != entry.id);
        }
    }

    /// Returns the address with the most connections.
    fn address_group(&self) -> Option<AddressGroup> {
        let near = self.near.iter().map(|(address, count)| (*count, AddressGroup::Near(*address)));
        let sites =
            self.sites.iter().map(|(address, count)| (count / SITE_WEIGHT, AddressGroup::Site(*address)));
        near.chain(sites).max_by_key(|(count, _)| *count).map(|(_, crowd)| crowd)
    }

    fn log_full(&mut self, crowd: Option<AddressGroup>, idle: usize) {
        let now = Instant::now();
        if self.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_EVERY) {
            self.logged = Some(now);
            let address = crowd.map(|crowd| tracing::field::display(crowd.address()));
            tracing::warn!(
                address,
                idle,
                max = self.max,
                "a listener is full; closing connections of the address with the most"
            );
        }
    }
}

fn decrease(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
