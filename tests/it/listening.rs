//! The places where services listen: several addresses, and Unix sockets, whose peers are trusted proxies.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use oncelink::clock::Clock;
use oncelink::config::{Listen, ListenAddress, Settings};
use oncelink::receipt::DeliveryState;
use oncelink::server::{self, Role, ServeError};
use oncelink::web::nodes::over_http::HttpNode;
use oncelink::web::nodes::revoke::RevocationSink;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::client::Client;
use crate::support::deliveries::{BothServices, WebAccess, settings};
use crate::support::process::PROGRAM;
use crate::support::{T0, pattern, unused_address};

const MIB: usize = 1024 * 1024;

fn list(places: &[String]) -> Listen {
    Listen::new(places.iter().map(|place| place.parse().unwrap()).collect()).unwrap()
}

fn socket(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A response through a Unix socket, of which the body isn't read yet.
struct ThroughSocket {
    stream: UnixStream,
    head: String,
}

impl ThroughSocket {
    async fn get(socket: &Path, path: &str, extra: &str) -> io::Result<ThroughSocket> {
        let mut stream = UnixStream::connect(socket).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: files.example\r\n{extra}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        Ok(ThroughSocket { stream, head: String::from_utf8(head).unwrap() })
    }

    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn body(mut self, count: usize) -> Vec<u8> {
        let mut body = vec![0; count];
        self.stream.read_exact(&mut body).await.unwrap();
        body
    }
}

/// Both services, of which the download service also listens on a socket; and the socket.
async fn with_socket() -> (BothServices, PathBuf) {
    let mut socket_path = PathBuf::new();
    let services = BothServices::start_with(|settings| {
        socket_path = settings.data_dir.with_file_name("download.sock");
        settings.download.listen = list(&[unused_address().to_string(), socket(&socket_path)]);
    })
    .await;
    (services, socket_path)
}

fn path_of(link: &str) -> &str {
    &link[link.find("/d/").unwrap()..]
}

#[actix_web::test]
async fn one_service_listens_at_several_addresses_and_sockets() {
    let folder = TempDir::new().unwrap();
    let mut settings = settings(&folder);
    let (first, port) = (unused_address(), unused_address().port());
    let sockets = ["one.sock", "two.sock"].map(|name| folder.path().join(name));
    let mut places = vec![first.to_string(), format!("127.0.0.2:{port}")];
    places.extend(sockets.iter().map(|path| socket(path)));
    settings.web.listen = list(&places);
    let running = Box::pin(server::start(settings, Role::Both, Clock::manual(T0))).await.unwrap();
    for address in [first.to_string(), format!("127.0.0.2:{port}")] {
        assert_eq!(Client::default().get(&format!("http://{address}/login")).await.status, 200, "{address}");
    }
    for path in &sockets {
        assert_eq!(ThroughSocket::get(path, "/login", "").await.unwrap().status(), 200, "{path:?}");
    }
    running.stop().await;
    for path in &sockets {
        assert!(!path.exists(), "a stop removes the socket");
    }
}

#[actix_web::test]
async fn through_a_socket_the_client_that_the_proxy_names_resumes_and_nobody_else() {
    let (services, socket) = with_socket().await;
    let content = pattern(20 * MIB);
    services.put("a.bin", &content);
    let (_, link) = services.access.token("a.bin", services.clock.now()).await;
    let ada = "X-Forwarded-For: 192.0.2.1\r\n";
    let begun = ThroughSocket::get(&socket, path_of(&link), ada).await.unwrap();
    assert_eq!(begun.status(), 200);
    assert_eq!(begun.body(MIB).await, content[..MIB]);
    let range = format!("Range: bytes={MIB}-\r\n");
    for other in ["", "X-Forwarded-For: 192.0.2.2\r\n", "Forwarded: for=192.0.2.1\r\n"] {
        let extra = format!("{other}{range}");
        let refused = ThroughSocket::get(&socket, path_of(&link), &extra).await.unwrap();
        assert_eq!(refused.status(), 410, "{other}");
    }
    let resumed = ThroughSocket::get(&socket, path_of(&link), &format!("{ada}{range}")).await.unwrap();
    assert_eq!(resumed.status(), 206, "{}", resumed.head);
    assert!(resumed.body(content.len() - MIB).await == content[MIB..]);
    services.stop().await;
}

#[actix_web::test]
async fn through_a_socket_a_file_is_complete_when_the_proxy_has_read_it_and_not_before() {
    let (services, socket) = with_socket().await;
    // All of it fits into the socket.
    let content = pattern(60_000);
    services.put("a.bin", &content);
    let now = services.clock.now();
    let (whole, link) = services.access.token("a.bin", now).await;
    let ada = "X-Forwarded-For: 192.0.2.1\r\n";
    let mut kept = ThroughSocket::get(&socket, path_of(&link), ada).await.unwrap();
    let mut body = vec![0; content.len()];
    kept.stream.read_exact(&mut body).await.unwrap();
    assert!(body == content);
    // The connection is still open.
    services.access.until_state(whole, DeliveryState::Complete).await;
    drop(kept);

    let (partly, link) = services.access.token("a.bin", now).await;
    let begun = ThroughSocket::get(&socket, path_of(&link), ada).await.unwrap();
    assert_eq!(begun.body(1000).await, content[..1000]);
    let broken = services.access.until_state(partly, DeliveryState::Interrupted).await;
    assert_eq!(broken.state, DeliveryState::Interrupted);
    let again = ThroughSocket::get(&socket, path_of(&link), ada).await.unwrap();
    assert_eq!(again.status(), 200, "{}", again.head);
    assert!(again.body(content.len()).await == content);
    services.access.until_state(partly, DeliveryState::Complete).await;
    services.stop().await;
}

fn web_at(folder: &TempDir, listen: String) -> Settings {
    let mut settings = settings(folder);
    settings.web.listen = listen.parse::<ListenAddress>().unwrap().into();
    settings.web.public_url = "http://files.example".to_owned();
    settings
}

async fn start_web(settings: &Settings) -> Result<server::RunningServices, ServeError> {
    Box::pin(server::start(settings.clone(), Role::Web, Clock::manual(T0))).await
}

#[actix_web::test]
async fn a_socket_has_the_permissions_that_are_written() {
    for (written, mode) in [("", 0o660), ("?mode=0600", 0o600), ("?mode=666", 0o666)] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("web.sock");
        let running = start_web(&web_at(&folder, format!("{}{written}", socket(&path)))).await.unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{written}");
        running.stop().await;
    }
}

#[actix_web::test]
async fn a_socket_that_a_dead_process_left_is_replaced_and_nothing_else_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("web.sock");
    let settings = web_at(&folder, socket(&path));
    // Closing a listener leaves its file.
    let other = UnixListener::bind(&path).unwrap();
    let refused = start_web(&settings).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(&refused, ServeError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    );
    drop(other);
    assert!(path.exists());
    let running = start_web(&settings).await.unwrap();
    assert_eq!(ThroughSocket::get(&path, "/healthz", "").await.unwrap().status(), 200);
    // Another process's socket at the same path is not removed.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    running.stop().await;
    assert!(path.exists());
    drop(other);
    fs::remove_file(&path).unwrap();

    fs::write(&path, "not a socket").unwrap();
    assert!(start_web(&settings).await.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a socket");
}

#[actix_web::test]
async fn separate_services_reach_each_other_through_sockets() {
    let folder = TempDir::new().unwrap();
    let [web_socket, download_socket] = ["web.sock", "dl.sock"].map(|name| folder.path().join(name));
    let mut web = web_at(&folder, socket(&web_socket));
    web.download.listen = list(&[socket(&download_socket), unused_address().to_string()]);
    web.download.public_url = format!("http://{}", web.download.listen.tcp().next().unwrap());
    web.download.keys = format!("{}:/.well-known/jwks.json", socket(&web_socket));
    web.download.receipts = format!("{}:/receipts", socket(&web_socket));
    web.download.node_key = web.keys_dir().join("node-key");
    let mut download = web.clone();
    download.data_dir = folder.path().join("node");
    let clock = Clock::wall();
    let web_app = Box::pin(server::start(web.clone(), Role::Web, clock.clone())).await.unwrap();
    let node = Box::pin(server::start(download, Role::Download, clock.clone())).await.unwrap();
    let access = WebAccess::open(&web, clock.clone()).await;
    access.link(None, "never").await;
    fs::write(folder.path().join("share/a.bin"), pattern(5000)).unwrap();
    // The keys were fetched, and the receipt arrives.
    let (jti, link) = access.token("a.bin", clock.now()).await;
    assert_eq!(Client::default().get(&link).await.body, pattern(5000));
    access.until_state(jti, DeliveryState::Complete).await;
    // So does a revocation.
    let (jti, link) = access.token("a.bin", clock.now()).await;
    let inner_url = &web.download_services()[0].inner_url;
    assert_eq!(*inner_url, socket(&download_socket));
    let issuer = access.db.issuer.for_audience(&web.download.public_url);
    HttpNode::new(issuer, inner_url).unwrap().revoke(&[jti], clock.now()).await.unwrap();
    assert_eq!(Client::default().get(&link).await.slug(), "revoked-token");
    node.stop().await;
    web_app.stop().await;
    access.db.db.close().await;
}

#[test]
fn check_and_healthcheck_know_sockets() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("share")).unwrap();
    let [web, download] = ["web.sock", "dl.sock"].map(|name| folder.path().join(name).display().to_string());
    let settings = format!(
        "data_dir = 'data'\n[web]\nlisten = 'unix:{web}'\npublic_url = 'https://files.example.org'\n[download]\n\
         listen = ['unix:{download}']\npublic_url = 'https://dl.example.org'\n\
         [[share]]\nname = 'open'\npath = 'share'\nread = ['everyone']\n"
    );
    fs::write(folder.path().join("oncelink.toml"), settings).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).current_dir(folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = run(&["healthcheck", "web"]);
    assert!(code == Some(1) && text.contains(&format!("the web app at unix:{web}")), "{text}");
    let (_, text) = run(&["check"]);
    for free in [&web, &download] {
        assert!(text.contains(&format!("unix:{free} is free")), "{text}");
    }
    assert!(!text.contains("trusted_proxies"), "{text}");

    let mut serving = Command::new(PROGRAM)
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    crate::support::process::wait_for("readiness", || run(&["healthcheck"]).0 == Some(0));
    let (_, text) = run(&["check"]);
    for ours in [&web, &download] {
        assert!(text.contains(&format!("the running service listens on unix:{ours}")), "{text}");
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
}
