//! Clients that are slow on purpose: a reader that stops reading is dropped after a minute, a
//! request that never ends after ten seconds, and nobody else waits for them.
//!
//! One test of over a minute: here time itself is the fault. It mostly waits.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::process::{Download, Process, Site, Ticket, pause};

const BIG: u64 = 64 << 20;
const READERS: usize = 5;
const DRIPPERS: usize = 20;
/// Nobody else may wait longer than this, even on a machine that is busy with other tests.
const PROMPT: Duration = Duration::from_secs(5);

/// Asks for a file over a connection with a tiny window, and reads no more than the head.
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

/// How many sockets the node holds.
fn sockets(node: &Process) -> usize {
    let links = fs::read_dir(format!("/proc/{}/fd", node.id())).unwrap();
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

fn redeem_promptly(site: &Site) {
    let begun = Instant::now();
    site.redeem(1);
    assert!(begun.elapsed() < PROMPT, "somebody else waited {:?}", begun.elapsed());
}

#[test]
fn who_stops_reading_is_dropped_after_a_minute_and_may_resume_and_nobody_else_waits() {
    let site = Site::new();
    fs::File::create(site.path().join("share/big.bin")).unwrap().set_len(BIG).unwrap();
    let node = site.start();
    let before = sockets(&node);
    let tickets: Vec<Ticket> = (0..READERS).map(|_| site.ticket("big.bin")).collect();
    let begun = Instant::now();
    let stopped: Vec<(TcpStream, String)> =
        tickets.iter().map(|ticket| stop_reading(&site, ticket)).collect();
    assert!(stopped.iter().all(|(_, head)| head.starts_with("HTTP/1.1 200")));
    assert!(sockets(&node) >= before + READERS);
    while sockets(&node) > before {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} sockets are left", sockets(&node));
        redeem_promptly(&site);
        pause(Duration::from_millis(500));
    }
    assert!(begun.elapsed() > Duration::from_secs(55), "dropped after {:?} already", begun.elapsed());
    // Dropped, not shut out.
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
    while !drippers.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} still hold on", drippers.len());
        redeem_promptly(&site);
        // A little more each time, so that the connection is never quite idle.
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
    }
    assert!(begun.elapsed() > Duration::from_secs(8), "cut off after {:?} already", begun.elapsed());
    node.kill();
}
