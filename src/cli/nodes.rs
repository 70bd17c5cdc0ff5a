//! `oncelink nodes …`: manages the download services and their keys. Works while the services run, because
//! they look up a key each time one is presented.

use std::fmt::Write;

use crate::cli::args::NodesCommand;
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::human::counted;
use crate::secret::Secret;
use crate::web::audit::Actor;
use crate::web::deliveries::DeliveryStore;
use crate::web::services::Services;

pub(super) async fn run(settings: &Settings, command: &NodesCommand, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    match command {
        NodesCommand::Add { name } => {
            let key = services.nodes.add(name, &Actor::operator(), now).await?;
            print_key(name, &key)?;
            remark("it now gets tokens");
            Ok(())
        }
        NodesCommand::Rekey { name } => {
            let key = services.nodes.rekey(name, &Actor::operator(), now).await?;
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
    let deliveries = deliveries(settings, services);
    let released = deliveries.remove_node(&services.nodes, name, &Actor::operator(), now).await?;
    remark(&format!("`{name}` gets no more tokens, and its reports are refused"));
    match released {
        0 => {}
        1 => remark("1 unfinished download was released and can start again elsewhere"),
        count => remark(&format!("{count} unfinished downloads were released and can start again elsewhere")),
    }
    Ok(())
}

async fn list(settings: &Settings, services: &Services, json: bool) -> Result<(), CliError> {
    let waiting = services.issued.revocations.waiting().await?;
    let listed = deliveries(settings, services).overview(&services.nodes, &waiting).await?;
    if json {
        return print(&format!("{}\n", serde_json::json!(listed)));
    }
    let mut text = String::new();
    for node in &listed {
        let waiting = match node.waiting {
            0 => String::new(),
            count => format!("\t{} waiting", counted(count.unsigned_abs(), "revocation")),
        };
        let _ = writeln!(text, "{}\t{}\t{}{waiting}", node.name, node.public_url, node.state.as_str());
        for process in &node.processes {
            let state = match process.removed_at {
                Some(at) => format!("removed {at}"),
                None => format!("reports complete until {}", process.reported_until),
            };
            let _ = writeln!(text, "  {}\t{state}", process.name);
        }
    }
    print(&text)
}

fn deliveries(settings: &Settings, services: &Services) -> DeliveryStore {
    DeliveryStore::new(services.db.clone(), services.queue.clone(), services.clock.clone(), settings)
}
