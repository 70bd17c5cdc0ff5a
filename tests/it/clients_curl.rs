//! curl: plain, resuming with `-C -`, and retrying by itself.

use std::fs;

use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::client::Client;
use crate::support::programs::run;
use crate::support::proxy::{Line, Proxy};
use crate::support::{Node, pattern};

const MIB: usize = 1024 * 1024;

#[actix_web::test]
async fn curl_downloads_once_and_is_then_told_that_the_link_was_used() {
    if !has_program("curl") {
        return;
    }
    let (node, home) = (Node::start().await, TempDir::new().unwrap());
    node.put("a.bin", &pattern(3 * MIB));
    let link = node.link("a.bin");
    let first = run(home.path(), "curl", &["-sSf", "-O", &link]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(fs::read(home.path().join("a.bin")).unwrap() == pattern(3 * MIB));
    let again = run(home.path(), "curl", &["-sSf", "-o", "again", &link]).await;
    assert_eq!(again.code, Some(22), "an HTTP error: {again:?}");
    assert!(again.said.contains("410"), "{again:?}");
    assert!(!home.path().join("again").exists());
    node.stop().await;
}

#[actix_web::test]
async fn curl_resumes_with_c_after_every_cut() {
    if !has_program("curl") {
        return;
    }
    let (node, home) = (Node::start().await, TempDir::new().unwrap());
    let content = pattern(12 * MIB);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let proxy = Proxy::start(node.address, Line { cuts: 3, cut_after: 3 * MIB, speed: None }).await;
    let through = proxy.link(&link);
    for cut in 1..=3 {
        let broken = run(home.path(), "curl", &["-sS", "-C", "-", "-o", "a.bin", &through]).await;
        assert_eq!(broken.code, Some(18), "a partial file: {broken:?}");
        let have = fs::read(home.path().join("a.bin")).unwrap();
        assert!(have.len() < cut * 3 * MIB && have == content[..have.len()]);
    }
    let rest = run(home.path(), "curl", &["-sSf", "-C", "-", "-o", "a.bin", &through]).await;
    assert_eq!(rest.code, Some(0), "{rest:?}");
    assert!(fs::read(home.path().join("a.bin")).unwrap() == content);
    let asked = proxy.requests();
    assert_eq!(asked.len(), 4);
    assert!(asked[1..].iter().all(|head| head.contains("\r\nRange: bytes=")), "{asked:?}");
    assert!(asked.iter().all(|head| !head.contains("If-Range")), "curl sends no resume key: {asked:?}");
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn curl_that_retries_by_itself_from_the_start_is_served() {
    if !has_program("curl") {
        return;
    }
    let (node, home) = (Node::start().await, TempDir::new().unwrap());
    node.put("a.bin", &pattern(12 * MIB));
    let link = node.link("a.bin");
    let proxy = Proxy::start(node.address, Line { cuts: 2, cut_after: 2 * MIB, speed: None }).await;
    let retry = ["-sSf", "--retry", "3", "--retry-all-errors", "--retry-delay", "1", "-o", "a.bin"];
    let done = run(home.path(), "curl", &[&retry[..], &[&proxy.link(&link)]].concat()).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(fs::read(home.path().join("a.bin")).unwrap() == pattern(12 * MIB));
    assert_eq!((proxy.cuts(), proxy.requests().len()), (2, 3));
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}

#[actix_web::test]
async fn curl_that_keeps_starting_over_is_refused_in_the_end() {
    if !has_program("curl") {
        return;
    }
    let (node, home) = (Node::start().await, TempDir::new().unwrap());
    node.put("a.bin", &pattern(12 * MIB));
    let link = node.link("a.bin");
    let proxy = Proxy::start(node.address, Line { cuts: 9, cut_after: 5 * MIB, speed: None }).await;
    let retry = ["-sSf", "--retry", "8", "--retry-all-errors", "--retry-delay", "1", "-o", "a.bin"];
    let done = run(home.path(), "curl", &[&retry[..], &[&proxy.link(&link)]].concat()).await;
    assert!(done.said.contains("410"), "at most 8 MiB may be sent again: {done:?}");
    // The rest can still be downloaded by range.
    let rest = Client::default().get_with(&link, &[("range", &format!("bytes={}-", 10 * MIB))]).await;
    assert!(rest.status == 206 && rest.body == pattern(12 * MIB)[10 * MIB..]);
    node.stop().await;
}
