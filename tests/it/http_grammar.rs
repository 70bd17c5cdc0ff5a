//! HTTP as its RFCs define it, in corner cases that clients and gateways really produce.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::Client;
use crate::support::deliveries::BothServices;
use crate::support::{Node, pattern};

/// The status of the response to a request that is sent exactly as given.
async fn status(address: SocketAddr, head: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
}

#[actix_web::test]
async fn an_invalid_host_is_a_bad_request() {
    let services = BothServices::start().await;
    let running = services.running.as_ref().unwrap();
    for address in [running.web.unwrap(), running.download.unwrap()] {
        for bad in ["Host: a b", "Host: a/b", "Host: u@a", "Host: a:b", "Host: a\r\nHost: b", "X-None: 1"] {
            assert_eq!(
                status(address, &format!("GET /healthz HTTP/1.1\r\n{bad}\r\n\r\n")).await,
                400,
                "{bad}"
            );
        }
        for good in ["Host: a", "Host: [::1]:80", "Host: xn--a.example:8080", "Host:"] {
            assert_eq!(
                status(address, &format!("GET /healthz HTTP/1.1\r\n{good}\r\n\r\n")).await,
                200,
                "{good}"
            );
        }
        assert_eq!(status(address, "GET /healthz HTTP/1.0\r\n\r\n").await, 200);
    }
    services.stop().await;
}

#[actix_web::test]
async fn head_ignores_ranges() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(5000));
    let link = node.link("a.bin");
    for range in ["bytes=0-9", "bytes=9000-", "bytes = 0-9", "nonsense"] {
        let head = Client::default().request(hyper::Method::HEAD, &link, &[("range", range)]).await;
        assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("5000")), "{range}");
        assert_eq!(head.header("content-range"), None);
    }
    for bad in ["bytes = 0-9", "bytes =0-9", "by tes=0-9", "=0-9"] {
        assert_eq!(Client::default().get_with(&link, &[("range", bad)]).await.status, 416, "{bad}");
    }
    assert_eq!(Client::default().get(&link).await.body, pattern(5000));
    node.stop().await;
}

#[actix_web::test]
async fn an_address_that_a_gateway_encoded_needlessly_is_the_same() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(50));
    let encodings: [fn(&str) -> String; 4] = [
        |token| token.replace('.', "%2E"),
        |token| token.replace('.', "%2e"),
        |token| token.replace('-', "%2D").replace('_', "%5F"),
        |token| token.bytes().map(|byte| format!("%{byte:02X}")).collect(),
    ];
    for encode in encodings {
        for name in ["", "/a.bin"] {
            let path = format!("/d/{}{name}", encode(&node.issue("a.bin", |_| {}).token));
            // Sent as is, because a client library may normalize it.
            let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(status(node.address, &head).await, 200, "{path}");
        }
    }
    for wrong in ["%", "%2", "%zz", "%FF", "a%2Fb.c.d", "%00"] {
        let head = format!("GET /d/{wrong} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(status(node.address, &head).await, 403, "{wrong}");
    }
    node.stop().await;
}

#[actix_web::test]
async fn proxies_are_asked_to_pass_files_on_as_they_are_and_at_once() {
    let node = Node::start().await;
    node.put("a.bin", &pattern(50));
    let link = node.link("a.bin");
    let head = Client::default().head(&link).await;
    let part = Client::default().get_with(&link, &[("range", "bytes=0-0")]).await;
    let whole = Client::default().get(&link).await;
    assert_eq!((head.status.as_u16(), part.status.as_u16(), whole.status.as_u16()), (200, 206, 200));
    for file in [head, part, whole] {
        assert_eq!(file.header("x-accel-buffering"), Some("no"));
        assert_eq!(file.header("cache-control"), Some("private, no-store, no-transform"));
    }
    node.stop().await;
}
