//! The byte bound: at most 3 × size + 8 MiB are sent for one jti, however often the node restarts or is
//! killed, and however many nodes share the store.

use std::io;

use crate::support::client::{Client, Partial};
use crate::support::process::{Download, Site};
use crate::support::shared::{SharedServer, on_every_shared_store};
use crate::support::{Node, pattern};

const MIB: usize = 1024 * 1024;

/// Downloads the whole file with its resume key until the node refuses; returns the number of bytes received.
async fn take_all(link: &str, key: &str) -> usize {
    let mut got = 0;
    loop {
        let reply = Client::default().get_with(link, &[("if-match", key)]).await;
        if reply.status != 200 {
            assert_eq!(reply.slug(), "used-token");
            return got;
        }
        got += reply.body.len();
        assert!(got < 1000 * MIB, "the node never refuses");
    }
}

#[actix_web::test]
async fn restarts_do_not_reset_the_count() {
    for size in [MIB, 3 * MIB] {
        let mut node = Node::start().await;
        node.put("a.bin", &pattern(size));
        let link = node.link("a.bin");
        let first = Client::default().get(&link).await;
        let mut got = first.body.len() + take_all(&link, &first.etag()).await;
        assert!(got > 3 * size, "without a restart, the whole bound can be used");
        for _ in 0..3 {
            node = node.restart().await;
            got += take_all(&link, &first.etag()).await;
        }
        assert!(got <= 3 * size + 8 * MIB, "{got} of {size}");
        node.stop().await;
    }
}

#[actix_web::test]
async fn after_a_restart_the_key_gets_the_file_twice_however_many_more_restarts_follow() {
    let mut node = Node::start().await;
    let size = 6 * MIB;
    node.put("a.bin", &pattern(size));
    let link = node.link("a.bin");
    let key = Partial::open(1, &link, "", 1000).await.header("etag").unwrap().to_owned();
    let mut served = 0;
    for _ in 0..5 {
        node = node.restart().await;
        served += usize::from(Client::default().get_with(&link, &[("if-match", &key)]).await.status == 200);
    }
    assert_eq!(served, 2);
    node.stop().await;
}

#[actix_web::test]
async fn repeated_breaks_without_a_restart_count_only_what_was_sent() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(24 * MIB));
    let link = node.link("a.bin");
    let key = Partial::open(1, &link, "", 1000).await.header("etag").unwrap().to_owned();
    let fields = format!("If-Match: {key}\r\n");
    for _ in 0..12 {
        assert_eq!(Partial::open(1, &link, &fields, 1000).await.status(), 200);
    }
    assert_eq!(Client::default().get_with(&link, &[("if-match", &key)]).await.status, 200);
    node.stop().await;
}

#[test]
fn kills_do_not_reset_the_count() {
    let site = Site::new();
    let size = 5 * MIB;
    site.put("big.bin", &pattern(size));
    let mut node = site.start();
    let ticket = site.ticket("big.bin");
    let first = Download::begin(site.address, &ticket.path, "").unwrap();
    let fields = format!("If-Match: {}\r\n", first.header("etag").unwrap());
    let mut got = first.finish().unwrap().body.len();
    for round in 0..8 {
        // One is read completely, the other is running when the node is killed: its reservation is lost.
        for whole in [true, false] {
            let more = Download::begin(site.address, &ticket.path, &fields).unwrap();
            assert!([200, 410].contains(&more.status()), "{}", more.head);
            if more.status() == 410 {
                continue;
            }
            match whole {
                true => got += more.finish().unwrap().body.len(),
                false => {
                    node.kill();
                    let cut: io::Result<_> = more.finish();
                    got += cut.map_or(size, |answer| answer.body.len());
                    node = site.start();
                }
            }
        }
        assert!(got <= 3 * size + 8 * MIB, "{got} after {round} rounds");
    }
    let refused = Download::begin(site.address, &ticket.path, &fields).unwrap();
    assert_eq!(refused.status(), 410);
    node.kill();
}

on_every_shared_store!(nodes_that_share_a_store_share_the_bound);

async fn nodes_that_share_a_store_share_the_bound(server: SharedServer) {
    let [first, mut second] = server.nodes().await;
    let size = 3 * MIB;
    first.put("a.bin", &pattern(size));
    let path = format!("/d/{}", first.issue("a.bin", |_| {}).token);
    let whole = Client::default().get(&first.url(&path)).await;
    let mut got = whole.body.len();
    let by_key = [("if-match", &*whole.etag())];
    for _ in 0..6 {
        for node in [&second, &first] {
            let reply = Client::default().get_with(&node.url(&path), &by_key).await;
            got += if reply.status == 200 { reply.body.len() } else { 0 };
        }
        second = second.restart().await;
    }
    assert!(got > 3 * size && got <= 3 * size + 8 * MIB, "{got}");
    first.stop().await;
    second.stop().await;
}
