//! The download services, asked as the web app asks them, and the keys that the database remembers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::Findings;
use crate::cli::ring;
use crate::clock::Clock;
use crate::config::Settings;
use crate::telemetry::chain;
use crate::web::db::Database;
use crate::web::deliveries::Receipts;
use crate::web::instance;
use crate::web::nodes::node_key::NodeKey;
use crate::web::nodes::over_http::Trouble;
use crate::web::nodes::watch::ask_all;
use crate::web::services::{Administration, OpenError};

/// A node that has told nothing for so long is gone, or its way to the web app is.
const SILENT: Duration = Duration::from_secs(15 * 60);

pub(super) async fn look(settings: &Settings, may_enter: bool, clock: &Clock, findings: &mut Findings) {
    // Looking must make neither keys nor a database.
    let is_shared = settings.web.database.is_postgres();
    if !settings.keys_dir().is_dir() {
        if is_shared {
            look_at_missing_keys(settings, findings).await;
        }
        return;
    }
    if !may_enter || !is_shared && !settings.database_file().exists() {
        return;
    }
    let desk = match Administration::open(settings, clock.clone()).await {
        Ok(desk) => desk,
        // What is wrong with the database itself is told by `database`.
        Err(OpenError::Database(_)) => return,
        // The message says which keys are lost or others', and what that means.
        Err(error) => return findings.error("database", &error),
    };
    findings.ok("database", "it opens, and the keys here are the ones that it knows");
    if let Ok(Some(key)) = NodeKey::find(&settings.node_key_file()) {
        desk.nodes.hold_own_key(key);
    }
    look_at_keys(&desk, findings).await;
    look_at_answers(settings, &desk, findings).await;
    look_at_waiting(&desk, findings).await;
    look_at_silence(settings, &desk, findings).await;
    desk.db.close().await;
}

/// A web app without keys on a database that knows some does not start.
async fn look_at_missing_keys(settings: &Settings, findings: &mut Findings) {
    let db = match Database::open(settings).await {
        Ok(db) => db,
        // What is wrong with it is told by `database`.
        Err(_) => return,
    };
    match instance::check_there(&db, &settings.keys_dir()).await {
        Ok(()) => findings.ok("database", "it opens, and knows no keys yet"),
        Err(error) => findings.error("keys", &error),
    }
    db.close().await;
}

/// Each node that the settings list needs a key before it gets tokens.
async fn look_at_keys(desk: &Administration, findings: &mut Findings) {
    let active = match desk.nodes.active().await {
        Ok(active) => active,
        Err(error) => return findings.error("nodes", &error),
    };
    for node in desk.nodes.services() {
        if active.iter().all(|active| active.name != node.name) {
            let subject = format!("node `{}`", node.name);
            let remedy = format!("run `oncelink nodes add {}`", node.name);
            findings.warning(
                &subject,
                "it has no key, so it gets no tokens and nothing that it tells is heard",
                &remedy,
            );
        }
    }
    if active.iter().all(|node| node.weight == 0) {
        let remedy = "give one a key and a weight above 0";
        findings.problem("nodes", "there is none that gets tokens: nothing can be downloaded", remedy);
    }
}

async fn look_at_answers(settings: &Settings, desk: &Administration, findings: &mut Findings) {
    let now = desk.clock.now();
    let asked = match ask_all(&desk.nodes, &desk.issuer, now).await {
        Ok(asked) => asked,
        Err(error) => return findings.error("nodes", &error),
    };
    let web_runs = web_answers(settings).await;
    for (node, answer) in asked {
        let subject = format!("node `{}`", node.name);
        let at = &node.inner_url;
        match answer {
            Ok(()) => findings.ok(&subject, &format!("it answers at {at}, holds our keys and shows its own")),
            // Where nothing runs at all, nothing is wrong.
            Err(Trouble::Unreachable(_)) if !web_runs && is_local(at) => {
                findings.ok(
                    &subject,
                    &format!("{at} does not answer now; it does once the download service runs"),
                );
            }
            Err(trouble) => {
                let remedy = match &trouble {
                    Trouble::Unreachable(_) => {
                        "start it, or set `inner_url` to where the web app reaches it; until then nothing is revoked there"
                    }
                    Trouble::Refuses => {
                        "give it this web app's public keys and `web.public_url`, and the right `public_url`"
                    }
                    Trouble::WrongKey => "put its node key into the file of its `download.node_key`",
                    Trouble::NotReady => "look into its log",
                    Trouble::Answer(_) | Trouble::Issue(_) => "look at what answers there",
                };
                findings.problem(&subject, &format!("{at} {}", chain(&trouble)), remedy);
            }
        }
    }
}

async fn look_at_waiting(desk: &Administration, findings: &mut Findings) {
    match desk.issued.revocations.waiting().await {
        Err(error) => findings.error("revocations", &error),
        Ok(waiting) if waiting.is_empty() => findings.ok("revocations", "none waits to be delivered"),
        Ok(waiting) => {
            for (audience, count) in waiting {
                let text = format!("{count} wait to be delivered to {audience}");
                let remedy = "they are delivered once it can be reached; `oncelink nodes remove` if it is gone for good";
                findings.warning("revocations", &text, remedy);
            }
        }
    }
}

/// Who told of deliveries before, and is silent now.
async fn look_at_silence(settings: &Settings, desk: &Administration, findings: &mut Findings) {
    let receipts = Receipts::new(desk.db.clone(), desk.queue.clone(), desk.clock.clone(), settings);
    let nodes = match receipts.nodes().await {
        Ok(nodes) => nodes,
        Err(error) => return findings.error("nodes", &error),
    };
    let (now, web_runs) = (desk.clock.now(), web_answers(settings).await);
    for node in nodes.into_iter().filter(|node| web_runs && node.removed_at.is_none()) {
        if now.since(node.seen_at) > SILENT {
            let (name, since) = (&node.name, node.seen_at);
            let text =
                format!("{name} has told nothing since {since}, and holds back what is reserved there");
            let remedy = format!("start it, or run `oncelink nodes remove '{name}'` if it is gone");
            findings.warning("nodes", &text, &remedy);
        }
    }
}

/// Whether the web app of these settings runs on this machine now.
async fn web_answers(settings: &Settings) -> bool {
    let mut at = settings.web.listen;
    if at.ip().is_unspecified() {
        let loopback: IpAddr =
            if at.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        at.set_ip(loopback);
    }
    let Ok(client) = ring::client("http://") else { return false };
    client.get(format!("http://{at}/healthz")).send().await.is_ok()
}

fn is_local(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    ["127.", "[::1]", "localhost"].iter().any(|local| host.starts_with(local))
}
