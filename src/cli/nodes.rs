//! `oncelink nodes …`: manages the download services and their keys. Works while the services run, because
//! they look up a key each time one is presented.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::cli::args::NodesCommand;
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::human::counted;
use crate::secret::Secret;
use crate::web::deliveries::DeliveryStore;
use crate::web::deliveries::nodes::audience_of;
use crate::web::services::Services;

pub(super) async fn run(settings: &Settings, command: &NodesCommand, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    match command {
        NodesCommand::Add { name } => {
            let key = services.nodes.add(name, now).await?;
            print_key(name, &key)?;
            remark("it now gets tokens");
            Ok(())
        }
        NodesCommand::Rekey { name } => {
            let key = services.nodes.rekey(name, now).await?;
            print_key(name, &key)?;
            remark("the previous key is no longer valid");
            Ok(())
        }
        NodesCommand::Remove { name } => remove(settings, &services, name, now).await,
        NodesCommand::List { json } => list(settings, &services, *json).await,
    }
}

/// Prints only the key to standard output, so that it can be redirected to a file.
fn print_key(name: &str, key: &Secret) -> Result<(), CliError> {
    print(&format!("{}\n", key.reveal()))?;
    remark(&format!(
        "this is the key of `{name}`, which is shown only once: save it as that node's `download.node_key` file"
    ));
    Ok(())
}

async fn remove(
    settings: &Settings,
    services: &Services,
    name: &str,
    now: Timestamp,
) -> Result<(), CliError> {
    services.nodes.remove(name, now).await?;
    let receipts =
        DeliveryStore::new(services.db.clone(), services.queue.clone(), services.clock.clone(), settings);
    let released = receipts.release_of_removed(&services.nodes, now).await?;
    remark(&format!("`{name}` gets no more tokens, and its reports are refused"));
    match released {
        0 => {}
        1 => remark("1 unfinished download was released and can start again elsewhere"),
        count => remark(&format!("{count} unfinished downloads were released and can start again elsewhere")),
    }
    Ok(())
}

/// A node in the list.
#[derive(Serialize)]
struct Listed {
    name: String,
    public_url: String,
    inner_url: Option<String>,
    weight: Option<u32>,
    /// `active`, `no-key`, `removed` or `not-in-settings`.
    state: &'static str,
    key_made_at: Option<Timestamp>,
    /// How many revocations are waiting to be delivered to it.
    waiting: i64,
    /// The processes that reported deliveries from its address.
    told_by: Vec<ReportingProcess>,
}

#[derive(Clone, Serialize)]
struct ReportingProcess {
    name: String,
    #[serde(rename = "told_until")]
    reported_until: Timestamp,
    seen_at: Timestamp,
    removed_at: Option<Timestamp>,
}

async fn list(settings: &Settings, services: &Services, json: bool) -> Result<(), CliError> {
    let listed = gather(settings, services).await?;
    if json {
        return print(&format!("{}\n", serde_json::json!(listed)));
    }
    let mut text = String::new();
    for node in &listed {
        let waiting = match node.waiting {
            0 => String::new(),
            count => format!("\t{} waiting", counted(count.unsigned_abs(), "revocation")),
        };
        let _ = writeln!(text, "{}\t{}\t{}{waiting}", node.name, node.public_url, node.state);
        for process in &node.told_by {
            let state = match process.removed_at {
                Some(at) => format!("removed {at}"),
                None => format!("reports complete until {}", process.reported_until),
            };
            let _ = writeln!(text, "  {}\t{state}", process.name);
        }
    }
    print(&text)
}

async fn gather(settings: &Settings, services: &Services) -> Result<Vec<Listed>, CliError> {
    let waiting = services.issued.revocations.waiting().await?;
    let receipts =
        DeliveryStore::new(services.db.clone(), services.queue.clone(), services.clock.clone(), settings);
    let mut reporting: BTreeMap<String, Vec<ReportingProcess>> = BTreeMap::new();
    for node in receipts.nodes().await? {
        let processes = reporting.entry(audience_of(&node.name).to_owned()).or_default();
        processes.push(ReportingProcess {
            reported_until: node.reported_until,
            seen_at: node.seen_at,
            removed_at: node.removed_at,
            name: node.name,
        });
    }
    let keyed = services.nodes.keyed().await?;
    let mut listed = Vec::new();
    for node in services.nodes.services() {
        let key = keyed.iter().find(|key| key.name == node.name);
        let state = match key {
            _ if !services.nodes.are_listed() => "active",
            Some(key) if key.removed_at.is_some() => "removed",
            Some(_) => "active",
            None => "no-key",
        };
        listed.push(Listed {
            name: node.name.clone(),
            public_url: node.public_url.clone(),
            inner_url: Some(node.inner_url.clone()),
            weight: Some(node.weight),
            state,
            key_made_at: key.filter(|key| key.removed_at.is_none()).map(|key| key.made_at),
            waiting: waiting.get(&node.public_url).copied().unwrap_or_default(),
            told_by: reporting.remove(&node.public_url).unwrap_or_default(),
        });
    }
    for key in keyed.into_iter().filter(|key| services.nodes.named(&key.name).is_none()) {
        listed.push(Listed {
            waiting: waiting.get(&key.audience).copied().unwrap_or_default(),
            told_by: reporting.remove(&key.audience).unwrap_or_default(),
            inner_url: None,
            weight: None,
            state: if key.removed_at.is_some() { "removed" } else { "not-in-settings" },
            key_made_at: Some(key.made_at).filter(|_| key.removed_at.is_none()),
            name: key.name,
            public_url: key.audience,
        });
    }
    for (audience, told_by) in reporting {
        let removed = told_by.iter().all(|process| process.removed_at.is_some());
        listed.push(Listed {
            name: audience.clone(),
            inner_url: None,
            weight: None,
            state: if removed { "removed" } else { "not-in-settings" },
            key_made_at: None,
            waiting: waiting.get(&audience).copied().unwrap_or_default(),
            public_url: audience,
            told_by,
        });
    }
    Ok(listed)
}
