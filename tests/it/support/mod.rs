//! What the tests share: a download node on a free port with its own folder, keys and clock, and clients that
//! can break off.

pub mod api;
pub mod both;
pub mod browser;
pub mod client;
pub mod deliveries;
pub mod exim;
pub mod faketime;
pub mod letters;
pub mod links;
pub mod mail;
pub mod postfix;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod proxies;
pub mod proxy;
pub mod redis;
pub mod requests;
pub mod scripted_smtp;
pub mod serving;
pub mod shared;
pub mod smtp;
pub mod statements;
pub mod stores;
pub mod tus;
pub mod volume;
pub mod web;
pub mod web_process;
pub mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use oncelink::clock::{Clock, Timestamp};
use oncelink::config::{Settings, ShareSettings};
use oncelink::files::Shares;
use oncelink::id::{FilePath, Jti};
use oncelink::server::{self, Role, RunningServices};
use oncelink::used_tokens::UsedTokens;
use oncelink::used_tokens::sled::SledUsedTokens;
use oncelink::web::tokens::issuer::{DownloadTokenRequest, IssuedToken, Issuer};
use oncelink::web::tokens::signer::Signer;
use tempfile::TempDir;

/// The time at which tests with a manual clock begin.
pub const T0: Timestamp = Timestamp::from_secs(1_795_000_000);

/// A download service, and the private key that the service itself does not have.
pub struct Node {
    running: Option<RunningServices>,
    pub dir: Arc<TempDir>,
    pub clock: Clock,
    pub address: SocketAddr,
    pub issuer: Issuer,
    settings: Settings,
    store: Option<Arc<dyn UsedTokens>>,
}

/// The configuration of a [`Node`].
pub struct Setup {
    pub settings: Settings,
    pub clock: Clock,
    pub store: Option<Arc<dyn UsedTokens>>,
    pub dir: Arc<TempDir>,
}

impl Default for Setup {
    fn default() -> Setup {
        let dir = Arc::new(TempDir::new().unwrap());
        std::fs::create_dir(dir.path().join("share")).unwrap();
        let shares = vec![ShareSettings {
            name: "files".to_owned(),
            path: dir.path().join("share"),
            read: vec!["everyone".to_owned()],
            ..ShareSettings::default()
        }];
        let mut settings = Settings { data_dir: dir.path().join("data"), shares, ..Settings::default() };
        settings.download.listen = unused_address().into();
        settings.download.public_url = "http://127.0.0.1:0".to_owned();
        settings.download.keys = dir.path().join("jwks.json").display().to_string();
        settings.download.stop_timeout = Duration::from_secs(1);
        let clock = Clock::manual(T0);
        Setup { settings, clock, store: None, dir }
    }
}

impl Setup {
    pub async fn start(self) -> Node {
        let Setup { settings, clock, store, dir } = self;
        let signer = Signer::open(&dir.path().join("signer"), T0).unwrap();
        std::fs::write(dir.path().join("jwks.json"), signer.jwks(clock.now())).unwrap();
        let open = || -> Arc<dyn UsedTokens> {
            let path = settings.used_tokens_dir();
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // The store is as old as the key: no token is older, so there is no need to wait for the fence.
            Arc::new(SledUsedTokens::open(&path, &clock, Some(T0)).unwrap())
        };
        let shared = settings.download.used_tokens.is_shared();
        let first_store = store.clone().or_else(|| (!shared).then(open));
        let running = start(settings.clone(), clock.clone(), first_store).await;
        let address = running.download.unwrap();
        let issuer = Issuer {
            signer: Arc::new(signer),
            issuer: running.settings.web.public_url.clone(),
            audience: running.settings.download.public_url.clone(),
            download_url: running.settings.download.public_url.clone(),
            lifetime: Duration::from_secs(120),
        };
        Node { running: Some(running), dir, clock, address, issuer, settings, store }
    }
}

async fn start(settings: Settings, clock: Clock, store: Option<Arc<dyn UsedTokens>>) -> RunningServices {
    Box::pin(server::start_with(settings, Role::Download, clock, store)).await.unwrap()
}

impl Node {
    pub async fn start() -> Node {
        Setup::default().start().await
    }

    /// Puts a file in the share.
    pub fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join("share").join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The address of a new token for a file in the share.
    pub fn link(&self, name: &str) -> String {
        self.issue(name, |_| {}).address
    }

    /// Issues a token; `change` adjusts its order.
    pub fn issue(&self, name: &str, change: impl FnOnce(&mut DownloadTokenRequest<'_>)) -> IssuedToken {
        self.issue_at(&path(name), change)
    }

    /// Issues a token that continues what the token of `jti` began; `change` adjusts its order.
    pub fn continuation(
        &self,
        jti: Jti,
        name: &str,
        change: impl FnOnce(&mut DownloadTokenRequest<'_>),
    ) -> String {
        let file = path(name);
        let mut order = DownloadTokenRequest { again: true, ..DownloadTokenRequest::new("tester", &file) };
        change(&mut order);
        self.issuer.issue_download_as(jti, &order, self.clock.now()).unwrap().address
    }

    /// The same for a path that must live longer than the order, as with a version claim.
    pub fn issue_at<'o>(
        &self,
        file: &'o FilePath,
        change: impl FnOnce(&mut DownloadTokenRequest<'o>),
    ) -> IssuedToken {
        let mut order = DownloadTokenRequest::new("tester", file);
        change(&mut order);
        self.issuer.issue_download(&order, self.clock.now()).unwrap()
    }

    /// A token from a signer whose clock is ahead.
    pub fn issue_later(&self, name: &str, ahead: Duration) -> String {
        let file = path(name);
        self.issuer
            .issue_download(&DownloadTokenRequest::new("tester", &file), self.clock.now().plus(ahead))
            .unwrap()
            .token
    }

    /// The version of a file, as the web app would claim it.
    pub fn version(&self, name: &str) -> String {
        let shares = Shares::open(&self.settings.shares).unwrap();
        shares.claim(&path(name)).unwrap().to_string()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Advances the clock.
    pub fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now().plus(time));
    }

    /// Stops the node and starts it again with the same folder and port.
    pub async fn restart(self) -> Node {
        self.restart_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn restart_with(mut self, change: impl FnOnce(&mut Settings)) -> Node {
        stop_and_free(self.running.take().unwrap()).await;
        change(&mut self.settings);
        self.settings.download.listen = self.address.into();
        self.settings.download.public_url = self.issuer.download_url.clone();
        let running = start(self.settings.clone(), self.clock.clone(), self.store.clone()).await;
        self.running = Some(running);
        self
    }

    pub async fn stop(mut self) {
        Box::pin(self.running.take().unwrap().stop()).await;
    }
}

/// Settings of both services on free ports, with their data in `folder`.
pub fn on_free_ports(folder: &Path) -> Settings {
    let mut settings = Settings { data_dir: folder.join("data"), ..Settings::default() };
    settings.web.listen = unused_address().into();
    settings.web.public_url = "http://127.0.0.1:0".to_owned();
    settings.download.listen = unused_address().into();
    settings.download.public_url = "http://127.0.0.1:0".to_owned();
    settings
}

/// A share that everyone who is logged in may read.
pub fn for_everyone(name: &str, path: PathBuf) -> ShareSettings {
    ShareSettings {
        name: name.to_owned(),
        path,
        read: vec!["everyone".to_owned()],
        ..ShareSettings::default()
    }
}

/// Stops the services, and waits until others can listen at their addresses: a program that another test is
/// starting holds copies of the listeners between `fork` and `exec`.
pub async fn stop_and_free(running: RunningServices) {
    let addresses = [running.web, running.download];
    Box::pin(running.stop()).await;
    for address in addresses.into_iter().flatten() {
        // Without listening, so that this socket is in nobody's way.
        let is_free = || {
            let socket =
                socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&address.into()).is_ok()
        };
        deliveries::eventually("a free port", async || is_free()).await;
    }
}

/// An address for a program that must be told its port before it starts, or that starts again at the same port.
/// The system never gives such a port to a socket that asks for any, and every test process begins at another
/// one, so that nobody else takes it meanwhile.
pub fn unused_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Linux gives out 32768 and above.
    const FIRST: u16 = 12_000;
    const PORTS: u16 = 20_000;
    let begin = u16::try_from(std::process::id().wrapping_mul(331) % u32::from(PORTS)).unwrap();
    for _ in 0..PORTS {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS;
        let is_free = |host: &str| std::net::TcpListener::bind((host, port)).is_ok();
        if is_free("127.0.0.1") && (is_free("::1") || !is_ipv6_there()) {
            return SocketAddr::from(([127, 0, 0, 1], port));
        }
    }
    panic!("no port is free");
}

fn is_ipv6_there() -> bool {
    std::net::TcpListener::bind(("::1", 0)).is_ok()
}

/// The file path of a file in the nodes' share.
pub fn path(name: &str) -> FilePath {
    format!("/files/{name}").parse().unwrap()
}

/// Bytes without repetition, so that a wrong offset is noticed.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
