//! A disk that is full or fails: no delivery without a record, 503 until the next start, and a log line that
//! says what to do.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use oncelink::clock::Clock;
use oncelink::id::Jti;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::process::{Answer, Download, Process, Site, Ticket, signal, wait_for};
use crate::support::volume::{Volume, can_mount, make_image};

/// Makes system calls of a process fail until it is dropped.
struct FaultInjector(Child);

impl FaultInjector {
    fn attach(site: &Site, node: &Process, call: &str, error: &str) -> FaultInjector {
        let log = site.path().join("strace");
        let child = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error={error}"), "-p", &node.id().to_string()])
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn();
        let injector = FaultInjector(child.unwrap());
        wait_for("strace", || fs::read_to_string(&log).unwrap().contains("attached"));
        injector
    }
}

impl Drop for FaultInjector {
    fn drop(&mut self) {
        // Detaches from the node before it ends.
        signal(self.0.id(), Signal::TERM);
        self.0.wait().unwrap();
    }
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.slug().as_str()), (503, "store-unavailable"), "{answer:?}");
    assert!(answer.head.to_ascii_lowercase().contains("\r\nretry-after: "), "{}", answer.head);
}

/// Makes `call` fail with `error`: from then on, and even after the disk has recovered, nothing is served
/// until the next start.
fn failing(call: &str, error: &str) {
    if !has_program("strace") {
        return;
    }
    let site = Site::new();
    let node = site.start();
    let used = site.redeem(3);
    let injector = FaultInjector::attach(&site, &node, call, error);
    // No token is redeemed without a durable record, however often it is tried.
    let denied = site.ticket("small.bin");
    for _ in 0..3 {
        assert_unavailable(&site.get(&denied).unwrap());
        assert_unavailable(&site.get(&site.ticket("small.bin")).unwrap());
    }
    drop(injector);
    // After a failed fsync the page cache may claim what the disk does not hold.
    assert_unavailable(&site.get(&denied).unwrap());
    assert_unavailable(&site.get(&site.ticket("small.bin")).unwrap());
    assert_ne!(site.get(&used[0]).unwrap().status, 200);
    assert_eq!(node.readiness(), Some(503));
    let log = site.log();
    assert!(log.contains("stops serving; fix the disk (is it failing?), then restart"), "{log}");
    node.kill();
    let node = site.start();
    site.assert_used(&used);
    site.redeem(2);
    node.kill();
}

#[test]
fn after_an_fsync_error_nothing_is_served_until_the_next_start() {
    failing("fdatasync", "EIO");
}

#[test]
fn after_a_write_that_failed_nothing_is_served_until_the_next_start() {
    failing("pwrite64", "EIO");
}

#[test]
fn after_a_write_on_a_full_disk_the_service_continues_once_there_is_room() {
    if !has_program("strace") {
        return;
    }
    let site = Site::new();
    let node = site.start();
    let used = site.redeem(3);
    let injector = FaultInjector::attach(&site, &node, "pwrite64", "ENOSPC");
    for _ in 0..3 {
        assert_unavailable(&site.get(&site.ticket("small.bin")).unwrap());
    }
    assert_eq!(node.readiness(), Some(503));
    drop(injector);
    wait_for("readiness", || node.readiness() == Some(200));
    site.assert_used(&used);
    let more = site.redeem(3);
    let log = site.log();
    assert!(
        log.contains("stops serving; free some space on the disk; the store then recovers by itself"),
        "{log}"
    );
    assert!(!log.contains("cannot be trusted"), "{log}");
    node.kill();
    let node = site.start();
    site.assert_used(used.iter().chain(&more));
    node.kill();
}

#[test]
fn where_receipts_can_t_be_kept_tokens_of_links_are_refused_and_others_served() {
    if !can_mount() {
        return;
    }
    let disk = TempDir::new().unwrap();
    let image = disk.path().join("image");
    make_image(&image, 24);
    let volume = Volume::mount(&image, &disk.path().join("root"));
    let site = Site::with_data(TempDir::new().unwrap(), volume.root.join("data"));
    let node = site.start();
    let filler = volume.fill();
    // The outbox has some space reserved; when it is used up, one token is spent without a download.
    let mut served = Vec::new();
    let spent = loop {
        let ticket = site.ticket_of_link("small.bin", "link");
        let answer = site.get(&ticket).unwrap();
        if answer.status != 200 {
            assert_unavailable(&answer);
            break ticket;
        }
        served.push(ticket);
        assert!(served.len() < 1000, "the outbox never ran out of space");
    };
    // From then on no token is spent.
    let denied = [site.ticket_of_link("small.bin", "link"), site.ticket_of_link("small.bin", "link")];
    for ticket in &denied {
        assert_unavailable(&site.get(ticket).unwrap());
    }
    site.redeem(3);
    fs::remove_file(filler).unwrap();
    for ticket in &denied {
        assert_eq!(site.get(ticket).unwrap().status, 200, "{}", site.log());
    }
    site.assert_used(served.iter().chain([&spent]));
    node.kill();
    drop(volume);
}

/// Revokes jtis that nobody uses, a hundred per command: the quickest way to fill the journal.
fn revoke_many(site: &Site) -> io::Result<u16> {
    let jtis: Vec<Jti> = (0..100).map(|_| Jti::random().unwrap()).collect();
    let command = site.issuer.issue_command(&jtis, Clock::wall().now()).unwrap();
    let extra = format!("Authorization: Bearer {}\r\nContent-Length: 0\r\n", command.token);
    Ok(Download::request(site.address, "POST", "/revocations", &extra)?.status())
}

/// A node on a full disk: so full that the journal can't be moved into the database. Holds the tokens that
/// were used, and the file that fills the disk.
struct Full {
    node: Process,
    used: Vec<Ticket>,
    filler: PathBuf,
    site: Site,
    volume: Volume,
    _disk: TempDir,
}

impl Full {
    fn new() -> Full {
        let disk = TempDir::new().unwrap();
        let image = disk.path().join("image");
        make_image(&image, 32);
        let volume = Volume::mount(&image, &disk.path().join("root"));
        let site = Site::with_data(TempDir::new().unwrap(), volume.root.join("data"));
        let node = site.start();
        let mut used = site.redeem(3);
        let filler = volume.fill();
        // The journal's space is reserved when it is created, so a full disk does not matter for a while.
        used.extend(site.redeem(3));
        // Until it is moved into the database, which has to grow.
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let mut commands = 0;
                    while revoke_many(&site).unwrap() == 204 {
                        commands += 1;
                        assert!(commands < 100, "the journal never filled up");
                    }
                });
            }
        });
        assert_unavailable(&site.get(&site.ticket("small.bin")).unwrap());
        assert_eq!(node.readiness(), Some(503));
        let message = "stops serving; free some space on the disk; the store then recovers by itself";
        // The log is written by a thread of its own.
        wait_for("the reason in the log", || site.log().contains(message));
        Full { node, used, filler, site, volume, _disk: disk }
    }
}

#[test]
fn a_full_disk_stops_the_service_until_there_is_room_and_loses_nothing() {
    if !can_mount() {
        return;
    }
    let Full { node, used, filler, site, volume, _disk } = Full::new();
    fs::remove_file(filler).unwrap();
    wait_for("readiness", || node.readiness() == Some(200));
    site.assert_used(&used);
    let more = site.redeem(3);
    node.kill();
    let node = site.start();
    site.assert_used(used.iter().chain(&more));
    assert!(!site.log().contains("cannot be trusted"), "{}", site.log());
    node.kill();
    drop(volume);
}

#[test]
fn a_start_on_a_full_disk_works_or_says_why_not_and_loses_nothing() {
    if !can_mount() {
        return;
    }
    let Full { node, used, filler, site, volume, _disk } = Full::new();
    node.kill();
    // A start on the full disk either says why it fails, or serves what it can record.
    let begun = site.log().len();
    let mut node = site.launch(site.command(&[]));
    let mut ended = None;
    wait_for("an end or a start", || {
        ended = node.ended();
        ended.is_some() || node.readiness().is_some()
    });
    match ended {
        Some(status) => {
            assert!(!status.success());
            let said = site.log().split_off(begun);
            assert!(said.contains("used-token store") && said.contains("No space left"), "{said}");
        }
        None => site.assert_refused(&used, &["used-token", "expired-token", "store-unavailable"]),
    }
    drop(node);
    fs::remove_file(filler).unwrap();
    let node = site.start();
    site.assert_used(&used);
    site.redeem(3);
    node.kill();
    drop(volume);
}
