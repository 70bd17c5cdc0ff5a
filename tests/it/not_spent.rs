//! A failure before the first byte does not spend a token.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::Client;
use crate::support::stores::Failing;
use crate::support::{Node, Setup, path, pattern};

#[actix_web::test]
async fn a_missing_file_is_404_and_the_token_still_works_when_it_is_there() {
    let node = Node::start().await;
    let link = node.link("late.bin");
    assert_eq!(Client::default().get(&link).await.slug(), "file-not-found");
    node.put("late.bin", b"here");
    assert_eq!(Client::default().get(&link).await.body, b"here");
    node.stop().await;
}

#[actix_web::test]
async fn a_changed_file_is_409_until_it_is_as_it_was() {
    let node = Node::start().await;
    let on_disk = node.put("a.bin", &pattern(1000));
    let version = node.version("a.bin");
    let file = path("a.bin");
    let link = node.issue_at(&file, |order| {
        order.size = Some(1000);
        order.version = Some(&version);
    });
    let modified = std::fs::metadata(&on_disk).unwrap().modified().unwrap();
    let mut longer = pattern(1001);
    longer[500] ^= 1;
    node.put("a.bin", &longer);
    assert_eq!(Client::default().get(&link.address).await.slug(), "file-changed");
    assert_eq!(Client::default().head(&link.address).await.status, 409);
    node.put("a.bin", &pattern(1000));
    std::fs::File::options().write(true).open(&on_disk).unwrap().set_modified(modified).unwrap();
    assert_eq!(Client::default().get(&link.address).await.body, pattern(1000));
    node.stop().await;
}

#[actix_web::test]
async fn a_range_outside_the_file_is_416_and_names_its_length() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let link = node.link("a.bin");
    for range in ["bytes=1000-", "bytes=-0", "bytes=5-2", "bytes=x", "bytes="] {
        let reply = Client::default().get_with(&link, &[("range", range)]).await;
        assert_eq!(reply.slug(), "range-not-satisfiable", "{range}");
        assert_eq!(reply.header("content-range"), Some("bytes */1000"));
        assert_eq!(reply.header("etag"), None);
    }
    assert_eq!(Client::default().get(&link).await.status, 200);
    node.stop().await;
}

#[actix_web::test]
async fn a_failed_precondition_or_a_fresh_copy_at_the_client_spends_nothing() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(1000));
    let link = node.link("a.bin");
    let modified = Client::default().head(&link).await.header("last-modified").unwrap().to_owned();
    for (field, value, status) in [
        ("if-match", "\"something\"", 412),
        ("if-unmodified-since", "Thu, 01 Jan 2015 00:00:00 GMT", 412),
        ("if-none-match", "*", 304),
        ("if-modified-since", modified.as_str(), 304),
    ] {
        let reply = Client::default().get_with(&link, &[(field, value)]).await;
        assert_eq!(reply.status, status, "{field}");
        assert_eq!(reply.header("etag"), None, "{field}");
    }
    assert_eq!(Client::default().get_with(&link, &[("if-match", "*")]).await.status, 200);
    node.stop().await;
}

#[actix_web::test]
async fn a_store_that_does_not_respond_is_503_and_no_byte_is_sent() {
    let store = Arc::new(Failing::default());
    let setup = Setup { store: Some(store.clone()), ..Setup::default() };
    let node = setup.start().await;
    node.put("a.bin", &pattern(1000));
    let link = node.link("a.bin");
    store.fail(true);
    for _ in 0..3 {
        let reply = Client::default().get(&link).await;
        assert_eq!(reply.slug(), "store-unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    assert_eq!(Client::default().get(&node.url("/readyz")).await.status, 503);
    store.fail(false);
    assert_eq!(Client::default().get(&node.url("/readyz")).await.status, 200);
    assert_eq!(Client::default().get(&link).await.body, pattern(1000));
    node.stop().await;
}

#[actix_web::test]
async fn a_claim_that_panics_keeps_nobody_waiting() {
    let store = Arc::new(Failing::default());
    let setup = Setup { store: Some(store.clone()), ..Setup::default() };
    let node = setup.start().await;
    node.put("a.bin", &pattern(1000));
    let link = node.link("a.bin");
    store.panic_once();
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let path = link.strip_prefix(&node.url("")).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", node.address).as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    // A close and a reset both end the connection.
    let _ended = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"", "no byte is sent");
    // If the panicking claim still held the jti, this request would wait and end with a 503.
    assert_eq!(Client::default().get(&link).await.body, pattern(1000));
    node.stop().await;
}

#[actix_web::test]
async fn a_token_that_ends_is_expired_and_one_from_the_future_is_invalid() {
    let node = Node::start().await;
    node.put("a.bin", b"x");
    let link = node.link("a.bin");
    let early = node.clock.now();
    node.pass(Duration::from_secs(124));
    assert_eq!(Client::default().head(&link).await.status, 200, "still within the leeway");
    node.pass(Duration::from_secs(1));
    assert_eq!(Client::default().get(&link).await.slug(), "expired-token");
    node.clock.set(early);
    assert_eq!(Client::default().get(&link).await.slug(), "expired-token", "time never goes back");
    node.stop().await;
}

#[actix_web::test]
async fn a_token_of_a_clock_ahead_of_ours_is_redeemed_only_when_its_moment_has_come() {
    let behind = Node::start().await;
    behind.put("a.bin", &pattern(1000));
    let token = behind.issue_later("a.bin", Duration::from_secs(1));
    let url = behind.url(&format!("/d/{token}"));
    assert_eq!(Client::default().head(&url).await.status, 200);
    assert_eq!(Client::default().get(&url).await.slug(), "invalid-token", "it is not valid yet");
    behind.pass(Duration::from_secs(1));
    assert_eq!(Client::default().get(&url).await.status, 200);
    behind.stop().await;
}
