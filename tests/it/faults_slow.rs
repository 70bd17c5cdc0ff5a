//! Clients that are slow on purpose: one that stops reading is dropped after a minute, a request that never
//! ends after ten seconds, and no other client waits for them. And a disk that is slow: no worker waits for it.
//!
//! One test takes over a minute, because it checks a time limit. It mostly waits.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::needs::has_program;
use crate::support::process::{Download, Site, Ticket, pause, wait_for, wait_up_to};

const BIG: u64 = 64 << 20;
const READERS: usize = 5;
const DRIPPERS: usize = 20;
/// By then all of them are dropped, even on a machine that is busy with other tests. The limit for readers
/// is checked in windows of a minute, and two of them may pass.
const PATIENCE: Duration = Duration::from_secs(240);

/// Requests a file over a connection with a tiny window, and reads only the head.
fn stop_reading(site: &Site, ticket: &Ticket) -> (TcpStream, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&site.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", ticket.path, site.address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

/// The number of clients to which the node still has an established connection. It is read from the kernel's
/// table, because a client that does not read learns too late that its connection ended.
fn connected(site: &Site, clients: &[SocketAddr]) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let node = listed(site.address);
    // Each line: a number, the local address, the remote one, the state (01 is "established").
    let wanted = clients.iter().map(|client| format!(" {node} {} 01 ", listed(*client)));
    wanted.filter(|connection| table.contains(connection)).count()
}

/// An address as the kernel's table shows it: in the machine's byte order.
fn listed(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("{address} is not in the table of IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

fn own_address(stream: &TcpStream) -> SocketAddr {
    stream.local_addr().unwrap()
}

/// Nobody waits for slow clients: another client gets a whole file while all of them are connected.
fn assert_others_are_served(site: &Site, slow: &[SocketAddr]) {
    // A dropped client does not come back, so one look that finds all of them is enough. The kernel writes
    // its table in parts, and a look can miss a connection while others come and go.
    wait_for("all slow clients at once", || connected(site, slow) == slow.len());
    site.redeem(1);
    wait_for("all slow clients still there", || connected(site, slow) == slow.len());
}

#[test]
fn a_client_that_stops_reading_is_dropped_after_a_minute_and_may_resume_and_nobody_else_waits() {
    let site = Site::new();
    fs::File::create(site.path().join("share/big.bin")).unwrap().set_len(BIG).unwrap();
    let node = site.start();
    let tickets: Vec<Ticket> = (0..READERS).map(|_| site.ticket("big.bin")).collect();
    let begun = Instant::now();
    let stopped: Vec<(TcpStream, String)> =
        tickets.iter().map(|ticket| stop_reading(&site, ticket)).collect();
    assert!(stopped.iter().all(|(_, head)| head.starts_with("HTTP/1.1 200")));
    let readers: Vec<SocketAddr> = stopped.iter().map(|(stream, _)| own_address(stream)).collect();
    assert_others_are_served(&site, &readers);
    wait_up_to(PATIENCE, "all clients that do not read to be dropped", || {
        site.redeem(1);
        pause(Duration::from_millis(500));
        connected(&site, &readers) == 0
    });
    assert!(begun.elapsed() > Duration::from_secs(55), "dropped after {:?} already", begun.elapsed());
    // Dropped, not locked out.
    for (ticket, (_, head)) in tickets.iter().zip(&stopped) {
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let extra = format!("Range: bytes=50000000-50000999\r\nIf-Range: {etag}\r\n");
        let rest = Download::begin(site.address, &ticket.path, &extra).unwrap().finish().unwrap();
        assert_eq!((rest.status, rest.body.len()), (206, 1000), "{rest:?}");
    }
    node.kill();
}

#[test]
fn a_request_that_never_ends_is_cut_off_and_nobody_else_waits() {
    let site = Site::new();
    let node = site.start();
    let begun = Instant::now();
    let mut drippers: Vec<TcpStream> = (0..DRIPPERS)
        .map(|_| {
            let mut stream = TcpStream::connect(site.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n").unwrap();
            stream
        })
        .collect();
    let addresses: Vec<SocketAddr> = drippers.iter().map(own_address).collect();
    assert_others_are_served(&site, &addresses);
    wait_up_to(PATIENCE, "all requests that never end to be cut off", || {
        site.redeem(1);
        // A little more each time, so that the connection is never idle.
        drippers.retain_mut(|stream| {
            let sent = stream.write_all(b"X-More: 1\r\n");
            let ended = match stream.read(&mut [0; 1024]) {
                Ok(0) => true,
                Ok(_) => false,
                Err(e) => !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
            };
            sent.is_ok() && !ended
        });
        pause(Duration::from_millis(300));
        drippers.is_empty()
    });
    assert!(begun.elapsed() > Duration::from_secs(8), "cut off after {:?} already", begun.elapsed());
    node.kill();
}

/// The ids of the threads of a process with this name, of which the kernel keeps 15 characters.
fn threads(process: u32, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let called = |task: &fs::DirEntry| {
        let comm = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        comm.trim_end() == &name[..name.len().min(15)]
    };
    let tasks = tasks.map(Result::unwrap).filter(called);
    tasks.map(|task| task.file_name().into_string().unwrap()).collect()
}

#[test]
fn no_worker_waits_for_a_slow_disk() {
    if !has_program("strace") {
        return;
    }
    let site = Site::new();
    fs::File::create(site.path().join("share/big.bin")).unwrap().set_len(BIG).unwrap();
    // The store is created before the disk is slow.
    site.start().kill();
    let trace = site.path().join("trace");
    let wrapper = ["strace", "-f", "-y", "-o", trace.to_str().unwrap(), "-e", "trace=fdatasync", "-e"];
    let slow = [&wrapper[..], &["inject=fdatasync:delay_enter=5000"]].concat();
    let mut node = site.launch(site.command(&slow));
    node.wait_until_ready();
    let committers = threads(node.id(), "used-tokens-commit");
    assert_eq!(committers.len(), 1);
    // A transfer runs all the time, on any of the workers.
    let ticket = site.ticket("big.bin");
    let streaming = Download::begin(site.address, &ticket.path, "").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| site.redeem(10));
        }
    });
    assert_eq!(streaming.finish().unwrap().body.len() as u64, BIG);
    node.kill();
    let trace = fs::read_to_string(trace).unwrap();
    let syncs: Vec<&str> =
        trace.lines().filter(|line| line.contains("fdatasync(") && line.contains("/journal.")).collect();
    assert!(syncs.len() >= 10, "{trace}");
    for sync in syncs {
        assert!(sync.starts_with(&format!("{} ", committers[0])), "not by the committer's thread: {sync}");
    }
}
