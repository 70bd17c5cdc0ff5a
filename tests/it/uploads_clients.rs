//! Uploads with real client programs, tus-js-client and tuspy, over connections that break and through a
//! kill -9 of the server. `.ci/run` fetches both into `target/`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::needs::{has_program, skip};
use crate::support::deliveries::eventually;
use crate::support::pattern;
use crate::support::process::wait_for;
use crate::support::programs::{self, Ended};
use crate::support::proxies::{Front, Kind};
use crate::support::tus::Uploader;
use crate::support::web_process::WebSite;

const MIB: usize = 1 << 20;

/// A third-party client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Js,
    Python,
}

impl Client {
    /// Whether it is installed. If not, says so.
    fn is_there(self) -> bool {
        let (program, library) = self.parts();
        has_program(program)
            && (library.exists() || skip(&format!("{}; .ci/run fetches it", library.display())))
    }

    fn parts(self) -> (&'static str, PathBuf) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        match self {
            Client::Js => ("node", root.join("tus/node_modules/tus-js-client")),
            Client::Python => ("/usr/bin/python3", root.join("tuspy")),
        }
    }

    async fn upload(self, site: &WebSite, ada: &Uploader, at: SocketAddr, order: Value) -> Ended {
        let (program, library) = self.parts();
        let script = match self {
            Client::Js => "tests/it/support/tus_upload.cjs",
            Client::Python => "tests/it/support/tus_upload.py",
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let mut all = json!({
            "library": library,
            "endpoint": format!("http://{at}/uploads"),
            "cookie": ada.cookie,
            "csrf": ada.csrf,
            "file": site.dir.path().join("source"),
            "name": "我 uploaded.bin",
            "folder": "/open",
            "chunk": MIB,
            "parallel": 1,
            "checksum": false,
        });
        all.as_object_mut().unwrap().extend(order.as_object().unwrap().clone());
        programs::run(site.dir.path(), program, &[script.to_str().unwrap(), &all.to_string()]).await
    }
}

/// A proxy that breaks each of its first connections after so many bytes of requests.
async fn breaking(to: SocketAddr, cuts: usize, after: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let left = Arc::new(AtomicUsize::new(cuts));
    let shared = left.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let left = shared.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(to).await else { return };
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let requests = async {
                    let (mut chunk, mut carried) = (vec![0; 64 * 1024], 0);
                    while let Ok(count @ 1..) = from_client.read(&mut chunk).await {
                        carried += count;
                        if to_server.write_all(&chunk[..count]).await.is_err() {
                            return;
                        }
                        let cut = |left: usize| left.checked_sub(1);
                        if carried >= after
                            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, cut).is_ok()
                        {
                            return;
                        }
                    }
                };
                let answers = tokio::io::copy(&mut from_server, &mut to_client);
                tokio::select! { () = requests => {}, _ = answers => {} }
            });
        }
    });
    (address, left)
}

/// Writes the file to upload.
fn source(site: &WebSite, len: usize) -> Vec<u8> {
    let content = pattern(len);
    fs::write(site.dir.path().join("source"), &content).unwrap();
    content
}

fn assert_arrived(site: &WebSite, ended: &Ended, content: &[u8]) {
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.said, site.log());
    let arrived = fs::read(site.share.join("我 uploaded.bin")).unwrap();
    assert!(arrived == content, "{} bytes of {} arrived, or they differ", arrived.len(), content.len());
    assert_eq!(site.staged(), 0);
    let files = fs::read_dir(&site.share).unwrap().count();
    assert_eq!(files, 2, "the file and .oncelink");
}

/// Uploads once, over a connection that breaks.
async fn over_a_breaking_line(client: Client, order: Value) {
    if !client.is_there() {
        return;
    }
    let site = WebSite::new(None, "");
    let server = site.start();
    let ada = site.ada().await;
    let content = source(&site, 12 * MIB + 4711);
    let (at, left) = breaking(site.address, 4, 700 * 1024).await;
    let ended = client.upload(&site, &ada, at, order).await;
    assert_arrived(&site, &ended, &content);
    assert_eq!(left.load(Ordering::SeqCst), 0, "the connection broke as often as planned: {}", ended.said);
    server.kill();
}

#[actix_web::test]
async fn tus_js_client_uploads_in_pieces_over_a_line_that_breaks() {
    over_a_breaking_line(Client::Js, json!({})).await;
}

#[actix_web::test]
async fn tus_js_client_uploads_in_one_request_over_a_line_that_breaks() {
    over_a_breaking_line(Client::Js, json!({ "chunk": 1 << 30 })).await;
}

#[actix_web::test]
async fn tus_js_client_uploads_parts_side_by_side_over_a_line_that_breaks() {
    over_a_breaking_line(Client::Js, json!({ "parallel": 3 })).await;
}

#[actix_web::test]
async fn tuspy_uploads_over_a_line_that_breaks() {
    over_a_breaking_line(Client::Python, json!({})).await;
}

#[actix_web::test]
async fn tuspy_uploads_with_checksums_over_a_line_that_breaks() {
    over_a_breaking_line(Client::Python, json!({ "checksum": true })).await;
}

#[actix_web::test]
async fn tus_js_client_uploads_pieces_of_a_mebibyte_through_nginx_with_its_defaults() {
    if !Client::Js.is_there() {
        return;
    }
    let site = WebSite::new(None, "trusted_proxies = ['127.0.0.1']");
    let server = site.start();
    let Some(front) = Front::start(Kind::NginxDefaults, site.address) else { return };
    let ada = site.ada().await;
    let content = source(&site, 5 * MIB + 4711);
    let ended = Client::Js.upload(&site, &ada, front.address, json!({})).await;
    assert_arrived(&site, &ended, &content);
    server.kill();
}

/// Kills the server three times during the upload; bytes that were confirmed to the client are kept.
async fn through_kills(client: Client, order: Value) {
    if !client.is_there() {
        return;
    }
    let site = WebSite::new(None, "");
    let mut server = site.start();
    let ada = site.ada().await;
    let content = source(&site, 160 * MIB);
    let uploading = client.upload(&site, &ada, site.address, order);
    let killing = async {
        for round in 1..=3_u64 {
            let enough = round * 30 * MIB as u64;
            eventually("enough bytes to arrive", async || site.staged() >= enough).await;
            server.kill();
            let kept = site.staged();
            assert!(kept >= enough, "{kept}");
            server = tokio::task::block_in_place(|| site.start());
            assert!(site.staged() >= kept, "a restart loses nothing");
        }
        server
    };
    let (ended, server) = tokio::join!(uploading, killing);
    assert_arrived(&site, &ended, &content);
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_js_client_uploads_through_three_kills_of_the_server() {
    through_kills(Client::Js, json!({ "chunk": 4 * MIB })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tuspy_uploads_through_three_kills_of_the_server() {
    through_kills(Client::Python, json!({ "chunk": 4 * MIB })).await;
}

#[actix_web::test]
async fn what_was_acknowledged_survives_a_kill_to_the_byte_and_the_session_continues() {
    let site = WebSite::new(None, "");
    let server = site.start();
    let ada = site.ada().await;
    let content = pattern(3 * MIB);
    let address = ada.begin("/open", "a.bin", content.len()).await;
    assert_eq!(ada.patch(&address, 0, &content[..1_234_567]).await.status, 204);
    server.kill();
    let server = site.start();
    assert_eq!(ada.head(&address).await.offset(), Some(1_234_567));
    let done = ada.patch(&address, 1_234_567, &content[1_234_567..]).await;
    assert_eq!(done.status, 204, "{done:?}");
    assert!(fs::read(site.share.join("a.bin")).unwrap() == content);
    // The digest is that of the whole file, although no process received all of it.
    server.kill();
    wait_for("the end", || site.staged() == 0);
    let server = site.start();
    let head = ada.head(&address).await;
    assert_eq!(
        (head.offset(), head.header("content-location")),
        (Some(3 * MIB as u64), Some("/files/open/a.bin"))
    );
    server.kill();
}
