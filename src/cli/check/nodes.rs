//! Checks the download services, in the way the web app does, and the keys that the database knows.

use std::time::Duration;

use tokio::time::Instant;

use crate::cli::check::findings::Findings;
use crate::cli::check::listen::is_local;
use crate::clock::Clock;
use crate::config::Settings;
use crate::http_client::{self, HttpClient};
use crate::telemetry::chain;
use crate::web::db::Database;
use crate::web::deliveries::DeliveryStore;
use crate::web::instance;
use crate::web::nodes::monitor::ask_all;
use crate::web::nodes::node_key::NodeKey;
use crate::web::nodes::over_http::NodeTrouble;
use crate::web::services::{Services, WebOpenError};

/// A node that hasn't reported for this long is gone, or can't reach the web app.
const SILENT: Duration = Duration::from_secs(15 * 60);
/// How long to wait for the web app.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn look(settings: &Settings, may_enter: bool, clock: &Clock, findings: &mut Findings) {
    // A check must create neither keys nor a database.
    let is_shared = settings.web.database.is_shared();
    if !settings.keys_dir().is_dir() {
        if is_shared {
            look_at_missing_keys(settings, findings).await;
        }
        return;
    }
    if !may_enter || !is_shared && !settings.database_file().exists() {
        return;
    }
    let services = match Services::open(settings, clock.clone()).await {
        Ok(services) => services,
        // `database` reports problems with the database itself.
        Err(WebOpenError::Database(_)) => return,
        // The message says which keys are missing or different, and what that means.
        Err(error) => return findings.error("database", &error),
    };
    findings.ok("database", "it opens, and its keys match the ones here");
    if let Ok(Some(key)) = NodeKey::find(&settings.node_key_file()) {
        services.nodes.hold_own_key(key);
    }
    look_at_keys(&services, findings).await;
    look_at_answers(settings, &services, findings).await;
    look_at_waiting(&services, findings).await;
    look_at_silence(settings, &services, findings).await;
    services.db.close().await;
}

/// A web app without keys doesn't start on a database that knows some.
async fn look_at_missing_keys(settings: &Settings, findings: &mut Findings) {
    let db = match Database::open(settings).await {
        Ok(db) => db,
        // `database` reports problems with it.
        Err(_) => return,
    };
    match instance::check_there(&db, &settings.keys_dir()).await {
        Ok(()) => findings.ok("database", "it opens, and has no keys yet"),
        Err(error) => findings.error("keys", &error),
    }
    db.close().await;
}

/// Each node in the settings needs a key before it gets tokens.
async fn look_at_keys(services: &Services, findings: &mut Findings) {
    let active = match services.nodes.active().await {
        Ok(active) => active,
        Err(error) => return findings.error("nodes", &error),
    };
    for node in services.nodes.services() {
        if active.iter().all(|active| active.name != node.name) {
            let subject = format!("node `{}`", node.name);
            let remedy = format!("run `oncelink nodes add {}`", node.name);
            findings.warning(
                &subject,
                "it has no key, so it gets no tokens and its reports are refused",
                &remedy,
            );
        }
    }
    if active.iter().all(|node| node.weight == 0) {
        let remedy = "give a node a key and a weight above 0";
        findings.problem("nodes", "no node gets tokens, so nothing can be downloaded", remedy);
    }
}

async fn look_at_answers(settings: &Settings, services: &Services, findings: &mut Findings) {
    let now = services.clock.now();
    let asked = match ask_all(&services.nodes, &services.issuer, now).await {
        Ok(asked) => asked,
        Err(error) => return findings.error("nodes", &error),
    };
    let web_runs = web_answers(settings).await;
    for (node, answer) in asked {
        let subject = format!("node `{}`", node.name);
        let at = &node.inner_url;
        match answer {
            Ok(()) => findings.ok(
                &subject,
                &format!("it answers at {at}, has our public keys and presents the right node key"),
            ),
            // If no service is running at all, this isn't a problem.
            Err(NodeTrouble::Unreachable(_)) if !web_runs && is_local(at) => {
                findings.ok(
                    &subject,
                    &format!("{at} is not reachable now; it will be when the download service runs"),
                );
            }
            Err(trouble) => {
                let remedy = match &trouble {
                    NodeTrouble::Unreachable(_) => {
                        "start it, or set `inner_url` to an address at which the web app reaches it; nothing is revoked there until then"
                    }
                    NodeTrouble::Refuses => {
                        "give it this web app's public keys and `web.public_url`, and the right `public_url`"
                    }
                    NodeTrouble::WrongKey => "save its node key as its `download.node_key` file",
                    NodeTrouble::NotReady => "check its log",
                    NodeTrouble::Answer(_) | NodeTrouble::Issue(_) => "find out what answers there",
                };
                findings.problem(&subject, &format!("{at} {}", chain(&trouble)), remedy);
            }
        }
    }
}

async fn look_at_waiting(services: &Services, findings: &mut Findings) {
    match services.issued.revocations.waiting().await {
        Err(error) => findings.error("revocations", &error),
        Ok(waiting) if waiting.is_empty() => findings.ok("revocations", "none is waiting to be delivered"),
        Ok(waiting) => {
            for (audience, count) in waiting {
                let text = format!("{count} are waiting to be delivered to {audience}");
                let remedy = "they are delivered when it can be reached; run `oncelink nodes remove` if it is gone for good";
                findings.warning("revocations", &text, remedy);
            }
        }
    }
}

/// Reports nodes that reported deliveries before and don't any more.
async fn look_at_silence(settings: &Settings, services: &Services, findings: &mut Findings) {
    let receipts =
        DeliveryStore::new(services.db.clone(), services.queue.clone(), services.clock.clone(), settings);
    let nodes = match receipts.nodes().await {
        Ok(nodes) => nodes,
        Err(error) => return findings.error("nodes", &error),
    };
    let (now, web_runs) = (services.clock.now(), web_answers(settings).await);
    for node in nodes.into_iter().filter(|node| web_runs && node.removed_at.is_none()) {
        if now.since(node.seen_at) > SILENT {
            let (name, since) = (&node.name, node.seen_at);
            let text = format!(
                "{name} has not reported since {since}, so downloads reserved there are not released"
            );
            let remedy = format!("start it, or run `oncelink nodes remove '{name}'` if it is gone");
            findings.warning("nodes", &text, &remedy);
        }
    }
}

/// Returns whether the web app of these settings is running on this machine.
async fn web_answers(settings: &Settings) -> bool {
    let at = http_client::at(&settings.web.inner_address(), "/healthz");
    let Ok(client) = HttpClient::new(&at, PATIENCE) else { return false };
    client.get(&at).send(Instant::now() + PATIENCE).await.is_ok()
}
