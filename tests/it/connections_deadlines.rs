//! Every phase of a connection has a deadline, whatever the framing, at both listeners. The deadlines are
//! shortened for these tests; all other tests would show if they fired too early.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use oncelink::config::ConnectionLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::web::TestWeb;
use crate::support::{Setup, pattern};

/// Short enough that a table of all phases takes seconds.
const SHORT: ConnectionLimits = ConnectionLimits {
    head: Duration::from_millis(200),
    idle: Duration::from_millis(300),
    drain: Duration::from_millis(200),
    window: Duration::from_millis(400),
    least_per_window: 16 * 1024,
    settled: Duration::ZERO,
    sendfile: true,
};

/// By then every deadline has passed, even on a machine that is busy with other tests.
const NEVER: Duration = Duration::from_secs(60);

/// What a client does where the server expects more from it.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Sends nothing more.
    Waits,
    /// Sends one byte at a time.
    Drips,
    /// Closes its side for sending.
    ShutsDown,
}

/// Each phase, and what was sent before it. `HOST` stands for the address.
const PHASES: [(&str, &str, Then); 20] = [
    ("connects and is silent", "", Then::Waits),
    ("half a request line", "GET /hea", Then::Waits),
    ("half a head", "GET /healthz HTTP/1.1\r\nHost: HOST\r\n", Then::Waits),
    ("a head in drips", "GET /healthz HTTP/1.1\r\nHost: HOST\r\nX: ", Then::Drips),
    ("half a head, then closed for sending", "GET /healthz HTTP/1.1\r\n", Then::ShutsDown),
    ("idle after an answer", "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n", Then::Waits),
    ("closed for sending after a request", "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n", Then::ShutsDown),
    (
        "half a second head, sent with the first",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\nGET /healthz HTTP/1.1\r\nHo",
        Then::Waits,
    ),
    (
        "a second head in drips",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\nGET /healthz HTTP/1.1\r\nX: ",
        Then::Drips,
    ),
    ("empty lines", "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n\r\n", Then::Waits),
    (
        "an unread body by length",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nContent-Length: 9\r\n\r\n",
        Then::Waits,
    ),
    (
        "an unread body by length, in drips",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nContent-Length: 900000\r\n\r\n",
        Then::Drips,
    ),
    (
        "an unread body in chunks, none of them there",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n",
        Then::Waits,
    ),
    (
        "an unread body in chunks, one of them there",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        Then::Waits,
    ),
    (
        "an unread body in chunks, the size of one in drips",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0",
        Then::Drips,
    ),
    (
        "an unread body in chunks, one of them in drips",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
        Then::Drips,
    ),
    (
        "an unread body in chunks that ends but for its last line",
        "POST /nothing HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
        Then::Waits,
    ),
    (
        "the last request, with an unread body in chunks",
        "GET /healthz HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        Then::Waits,
    ),
    (
        "a body that was to be asked for",
        "POST /revocations HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        Then::Waits,
    ),
    (
        "a refused form in chunks",
        "POST /login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n",
        Then::Drips,
    ),
];

/// Phases in which a handler of the web app waits for the body.
const BODIES: [(&str, &str, Then); 5] = [
    ("a form by length", "Content-Length: 9\r\n\r\n", Then::Waits),
    ("a form by length, in drips", "Content-Length: 60000\r\n\r\n", Then::Drips),
    ("a form in chunks", "Transfer-Encoding: chunked\r\n\r\n", Then::Waits),
    ("a form in chunks, in drips", "Transfer-Encoding: chunked\r\n\r\nffff\r\n", Then::Drips),
    ("half a form, then closed for sending", "Content-Length: 9\r\n\r\na=", Then::ShutsDown),
];

async fn until<T>(what: &str, done: impl Future<Output = T>) -> T {
    tokio::time::timeout(NEVER, done).await.unwrap_or_else(|_| panic!("{what}: never closed"))
}

/// Plays a phase, and returns what the server sent until it closed the connection.
async fn play(address: SocketAddr, sent: &str, then: Then) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let sent = sent.replace("HOST", &address.to_string());
    stream.write_all(sent.as_bytes()).await.unwrap();
    if matches!(then, Then::ShutsDown) {
        stream.shutdown().await.unwrap();
    }
    let (mut reader, mut writer) = stream.into_split();
    let dripping = async {
        if matches!(then, Then::Drips) {
            let mut often = tokio::time::interval(Duration::from_millis(20));
            while writer.write_all(b"1").await.is_ok() {
                often.tick().await;
            }
        }
        std::future::pending::<()>().await
    };
    let mut said = Vec::new();
    tokio::select! {
        // A close and a reset both end the connection.
        _ = reader.read_to_end(&mut said) => {}
        () = dripping => {}
    }
    String::from_utf8_lossy(&said).into_owned()
}

async fn assert_all_end(listener: &str, address: SocketAddr, phases: &[(String, String, Then)]) {
    let playing = phases.iter().map(|(phase, sent, then)| {
        let what = format!("{listener}: {phase}");
        async move {
            let said = until(&what, play(address, sent, *then)).await;
            // A client that closes its side has hung up, and needs no response.
            if matches!(then, Then::ShutsDown) {
                return;
            }
            // A complete request is answered before the connection is closed.
            let is_request = sent.contains("\r\n\r\n");
            assert_eq!(said.starts_with("HTTP/1.1 "), is_request || said.contains(" 408 "), "{what}: {said}");
        }
    });
    futures_util::future::join_all(playing).await;
}

fn phases() -> Vec<(String, String, Then)> {
    PHASES.map(|(phase, sent, then)| (phase.to_owned(), sent.to_owned(), then)).to_vec()
}

async fn web() -> TestWeb {
    TestWeb::spawn_with(|settings| settings.connection_limits = SHORT).await
}

fn address_of(base: &str) -> SocketAddr {
    base.strip_prefix("http://").unwrap().parse().unwrap()
}

#[actix_web::test]
async fn every_phase_ends_at_the_web_app() {
    let web = web().await;
    let mut phases = phases();
    for (phase, rest, then) in BODIES {
        // This form needs no login, and its handler reads the whole body whatever the code is.
        let head =
            "POST /l/some-code HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        phases.push((phase.to_owned(), format!("{head}{rest}"), then));
    }
    assert_all_end("web app", address_of(&web.base), &phases).await;
    assert_eq!(web.browser().get("/healthz").await.status, 200);
    web.stop().await;
}

#[actix_web::test]
async fn every_phase_ends_at_the_download_service() {
    let mut setup = Setup::default();
    setup.settings.connection_limits = SHORT;
    let node = setup.start().await;
    assert_all_end("download service", node.address, &phases()).await;
    node.stop().await;
}

/// Sends requests over a connection with a tiny window, reads nothing, and waits for the reset.
async fn never_read(address: SocketAddr, requests: &str) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // A server that stops reading accepts only some of them.
    let sending = tokio::time::timeout(Duration::from_millis(100), stream.write_all(requests.as_bytes()));
    let _taken = sending.await;
    until("a response that nobody reads", stream.ready(Interest::ERROR)).await.unwrap();
}

#[actix_web::test]
async fn a_client_that_never_reads_is_cut_off() {
    let mut setup = Setup::default();
    setup.settings.connection_limits = SHORT;
    let node = setup.start().await;
    node.put("big.bin", &pattern(16 << 20));
    let path = node.link("big.bin").split_once("/d/").map(|(_, rest)| format!("/d/{rest}")).unwrap();
    let host = node.address;
    never_read(host, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let refusals = format!("GET /d/x HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n").repeat(20_000);
    never_read(host, &refusals).await;
    node.stop().await;
    let web = web().await;
    let host = address_of(&web.base);
    never_read(host, &format!("GET /login HTTP/1.1\r\nHost: {host}\r\n\r\n").repeat(20_000)).await;
    web.stop().await;
}

#[actix_web::test]
async fn a_connection_in_use_is_kept_open() {
    let web = web().await;
    let host = address_of(&web.base);
    let mut stream = TcpStream::connect(host).await.unwrap();
    let mut often = tokio::time::interval(SHORT.idle / 6);
    for _ in 0..15 {
        often.tick().await;
        stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_head_may_have_32_kib_and_the_refusal_of_a_larger_one_mentions_cookies() {
    let web = TestWeb::spawn().await;
    let node = Setup::default().start().await;
    for host in [address_of(&web.base), node.address] {
        for (size, status) in [
            (8_000, "200 OK"),
            (32 << 10, "200 OK"),
            ((32 << 10) + 1, "431"),
            (100_000, "431"),
            (3 << 20, "431"),
        ] {
            let start = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: a=");
            let head = format!("{start}{}\r\n\r\n", "x".repeat(size - start.len() - 4));
            assert_eq!(head.len(), size);
            let stream = TcpStream::connect(host).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            // A refused client may find the connection closed before it has sent everything.
            let sending = async {
                let _sent = writer.write_all(head.as_bytes()).await;
                std::future::pending::<()>().await
            };
            let mut said = Vec::new();
            tokio::select! {
                _ = reader.read_to_end(&mut said) => {}
                () = sending => {}
            }
            let said = String::from_utf8(said).unwrap();
            assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{size} bytes: {said}");
            assert_eq!(said.contains("cookies"), status == "431", "{size} bytes: {said}");
        }
    }
    node.stop().await;
    web.stop().await;
}
