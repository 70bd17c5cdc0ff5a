//! wget: resuming with `-c`, and retrying by itself.

use std::fs;

use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::client::Client;
use crate::support::programs::run;
use crate::support::proxy::{Line, Proxy};
use crate::support::{Node, pattern};

const MIB: usize = 1024 * 1024;

#[actix_web::test]
async fn wget_resumes_a_cut_download_with_c() {
    if !has_program("wget") {
        return;
    }
    let (node, home) = (Node::start().await, TempDir::new().unwrap());
    let content = pattern(12 * MIB);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let proxy = Proxy::start(node.address, Line { cuts: 1, cut_after: 5 * MIB, speed: None }).await;
    let through = proxy.link(&link);
    let broken = run(home.path(), "wget", &["-q", "--tries=1", &through]).await;
    assert_eq!(broken.code, Some(4), "a network failure: {broken:?}");
    let have = fs::read(home.path().join("a.bin")).unwrap();
    assert!(have.len() < 5 * MIB && have == content[..have.len()]);
    let rest = run(home.path(), "wget", &["-nv", "-c", &through]).await;
    assert_eq!(rest.code, Some(0), "{rest:?}");
    assert!(fs::read(home.path().join("a.bin")).unwrap() == content);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "one file, no a.bin.1");
    let again = run(home.path(), "wget", &["-nv", "-O", "again", &link]).await;
    assert_eq!(again.code, Some(8), "the server refused: {again:?}");
    assert!(again.said.contains("410"), "{again:?}");
    node.stop().await;
}

#[actix_web::test]
async fn wget_continues_by_itself_after_every_cut() {
    if !has_program("wget") {
        return;
    }
    let (node, home) = (Node::start().await, TempDir::new().unwrap());
    node.put("a.bin", &pattern(16 * MIB));
    let link = node.link("a.bin");
    let proxy = Proxy::start(node.address, Line { cuts: 4, cut_after: 3 * MIB, speed: None }).await;
    let done = run(home.path(), "wget", &["-nv", "--waitretry=1", &proxy.link(&link)]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(fs::read(home.path().join("a.bin")).unwrap() == pattern(16 * MIB));
    assert_eq!((proxy.cuts(), proxy.requests().len()), (4, 5));
    assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    node.stop().await;
}
