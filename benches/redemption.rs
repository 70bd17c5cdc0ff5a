//! A whole redemption through the socket: request, verification, durable claim, file, response.
//!
//! `cargo bench --bench redemption`. One client on one keep-alive connection, with a new token each time, so
//! each figure of `sled` includes a flush of the disk; `memory` shows the cost without it. `TMPDIR` selects
//! the disk.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench fails by panicking, and measures time"
)]
#![allow(
    clippy::indexing_slicing,
    missing_docs,
    reason = "indices come from the lengths they index; a program, not a library"
)]

#[path = "support/timing.rs"]
mod timing;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oncelink::clock::{Clock, Timestamp};
use oncelink::config::{Settings, ShareSettings};
use oncelink::id::{FilePath, Jti};
use oncelink::server::{self, Role};
use oncelink::token::claims::{CommonClaims, DownloadClaims};
use oncelink::token::{Algorithm, HmacSecret, TokenKind};
use oncelink::used_tokens::UsedTokens;
use oncelink::used_tokens::memory::MemoryUsedTokens;
use oncelink::used_tokens::sled::SledUsedTokens;
use oncelink::web::tokens::issuer::{DownloadTokenRequest, Issuer};
use oncelink::web::tokens::signer::{Signer, sign_shared};
use tempfile::TempDir;

use crate::timing::time_batches;

const SECRET: &[u8] = b"a secret that a bench shares with itself";

#[derive(Clone, Copy)]
enum Store {
    Sled,
    Memory,
}

/// A download service in this process, and the keys to sign for it.
struct Node {
    issuer: Issuer,
    secret: HmacSecret,
    clock: Clock,
    file: FilePath,
    client: TcpStream,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _dir: TempDir,
}

impl Node {
    fn start(store: Store, len: usize) -> Node {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("share")).unwrap();
        std::fs::write(dir.path().join("share/file.bin"), vec![7; len]).unwrap();
        std::fs::write(dir.path().join("secret"), SECRET).unwrap();
        let clock = Clock::wall();
        let signer = Signer::open(&dir.path().join("signer"), clock.now()).unwrap();
        std::fs::write(dir.path().join("jwks.json"), signer.jwks(clock.now())).unwrap();

        let mut settings = Settings { data_dir: dir.path().join("data"), ..Settings::default() };
        settings.download.listen = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        settings.download.public_url = "http://127.0.0.1:0".to_owned();
        settings.download.keys = dir.path().join("jwks.json").display().to_string();
        settings.download.stop_timeout = Duration::from_secs(1);
        settings.token.shared_secrets =
            vec![oncelink::config::SharedSecret { kid: "bench".to_owned(), file: dir.path().join("secret") }];
        settings.shares = vec![ShareSettings {
            name: "files".to_owned(),
            path: dir.path().join("share"),
            read: vec!["everyone".to_owned()],
            ..ShareSettings::default()
        }];
        let used_tokens: Arc<dyn UsedTokens> = match store {
            Store::Memory => Arc::new(MemoryUsedTokens::new(Timestamp::EPOCH)),
            Store::Sled => {
                let path = dir.path().join("used-tokens");
                Arc::new(SledUsedTokens::open(&path, &clock, Some(Timestamp::EPOCH)).unwrap())
            }
        };
        let (ready, started) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = clock.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running =
                    server::start_with(settings, Role::Download, serving, Some(used_tokens)).await.unwrap();
                let web = running.settings.web.public_url.clone();
                ready
                    .send((running.download.unwrap(), running.settings.download.public_url.clone(), web))
                    .unwrap();
                let _dropped = stopped.await;
                running.stop().await;
            });
        });
        let (address, public_url, issuer) = started.recv().unwrap();
        let issuer = Issuer {
            signer: Arc::new(signer),
            issuer,
            audience: public_url.clone(),
            download_url: public_url,
            lifetime: Duration::from_secs(3600),
        };
        let client = TcpStream::connect(address).unwrap();
        client.set_nodelay(true).unwrap();
        Node {
            issuer,
            secret: HmacSecret::new("bench", SECRET).unwrap(),
            clock,
            file: "/files/file.bin".parse().unwrap(),
            client,
            stop: Some(stop),
            thread: Some(thread),
            _dir: dir,
        }
    }

    fn requests(&self, algorithm: Algorithm, count: u64) -> Vec<Vec<u8>> {
        let token = || match algorithm {
            Algorithm::Hs256 => self.shared(),
            _ => {
                let order = DownloadTokenRequest::new("account-4711", &self.file);
                self.issuer.issue_download(&order, self.clock.now()).unwrap().token
            }
        };
        let request =
            |_| format!("GET /d/{} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n", token()).into_bytes();
        (0..count).map(request).collect()
    }

    fn shared(&self) -> String {
        let now = self.clock.now();
        let claims = DownloadClaims {
            common: CommonClaims {
                iss: &self.issuer.issuer,
                aud: &self.issuer.audience,
                jti: Jti::random().unwrap(),
                iat: now,
                exp: now.plus(Duration::from_secs(3600)),
            },
            sub: "account-4711",
            file: Some(&self.file),
            zip: None,
            name: None,
            confirm: false,
            again: false,
            link: None,
            size: None,
            version: None,
            digest: None,
        };
        sign_shared(&self.secret, TokenKind::Download, &claims).unwrap()
    }

    /// Sends a request and reads the whole response.
    fn redeem(&mut self, request: &[u8], buffer: &mut [u8], len: usize) {
        self.client.write_all(request).unwrap();
        let mut have = 0;
        let head = loop {
            have += self.client.read(&mut buffer[have..]).unwrap();
            if let Some(end) = buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..head]));
        while have < head + len {
            have += self.client.read(&mut buffer[have..]).unwrap();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = self.client.shutdown(std::net::Shutdown::Both);
        drop(self.stop.take());
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn main() {
    for (size, len) in [("1KiB", 1 << 10), ("1MiB", 1 << 20)] {
        for (store_name, store) in [("memory", Store::Memory), ("sled", Store::Sled)] {
            let mut node = Node::start(store, len);
            let mut buffer = vec![0; len + 4096];
            for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
                time_batches(&format!("redemption/{size}/{algorithm}/{store_name}"), |count| {
                    let requests = node.requests(algorithm, count);
                    let begin = Instant::now();
                    for request in &requests {
                        node.redeem(request, &mut buffer, len);
                    }
                    begin.elapsed()
                });
            }
        }
    }
}
