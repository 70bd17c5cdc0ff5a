//! The memory that the process keeps after a burst of requests.

use std::fs;
use std::io::{Read, Write};

use socket2::{Domain, Socket, Type};

use crate::support::process::{Process, Site, wait_for};
use crate::support::web::Browser;
use crate::support::web_process::WebSite;

/// The resident memory in MiB.
fn resident(app: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", app.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[actix_web::test]
async fn sixty_wrong_logins_at_once_take_the_memory_of_a_few() {
    let site = WebSite::new(None, "trusted_proxies = ['127.0.0.0/8']");
    let app = site.start();
    let base = format!("http://{}", site.address);
    // A first round creates what every process creates once.
    Browser::at(&base).log_in("nobody@example.org", "wrong").await;
    let before = resident(&app);
    let guesses = (0..60).map(|at| {
        let mut browser = Browser::at(&base);
        browser.headers = vec![("x-forwarded-for", format!("192.0.2.{at}"))];
        async move {
            let answer = browser.log_in(&format!("nobody{at}@example.org"), "wrong").await;
            assert_eq!(answer.status, 403, "{}", answer.body);
        }
    });
    futures_util::future::join_all(guesses).await;
    let after = resident(&app);
    // Each hash takes 19 MiB; at most four run at once, and one of them reuses its memory.
    assert!(after < before + 3 * 19 + 30, "{before} MiB before, {after} MiB after");
    wait_for("readiness", || app.readiness() == Some(200));
    app.kill();
}

#[test]
fn downloads_that_nobody_reads_hold_little_more_than_their_budget() {
    /// More streams than fit into the memory budget with a full portion each.
    const CLIENTS: usize = 800;
    raise_open_files(CLIENTS as u64 + 500);
    let site = Site::new();
    site.put("large.bin", &vec![1; 8 << 20]);
    let node = site.start();
    site.redeem(3);
    let before = resident(&node);
    let clients: Vec<Socket> = (0..CLIENTS)
        .map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // Small, because kernel buffers are not part of the process.
            client.set_recv_buffer_size(4096).unwrap();
            client.connect(&site.address.into()).unwrap();
            let path = site.ticket("large.bin").path;
            let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", site.address);
            (&client).write_all(request.as_bytes()).unwrap();
            // The first byte of the response has arrived; the node goes on until it is blocked.
            assert_eq!((&client).read(&mut [0]).unwrap(), 1);
            client
        })
        .collect();
    // Other clients are served as usual, and by then each worker has gone on with all of its streams.
    site.redeem(20);
    let after = resident(&node);
    // Full portions would take 100 MiB and more. A connection takes about 40 KiB besides.
    let budget = 32 + CLIENTS as u64 * (16 + 40) / 1024;
    assert!(after < before + budget + 10, "{before} MiB before, {after} MiB after");
    drop(clients);
    node.kill();
}

/// Raises the limit on open files for this process and those that it starts.
fn raise_open_files(count: u64) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let current = limit.current.map(|current| current.max(count));
    let raised = rustix::process::Rlimit { current, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
}
