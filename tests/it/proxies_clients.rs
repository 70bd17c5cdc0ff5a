//! Popular download tools, behind real proxies and directly against the node.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::client::{Client, Partial};
use crate::support::programs::{aria2, run};
use crate::support::proxies::{Front, Kind};
use crate::support::proxy::{Line, Proxy};
use crate::support::{Node, Setup, pattern};

const MIB: usize = 1024 * 1024;

async fn node() -> Node {
    let mut setup = Setup::default();
    setup.settings.download.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    setup.start().await
}

/// Checks that `program` completes a download of which a part has already arrived.
async fn assert_resumes(program: &str, arguments: &[&str]) {
    if !has_program(program) {
        return;
    }
    let content = pattern(48 * MIB);
    for kind in Kind::ALL {
        let node = node().await;
        let Some(front) = Front::start(kind, node.address) else { continue };
        node.put("a.bin", &content);
        let (link, home) = (front.link(&node.link("a.bin")), TempDir::new().unwrap());
        let first = Partial::open(1, &link, "", 11 * MIB).await;
        fs::write(home.path().join("a.bin"), &first.body).unwrap();
        drop(first);
        let done = run(home.path(), program, &[arguments, &[&link]].concat()).await;
        assert_eq!(done.code, Some(0), "{kind:?}: {done:?}");
        assert!(fs::read(home.path().join("a.bin")).unwrap() == content, "{kind:?}");
        assert_eq!(Client::default().get(&link).await.slug(), "used-token", "{kind:?}");
        node.stop().await;
    }
}

#[actix_web::test]
async fn curl_resumes_behind_every_proxy() {
    assert_resumes("curl", &["-sSf", "-C", "-", "-o", "a.bin"]).await;
}

#[actix_web::test]
async fn wget_resumes_behind_every_proxy() {
    assert_resumes("wget", &["-q", "-c", "-O", "a.bin"]).await;
}

#[actix_web::test]
async fn a_resume_key_works_behind_every_proxy() {
    let content = pattern(16 * MIB);
    for kind in Kind::ALL {
        let node = node().await;
        let Some(front) = Front::start(kind, node.address) else { continue };
        node.put("a.bin", &content);
        let link = front.link(&node.link("a.bin"));
        let first = Partial::open(1, &link, "", MIB).await;
        let key = first.header("etag").unwrap().to_owned();
        drop(first);
        for field in ["if-range", "if-match"] {
            let rest = Client::default().get_with(&link, &[("range", "bytes=1048576-"), (field, &key)]).await;
            assert_eq!(rest.status, 206, "{kind:?} {field}");
            assert!(rest.body == content[MIB..], "{kind:?} {field}");
        }
        node.stop().await;
    }
}

#[actix_web::test]
async fn aria2_whose_connections_are_all_cut_three_times_gets_the_file_behind_every_proxy() {
    if !has_program("aria2c") {
        return;
    }
    let content = pattern(128 * MIB);
    for kind in [None].into_iter().chain(Kind::ALL.map(Some)) {
        // A proxy reads 3 MiB ahead for each of sixteen slow readers, each time.
        let mut setup = Setup::default();
        setup.settings.download.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        setup.settings.download.resend_proxied = 256 * MIB as u64;
        let node = setup.start().await;
        let front = match kind.map(|kind| Front::start(kind, node.address)) {
            Some(None) => continue,
            front => front.flatten(),
        };
        node.put("a.bin", &content);
        let (link, home) = (node.link("a.bin"), TempDir::new().unwrap());
        let line = Line { speed: Some(2 * MIB as u32), ..Line::default() };
        let to = front.as_ref().map_or(node.address, |front| front.address);
        let line = Proxy::start(to, line).await;
        let cutting = async {
            for cut in 1..=3 {
                while line.carried() < cut * 24 * MIB as u64 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                line.cut_all();
            }
        };
        let link = line.link(&link);
        let downloading = aria2(home.path(), &link);
        let (done, cut) = tokio::join!(downloading, tokio::time::timeout(Duration::from_secs(60), cutting));
        assert!(cut.is_ok(), "{kind:?}: {done:?}");
        assert_eq!(done.code, Some(0), "{kind:?}: {done:?}");
        assert!(fs::read(home.path().join("a.bin")).unwrap() == content, "{kind:?}");
        node.stop().await;
    }
}

#[actix_web::test]
async fn aria2_with_sixteen_connections_gets_the_file_behind_every_proxy() {
    if !has_program("aria2c") {
        return;
    }
    let content = pattern(64 * MIB);
    for kind in Kind::ALL {
        let node = node().await;
        let Some(front) = Front::start(kind, node.address) else { continue };
        node.put("a.bin", &content);
        for round in 1..=2 {
            let (link, home) = (front.link(&node.link("a.bin")), TempDir::new().unwrap());
            let done = aria2(home.path(), &link).await;
            assert_eq!(done.code, Some(0), "{kind:?} {round}: {done:?}");
            assert!(fs::read(home.path().join("a.bin")).unwrap() == content, "{kind:?} {round}");
        }
        node.stop().await;
    }
}

#[actix_web::test]
async fn axel_with_eight_connections_gets_the_file_ten_times_of_ten() {
    if !has_program("axel") {
        return;
    }
    let node = Node::start().await;
    let content = pattern(64 * MIB);
    node.put("a.bin", &content);
    let (mut round, mut crashes) = (1, 0);
    while round <= 10 {
        let (link, home) = (node.link("a.bin"), TempDir::new().unwrap());
        let done = run(home.path(), "axel", &["-q", "-n", "8", "-o", "a.bin", &link]).await;
        // On a busy machine axel itself crashes in one of thirty downloads, from any server. The signal is
        // not an exit code.
        if done.code.is_none() {
            crashes += 1;
            assert!(crashes <= 5, "{done:?}");
            continue;
        }
        assert_eq!(done.code, Some(0), "round {round}: {done:?}");
        assert!(fs::read(home.path().join("a.bin")).unwrap() == content, "round {round}");
        assert_eq!(Client::default().get(&link).await.slug(), "used-token", "round {round}");
        round += 1;
    }
    node.stop().await;
}
