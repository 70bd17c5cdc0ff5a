//! Checks whether the services can listen on the configured addresses or already do, and whether they may
//! open enough files.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::check::findings::Findings;
use crate::cli::open_files;
use crate::config::Settings;
use crate::http_client::HttpClient;
use crate::token::KeyRing;
use crate::web::tokens::signer::Signer;

/// How long the process that has the port may take to identify itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum size of its response, in bytes.
const MAX_RESPONSE: usize = 1 << 20;

pub(super) async fn look(settings: &Settings, may_enter: bool, store_in_use: bool, findings: &mut Findings) {
    let services = [("web.listen", settings.web.listen), ("download.listen", settings.download.listen)];
    let metrics = settings.metrics.listen.map(|address| ("metrics.listen", address));
    for (key, address) in services.into_iter().chain(metrics) {
        let taken = match TcpListener::bind(address) {
            Ok(_) => {
                findings.ok(key, &format!("{address} is free"));
                continue;
            }
            Err(taken) => taken,
        };
        if taken.kind() != std::io::ErrorKind::AddrInUse {
            let text = format!("cannot listen on {address}: {taken}");
            findings.problem(
                key,
                &text,
                "choose an address of this machine and a port that this user may use",
            );
            continue;
        }
        let is_ours = match key {
            "web.listen" => may_enter && shows_our_keys(settings, address).await,
            "metrics.listen" => ask(address, "/metrics").await.is_some_and(|text| text.contains("oncelink_")),
            _ => store_in_use || (settings.download.used_tokens.is_shared() && answers(address).await),
        };
        if is_ours {
            findings.ok(key, &format!("the running service listens on {address}"));
        } else {
            let text = format!("{address} is in use by another process");
            findings.problem(key, &text, "stop that process, or choose another port");
        }
    }
    if let Some((allowed, needed)) = open_files::shortage(settings) {
        let text = format!(
            "this process may open {allowed} files, but the configured connections can need {needed}"
        );
        let remedy = "raise the limit (`ulimit -n`, `LimitNOFILE=`) or lower `max_connections`";
        findings.warning("open files", &text, remedy);
    }
}

/// Returns whether the web app at this address signs with the keys of this data directory.
async fn shows_our_keys(settings: &Settings, address: SocketAddr) -> bool {
    let Some(shown) = ask(address, crate::config::JWKS_PATH).await else { return false };
    let now = crate::clock::Clock::wall().now();
    let ours = Signer::open(&settings.keys_dir(), now).ok().and_then(|signer| signer.ring(now).ok());
    let (Ok(shown), Some(ours)) = (KeyRing::from_jwks(&shown), ours) else { return false };
    let shown: Vec<&str> = shown.kids().collect();
    ours.kids().any(|kid| shown.contains(&kid))
}

async fn answers(address: SocketAddr) -> bool {
    ask(address, "/healthz").await.is_some_and(|text| text.trim() == "ok")
}

async fn ask(address: SocketAddr, path: &str) -> Option<String> {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let at = format!("http://{address}{path}");
    let answer = HttpClient::new(&at, PATIENCE).ok()?.get(&at).send(Instant::now() + PATIENCE).await.ok()?;
    if !answer.is_success() {
        return None;
    }
    let body = answer.body(MAX_RESPONSE + 1).await.ok()?;
    if body.len() > MAX_RESPONSE { None } else { String::from_utf8(body).ok() }
}
