//! How the download service serves: its other addresses, headers, proxies, limits, and how it stops.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use oncelink::config::Network;
use oncelink::web::tokens::issuer::DownloadTokenRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::eventually;
use crate::support::{Node, Setup, path, pattern};

#[actix_web::test]
async fn every_answer_is_private_and_hardened() {
    let node = Node::start().await;
    node.put("page.html", b"<script>alert(1)</script>");
    let link = node.link("page.html");
    let confirm = node.issue("page.html", |order| order.confirm = true).address;
    let html = [("accept", "text/html,*/*;q=0.8")];
    let answers = [
        Client::default().head(&link).await,
        Client::default().get(&link).await,
        Client::default().get(&link).await,
        Client::default().get_with(&link, &html).await,
        Client::default().get_with(&confirm, &html).await,
        Client::default().request(Method::POST, &confirm, &[]).await,
        Client::default().request(Method::OPTIONS, &confirm, &[]).await,
        Client::default().request(Method::DELETE, &confirm, &[]).await,
        Client::default().get(&node.url("/d/nonsense")).await,
        Client::default().get(&node.url("/")).await,
        Client::default().get(&node.url("/healthz")).await,
        Client::default().get(&node.url("/readyz")).await,
    ];
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 410, 410, 200, 303, 204, 405, 403, 404, 200, 200]);
    for answer in &answers {
        assert!(answer.header("cache-control").unwrap().starts_with("private, no-store"), "{answer:?}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"), "{answer:?}");
        assert!(
            answer.header("content-security-policy").unwrap().contains("default-src 'none'"),
            "{answer:?}"
        );
    }
    let file = &answers[1];
    assert_eq!(file.header("content-type"), Some("application/octet-stream"));
    assert!(file.header("content-disposition").unwrap().starts_with("attachment;"));
    assert_eq!(file.header("accept-ranges"), Some("bytes"));
    assert!(answers[3].header("content-type").unwrap().starts_with("text/html"));
    node.stop().await;
}

/// Whether a HEAD gets the response of a service that is stopping.
async fn is_told_to_try_again(address: SocketAddr, link: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let path = link.split_once(&address.to_string()).unwrap().1;
    let request = format!("HEAD {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut head = String::new();
    let asked = stream.write_all(request.as_bytes()).await.is_ok();
    asked && stream.read_to_string(&mut head).await.is_ok() && head.starts_with("HTTP/1.1 503 ")
}

#[actix_web::test]
async fn a_stop_lets_a_transfer_finish_and_takes_no_new_ones() {
    let mut setup = Setup::default();
    setup.settings.download.stop_timeout = Duration::from_secs(20);
    let node = setup.start().await;
    let content = pattern(24 * 1024 * 1024);
    node.put("a.bin", &content);
    let link = node.link("a.bin");
    let mut running = Partial::open(1, &link, "", 10_000).await;
    let (address, later) = (node.address, node.link("a.bin"));
    let stopping = actix_web::rt::spawn(node.stop());
    // Until the listener ends, a connection may still be accepted, and closed without a response.
    eventually("a refusal", async || is_told_to_try_again(address, &later).await).await;
    assert_eq!(running.read_to_end().await, content.len());
    assert!(running.body == content);
    stopping.await.unwrap();
}

#[actix_web::test]
async fn behind_a_trusted_proxy_the_clients_address_counts_and_otherwise_the_headers_are_ignored() {
    for (trusted, status) in [("127.0.0.1/32", 200), ("192.0.2.0/24", 410)] {
        let mut setup = Setup::default();
        setup.settings.download.trusted_proxies = vec![trusted.parse::<Network>().unwrap()];
        let node = setup.start().await;
        let content = pattern(24 * 1024 * 1024);
        node.put("a.bin", &content);
        let link = node.link("a.bin");
        // The same client, once through the proxy and once directly.
        drop(Partial::open(1, &link, "X-Forwarded-For: 127.0.0.5\r\n", 10_000).await);
        assert_eq!(Client::at(5).get(&link).await.status, status, "{trusted}");
        node.stop().await;
    }
}

#[actix_web::test]
async fn too_many_bad_tokens_from_one_address_are_told_to_wait() {
    let mut setup = Setup::default();
    setup.settings.download.invalid_per_minute = 5;
    let node = setup.start().await;
    node.put("a.bin", b"x");
    let bad = node.url("/d/a.b.c");
    for _ in 0..5 {
        assert_eq!(Client::default().get(&bad).await.slug(), "invalid-token");
    }
    let refused = Client::default().get(&bad).await;
    assert_eq!(refused.slug(), "too-many-requests");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(Client::at(2).get(&bad).await.slug(), "invalid-token");
    assert_eq!(Client::default().get(&node.link("a.bin")).await.status, 200, "a good token still works");
    node.stop().await;
}

#[actix_web::test]
async fn a_file_that_shrinks_or_changes_while_it_is_copied_is_cut_and_never_mixed() {
    let mut setup = Setup::default();
    setup.settings.connection_limits.sendfile = false;
    let node = setup.start().await;
    let content = pattern(24 * 1024 * 1024);
    for shrink in [true, false] {
        let path = node.put("a.bin", &content);
        let mut running = Partial::open(1, &node.link("a.bin"), "", 10_000).await;
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        if shrink {
            file.set_len(1_000_000).unwrap();
        } else {
            std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 20_000_000).unwrap();
        }
        let got = running.read_to_end().await;
        assert!(got < content.len(), "the connection is cut");
        assert!(running.body[..] == content[..got], "the received bytes are of one version");
    }
    node.stop().await;
}

#[actix_web::test]
async fn the_files_sha_256_is_sent_while_the_file_is_the_version_that_was_hashed() {
    let node = Node::start().await;
    let content = pattern(100_000);
    node.put("a.bin", &content);
    let (file, version) = (path("a.bin"), node.version("a.bin"));
    let sha256 = STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content));
    let link = || {
        let mut order = DownloadTokenRequest::new("tester", &file);
        (order.size, order.version, order.digest) =
            (Some(100_000), Some(version.as_str()), Some(sha256.as_str()));
        node.issuer.issue_download(&order, node.clock.now()).unwrap().address
    };
    let expected = format!("sha-256=:{sha256}:");
    let client = Client::default();
    let one = link();
    assert_eq!(client.head(&one).await.header("repr-digest"), Some(expected.as_str()));
    let whole = client.get(&one).await;
    assert_eq!((whole.status.as_u16(), whole.header("repr-digest")), (200, Some(expected.as_str())));
    let part = client.get_with(&link(), &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status.as_u16(), part.header("repr-digest")), (206, Some(expected.as_str())));
    // Without a version it is unknown from which file the bytes came.
    let bare =
        node.issue_at(&file, |order| order.digest = Some("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="));
    assert_eq!(client.get(&bare.address).await.header("repr-digest"), None);
    assert_eq!(client.get(&node.link("a.bin")).await.header("repr-digest"), None);
    // Another file; one that only grew would be served up to its old length.
    node.put("a.bin", &[7; 100_001]);
    assert_eq!(client.get(&link()).await.slug(), "file-changed");
    node.stop().await;
}
