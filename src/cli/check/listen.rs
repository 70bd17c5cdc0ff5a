//! Checks whether the services can listen on the configured addresses or already do, and whether they may
//! open enough files.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rustix::fs::Access;
use tokio::time::Instant;

use crate::cli::check::findings::Findings;
use crate::cli::open_files;
use crate::config::{ListenAddress, Settings};
use crate::http_client::{self, HttpClient};
use crate::server::find_stale;
use crate::token::KeyRing;
use crate::web::tokens::signer::Signer;

/// How long the process that has the port may take to identify itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum size of its response, in bytes.
const MAX_RESPONSE: usize = 1 << 20;

pub(super) async fn look(settings: &Settings, may_enter: bool, store_in_use: bool, findings: &mut Findings) {
    let services = [("web.listen", &settings.web.listen), ("download.listen", &settings.download.listen)];
    let metrics = settings.metrics.listen.as_ref().map(|listen| ("metrics.listen", listen));
    for (key, listen) in services.into_iter().chain(metrics) {
        for address in listen.addresses() {
            look_at(key, address, settings, may_enter, store_in_use, findings).await;
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

async fn look_at(
    key: &str,
    address: &ListenAddress,
    settings: &Settings,
    may_enter: bool,
    store_in_use: bool,
    findings: &mut Findings,
) {
    let availability = match address {
        ListenAddress::Tcp(address) => TcpListener::bind(address).map(drop),
        ListenAddress::Unix { path, .. } => socket_availability(path),
        ListenAddress::Systemd => {
            return findings.ok(key, "systemd passes the socket at the start");
        }
    };
    let taken = match availability {
        Ok(()) => return findings.ok(key, &format!("{address} is free")),
        Err(taken) => taken,
    };
    if taken.kind() != ErrorKind::AddrInUse {
        let text = format!("cannot listen on {address}: {taken}");
        let remedy = match address {
            ListenAddress::Unix { .. } => "choose a path in a folder that only this user may write to",
            _ => "choose an address of this machine and a port that this user may use",
        };
        return findings.problem(key, &text, remedy);
    }
    let at = address.reachable().unwrap_or_default();
    let is_ours = match key {
        "web.listen" => may_enter && shows_our_keys(settings, &at).await,
        "metrics.listen" => ask(&at, "/metrics").await.is_some_and(|text| text.contains("oncelink_")),
        _ => store_in_use || (settings.download.used_tokens.is_shared() && answers(&at).await),
    };
    if is_ours {
        findings.ok(key, &format!("the running service listens on {address}"));
    } else {
        let text = format!("{address} is in use by another process");
        findings.problem(key, &text, "stop that process, or choose another port or socket");
    }
}

/// Returns whether a service could listen on a Unix socket.
///
/// # Errors
/// Why it couldn't: [`ErrorKind::AddrInUse`] if a process listens there.
fn socket_availability(path: &Path) -> io::Result<()> {
    find_stale(path)?;
    let folder = path.parent().unwrap_or(path);
    Ok(rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Returns whether the web app at this address signs with the keys of this data directory.
async fn shows_our_keys(settings: &Settings, address: &str) -> bool {
    let Some(shown) = ask(address, crate::config::JWKS_PATH).await else { return false };
    let now = crate::clock::Clock::wall().now();
    let ours = Signer::open(&settings.keys_dir(), now).ok().and_then(|signer| signer.ring(now).ok());
    let (Ok(shown), Some(ours)) = (KeyRing::from_jwks(&shown), ours) else { return false };
    let shown: Vec<&str> = shown.kids().collect();
    ours.kids().any(|kid| shown.contains(&kid))
}

async fn answers(address: &str) -> bool {
    ask(address, "/healthz").await.is_some_and(|text| text.trim() == "ok")
}

async fn ask(address: &str, path: &str) -> Option<String> {
    let at = http_client::at(address, path);
    let answer = HttpClient::new(&at, PATIENCE).ok()?.get(&at).send(Instant::now() + PATIENCE).await.ok()?;
    if !answer.is_success() {
        return None;
    }
    let body = answer.body(MAX_RESPONSE + 1).await.ok()?;
    if body.len() > MAX_RESPONSE { None } else { String::from_utf8(body).ok() }
}

/// Returns whether only programs on this machine can be at an address.
pub(super) fn is_local(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    ["127.", "[::1]", "localhost", "unix:"].iter().any(|local| host.starts_with(local))
}
