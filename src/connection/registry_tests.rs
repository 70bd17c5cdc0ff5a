use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::*;

fn v4(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

/// The `network`th /64 of a /48.
fn v6(site: u16, network: u16) -> Option<IpAddr> {
    Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 1)))
}

fn is_closing(entries: &[Arc<ConnectionEntry>]) -> Vec<bool> {
    entries.iter().map(|entry| entry.is_closing()).collect()
}

/// As if it had been idle for so long, when it moved its last byte.
fn idle_for(
    connections: &Connections,
    listener: ListenerId,
    peer: Option<IpAddr>,
    idle: u64,
) -> Arc<ConnectionEntry> {
    let entry = connections.enter(listener, peer);
    let began = Instant::now().checked_sub(Duration::from_secs(idle)).unwrap();
    let aged = Arc::new(ConnectionEntry::begun(began, &entry));
    connections.lock().open.get_mut(&entry.id).unwrap().entry = Arc::clone(&aged);
    aged
}

#[test]
fn nobody_gives_way_while_there_is_room() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(100);
    let all: Vec<_> = (0..100).map(|_| connections.enter(listener, v4(1))).collect();
    assert_eq!(connections.open(listener), 100);
    assert!(all.iter().all(|entry| !entry.is_closing() && !entry.is_on_probation()));
}

#[test]
fn the_longest_idle_connection_of_the_address_with_most_gives_way() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(4);
    let few = idle_for(&connections, listener, v4(1), 500);
    let many: Vec<_> = [10, 30, 20].map(|idle| idle_for(&connections, listener, v4(2), idle)).to_vec();
    let newcomer = connections.enter(listener, v4(3));
    assert_eq!(is_closing(&many), [false, true, false]);
    assert!(!few.is_closing() && !newcomer.is_closing() && !newcomer.is_on_probation());
    assert_eq!(connections.open(listener), 4);
    // Other listeners have places of their own.
    let other = connections.listener(1);
    assert!(!connections.enter(other, v4(2)).is_on_probation());
    assert_eq!(is_closing(&many), [false, true, false]);
}

#[test]
fn a_connection_that_the_server_works_for_is_not_idle() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(2);
    let at_work = idle_for(&connections, listener, v4(2), 90);
    at_work.set_working(true);
    let idle = idle_for(&connections, listener, v4(2), 5);
    connections.enter(listener, v4(3));
    assert!(idle.is_closing() && !at_work.is_closing());
    // Nobody is idle any more: the next one may ask for the service's health, and no more.
    let newcomer = connections.enter(listener, v4(2));
    assert!(newcomer.is_on_probation() && !at_work.is_closing());
}

#[test]
fn a_newcomer_does_not_push_out_what_its_own_address_just_began() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(3);
    let moving: Vec<_> = (0..3).map(|_| connections.enter(listener, v4(1))).collect();
    assert!(connections.enter(listener, v4(1)).is_on_probation());
    assert_eq!(is_closing(&moving), [false; 3]);
    // Somebody else does: the address has its share many times over.
    let stranger = connections.enter(listener, v4(2));
    assert!(!stranger.is_on_probation());
    assert_eq!(is_closing(&moving).iter().filter(|closing| **closing).count(), 1);
}

#[test]
fn those_on_probation_are_few() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(1);
    let first = connections.enter(listener, v4(1));
    let late: Vec<_> = (0..ON_PROBATION + 5).map(|_| connections.enter(listener, v4(1))).collect();
    assert!(!first.is_closing());
    let closed = is_closing(&late).iter().filter(|closing| **closing).count();
    assert_eq!((closed, late[4].is_closing(), late[5].is_closing()), (5, true, false));
}

#[test]
fn many_networks_of_one_site_count_together() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(43);
    let person: Vec<_> = (0..3).map(|_| idle_for(&connections, listener, v6(1, 1), 500)).collect();
    // One connection from each of forty /64 of another /48: as much as ten of one /64.
    let site: Vec<_> = (0..40).map(|network| idle_for(&connections, listener, v6(2, network), 10)).collect();
    connections.enter(listener, v4(1));
    assert_eq!(is_closing(&person), [false; 3]);
    assert_eq!(is_closing(&site).iter().filter(|closing| **closing).count(), 1);
}

#[test]
fn many_newcomers_push_out_one_each_and_the_longest_idle_first() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(400);
    let flood: Vec<_> = (0..400).map(|at| idle_for(&connections, listener, v4(1), 1000 - at)).collect();
    for last in 2..102 {
        connections.enter(listener, v4(last));
    }
    assert!(is_closing(&flood)[..100].iter().all(|closing| *closing));
    assert!(is_closing(&flood)[100..].iter().all(|closing| !*closing));
    assert_eq!(connections.open(listener), 400);
}

#[test]
fn one_that_moved_again_is_not_closed_for_having_been_idle() {
    let connections = Connections::new(1024, Duration::from_secs(1));
    let listener = connections.listener(64);
    let flood: Vec<_> = (0..64).map(|at| idle_for(&connections, listener, v4(1), 1000 - at)).collect();
    connections.enter(listener, v4(2));
    flood[1].touch();
    connections.enter(listener, v4(3));
    assert_eq!(is_closing(&flood)[..4], [true, false, true, false]);
}

#[test]
fn memory_is_given_up_by_the_address_that_holds_most() {
    let connections = Connections::new(100, Duration::from_secs(1));
    let (web, download) = (connections.listener(10), connections.listener(10));
    let greedy: Vec<_> = [(web, 10), (download, 50), (web, 20)]
        .map(|(at, idle)| idle_for(&connections, at, v4(1), idle))
        .into();
    assert!(greedy.iter().all(|entry| connections.hold(entry, 30)));
    let modest = connections.enter(web, v4(2));
    assert!(connections.hold(&modest, 40));
    assert_eq!(is_closing(&greedy), [false, true, false]);
    assert_eq!(connections.held(), 100);
    // Who holds most of all is refused when it wants more.
    assert!(connections.hold(&modest, 1));
    assert!(!connections.hold(&modest, 100));
    connections.release(&modest, 41);
    connections.leave(&greedy[0]);
    connections.leave(&greedy[2]);
    assert_eq!(connections.held(), 0);
}
