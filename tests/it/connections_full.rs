//! A listener that is full: the address with the most connections loses one, other clients are served at
//! once, and health checks are always answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use oncelink::config::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::Setup;
use crate::support::web::TestWeb;

/// The most connections that a listener accepts.
const ROOM: usize = 20;
/// By then the connection that must give way is closed, even on a machine that is busy with other tests.
const NEVER: Duration = Duration::from_secs(60);

/// Room for [`ROOM`] connections; one counts as idle after `settled`.
fn small(settings: &mut Settings, settled: Duration) {
    (settings.web.max_connections, settings.download.max_connections) = (ROOM, ROOM);
    settings.connection_limits.settled = settled;
}

async fn connect(host: u8, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Sends a request on the connection, and returns the response.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    format!("{head}{}", String::from_utf8(body).unwrap())
}

/// Idle connections from one address, after one request each, ordered by their last byte.
async fn idle(host: u8, server: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut stream = connect(host, server).await;
        assert!(ask(&mut stream, "/healthz").await.starts_with("HTTP/1.1 200"));
        all.push(stream);
    }
    all
}

/// The index of the connection that is closed first.
async fn first_closed(streams: &[TcpStream]) -> usize {
    let closings = streams.iter().enumerate().map(|(which, stream)| {
        Box::pin(async move {
            // A close and a reset both end it, and no data is expected.
            let _end = stream.peek(&mut [0]).await;
            which
        })
    });
    let closing = futures_util::future::select_all(closings);
    tokio::time::timeout(NEVER, closing).await.expect("no connection is closed").0
}

async fn until_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A close and a reset both end it.
    let reading = stream.read_to_end(&mut rest);
    let _end = tokio::time::timeout(NEVER, reading).await.expect("the connection is not closed");
}

/// Each newcomer costs the address with the most connections an idle one, and nobody else. Which of them is
/// closed depends on when a busy machine noted the last byte of each.
async fn assert_the_crowd_gives_way(server: SocketAddr, path: &str) {
    let mut few = idle(1, server, 5).await;
    let mut crowd = idle(2, server, ROOM - 5).await;
    let mut newcomers = Vec::new();
    for _ in 0..3 {
        let mut newcomer = connect(3, server).await;
        assert!(ask(&mut newcomer, path).await.starts_with("HTTP/1.1 "), "another address is served");
        newcomers.push(newcomer);
        let closed = first_closed(&crowd).await;
        crowd.remove(closed);
    }
    for kept in few.iter_mut().chain(&mut crowd) {
        assert!(ask(kept, "/readyz").await.starts_with("HTTP/1.1 200"));
    }
}

/// With no idle connection, a newcomer from the same address can check the service's health, nothing else.
async fn assert_health_is_answered(server: SocketAddr, path: &str) {
    let mut busy = idle(1, server, ROOM).await;
    for health in ["/healthz", "/readyz"] {
        assert!(ask(&mut connect(1, server).await, health).await.starts_with("HTTP/1.1 200"), "{health}");
    }
    let refused = ask(&mut connect(1, server).await, path).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: "), "{refused}");
    for kept in &mut busy {
        assert!(ask(kept, "/healthz").await.starts_with("HTTP/1.1 200"));
    }
}

async fn web(settled: Duration) -> (TestWeb, SocketAddr) {
    let web = TestWeb::spawn_with(|settings| small(settings, settled)).await;
    let address = web.base.strip_prefix("http://").unwrap().parse().unwrap();
    (web, address)
}

#[actix_web::test]
async fn a_full_web_app_closes_connections_of_the_address_with_the_most() {
    let (web, address) = web(Duration::ZERO).await;
    assert_the_crowd_gives_way(address, "/login").await;
    web.stop().await;
}

#[actix_web::test]
async fn a_full_download_service_closes_connections_of_the_address_with_the_most() {
    let mut setup = Setup::default();
    small(&mut setup.settings, Duration::ZERO);
    let node = setup.start().await;
    assert_the_crowd_gives_way(node.address, "/d/x").await;
    node.stop().await;
}

#[actix_web::test]
async fn a_web_app_without_an_idle_connection_answers_health_checks() {
    let (web, address) = web(Duration::from_secs(3600)).await;
    assert_health_is_answered(address, "/login").await;
    web.stop().await;
}

#[actix_web::test]
async fn a_download_service_without_an_idle_connection_answers_health_checks() {
    let mut setup = Setup::default();
    small(&mut setup.settings, Duration::from_secs(3600));
    let node = setup.start().await;
    assert_health_is_answered(node.address, "/d/x").await;
    node.stop().await;
}

#[actix_web::test]
async fn memory_held_for_one_client_is_limited_and_everybody_else_is_served() {
    let web = TestWeb::spawn_with(|settings| {
        settings.web.form_max = 256 << 10;
        settings.web.body_memory = 1 << 20;
    })
    .await;
    let address: SocketAddr = web.base.strip_prefix("http://").unwrap().parse().unwrap();
    let head = "POST /l/some-code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 60000\r\n\r\n";
    let mut greedy = Vec::new();
    for _ in 0..40 {
        let mut stream = connect(2, address).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        greedy.push(stream);
    }
    // 52 KiB each beyond the uncounted part: twenty fit, and the earlier ones gave way.
    for stream in &mut greedy[..15] {
        until_closed(stream).await;
    }
    web.account("ada@example.org", &[]).await;
    web.logged_in("ada@example.org").await;
    let mut small = connect(2, address).await;
    assert!(ask(&mut small, "/login").await.starts_with("HTTP/1.1 200"));
    web.stop().await;
}

#[actix_web::test]
async fn a_form_that_is_too_large_is_refused_before_it_has_arrived() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let browser = web.logged_in("ada@example.org").await;
    let cookies: Vec<String> =
        browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let address: SocketAddr = web.base.strip_prefix("http://").unwrap().parse().unwrap();
    for body in [
        "Content-Length: 4194304\r\n\r\n".to_owned(),
        format!("Transfer-Encoding: chunked\r\n\r\n40001\r\n{}\r\n", "a".repeat(0x40001)),
    ] {
        let mut stream = connect(1, address).await;
        let head = format!(
            "POST /links HTTP/1.1\r\nHost: {address}\r\nCookie: {}\r\nAccept: text/html\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{body}",
            cookies.join("; ")
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let _end = tokio::time::timeout(NEVER, stream.read_to_end(&mut said)).await.unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("HTTP/1.1 413"), "{said}");
        assert!(said.contains("262 kB"), "the page says how much can be sent: {said}");
    }
    web.stop().await;
}
