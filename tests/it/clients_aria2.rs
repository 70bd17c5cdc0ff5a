//! aria2 with sixteen connections: it requests later ranges while its first, plain GET still runs, and
//! closes a connection where another one has already fetched the bytes.

use std::fs;

use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::client::Client;
use crate::support::programs::aria2;
use crate::support::proxy::{Line, Proxy};
use crate::support::{Node, pattern};

const MIB: usize = 1024 * 1024;

/// The most bytes that may be sent for one link without the resume key, with an allowance for headers.
fn byte_limit(content: &[u8]) -> u64 {
    (content.len() + 8 * MIB + 200_000) as u64
}

#[actix_web::test]
async fn aria2_with_sixteen_connections_gets_the_file_and_then_the_link_is_gone() {
    if !has_program("aria2c") {
        return;
    }
    let node = Node::start().await;
    let content = pattern(64 * MIB);
    node.put("a.bin", &content);
    // Several runs, because the order of its connections varies.
    for round in 1..=5 {
        let home = TempDir::new().unwrap();
        let link = node.link("a.bin");
        let done = aria2(home.path(), &link).await;
        assert_eq!(done.code, Some(0), "round {round}: {done:?}");
        assert!(fs::read(home.path().join("a.bin")).unwrap() == content, "round {round}");
        assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    }
    node.stop().await;
}

#[actix_web::test]
async fn aria2_on_slow_lines_runs_all_its_connections_at_once() {
    if !has_program("aria2c") {
        return;
    }
    let node = Node::start().await;
    let content = pattern(32 * MIB);
    node.put("a.bin", &content);
    for round in 1..=2 {
        let home = TempDir::new().unwrap();
        let link = node.link("a.bin");
        // Slow enough that an aria2 that waits for the processor leaves little unread: what it doesn't read
        // on a connection that it closes must be sent again.
        let line = Line { speed: Some(384 * 1024), ..Line::default() };
        let proxy = Proxy::start(node.address, line).await;
        let done = aria2(home.path(), &proxy.link(&link)).await;
        assert_eq!(done.code, Some(0), "round {round}: {done:?}\n{:#?}", proxy.requests());
        assert!(fs::read(home.path().join("a.bin")).unwrap() == content, "round {round}");
        assert_eq!(proxy.most_at_once(), 16, "round {round}");
        assert!(proxy.carried() <= byte_limit(&content), "round {round}: {}", proxy.carried());
        assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    }
    node.stop().await;
}

#[actix_web::test]
async fn aria2_gets_the_file_although_its_connections_are_cut() {
    if !has_program("aria2c") {
        return;
    }
    let node = Node::start().await;
    let content = pattern(64 * MIB);
    node.put("a.bin", &content);
    let home = TempDir::new().unwrap();
    let link = node.link("a.bin");
    let line = Line { cuts: 6, cut_after: 2 * MIB, speed: Some(4 * MIB as u32) };
    let proxy = Proxy::start(node.address, line).await;
    let done = aria2(home.path(), &proxy.link(&link)).await;
    assert_eq!(done.code, Some(0), "{done:?}\n{:#?}", proxy.requests());
    assert!(fs::read(home.path().join("a.bin")).unwrap() == content);
    assert_eq!(proxy.cuts(), 6);
    assert!(proxy.carried() <= byte_limit(&content), "{}", proxy.carried());
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}
