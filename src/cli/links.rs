//! `oncelink links …`: manages links that people created.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::args::{LinkIds, LinksCommand};
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::human::counted;
use crate::web::audit::Actor;
use crate::web::db::position::Position;
use crate::web::links::everybody::OwnedLink;
use crate::web::links::{Link, LinkStatus};
use crate::web::nodes::revoke::RevokeError;
use crate::web::restored;
use crate::web::services::Services;

/// What a command does to links.
#[derive(Clone, Copy)]
enum LinkAction {
    Pause,
    Resume,
    Stop,
}

pub(super) async fn run(settings: &Settings, command: &LinksCommand, clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let done = match command {
        LinksCommand::List { words, most, json } => list(&services, words, *most, *json).await,
        LinksCommand::Resume { restored: true, .. } => resume_restored(&services).await,
        LinksCommand::Resume { ids, json, .. } => change(&services, ids, LinkAction::Resume, *json).await,
        LinksCommand::Pause(LinkIds { ids, json }) => change(&services, ids, LinkAction::Pause, *json).await,
        LinksCommand::Stop(LinkIds { ids, json }) => change(&services, ids, LinkAction::Stop, *json).await,
    };
    services.db.close().await;
    done
}

async fn list(services: &Services, words: &str, most: u32, as_json: bool) -> Result<(), CliError> {
    let now = services.clock.now();
    let (links, more) = services.links.of_everybody(words, &Position::start(), most).await?;
    if more.is_some() {
        remark("there are more links; raise --most to see them");
    }
    if as_json {
        let links: Vec<Value> = links.iter().map(|link| to_json(link, now)).collect();
        return print(&format!("{}\n", json!(links)));
    }
    let mut text = String::new();
    for owned in &links {
        let (listed, link) = (&owned.listed, &owned.listed.link);
        let uses = listed.uses().map_or_else(|| "unlimited".to_owned(), |uses| uses.to_string());
        let end = link.ends_at.map_or_else(|| "never".to_owned(), |end| end.to_string());
        let path = owned.path.as_ref().map(|path| path.as_str()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{} of {uses}\t{end}\t{path}\t{}",
            link.id,
            state(owned, now),
            owned.owner,
            listed.taken,
            link.title,
        );
    }
    print(&text)
}

fn state(owned: &OwnedLink, now: Timestamp) -> &'static str {
    match owned.listed.link.status(now) {
        LinkStatus::Open if owned.listed.is_used_up() => "used-up",
        LinkStatus::Open => "open",
        LinkStatus::Uploading => "uploading",
        LinkStatus::Abandoned => "abandoned",
        LinkStatus::Paused => "paused",
        LinkStatus::Ended => "ended",
        LinkStatus::Revoked => "revoked",
    }
}

fn to_json(owned: &OwnedLink, now: Timestamp) -> Value {
    let (listed, link) = (&owned.listed, &owned.listed.link);
    json!({
        "id": link.id.as_str(),
        "title": link.title,
        "state": state(owned, now),
        "owner": owned.owner,
        "path": owned.path.as_ref().map(|path| path.as_str()),
        "files": listed.files,
        "recipients": listed.recipients,
        "taken": listed.taken,
        "uses": listed.uses(),
        "views": listed.views,
        "created_at": link.created_at.to_string(),
        "ends_at": link.ends_at.map(|end| end.to_string()),
        "revoked_at": link.revoked_at.map(|at| at.to_string()),
    })
}

/// Changes all of the links, or none if one of them doesn't exist.
async fn change(
    services: &Services,
    ids: &[String],
    action: LinkAction,
    as_json: bool,
) -> Result<(), CliError> {
    let mut links = Vec::new();
    for id in ids {
        let found = services.links.of_anybody(id).await?;
        links.push(found.ok_or_else(|| CliError::NoLink { id: id.clone() })?.listed.link);
    }
    let now = services.clock.now();
    let mut results = Vec::new();
    for link in &links {
        let changed = perform(services, link, action, now).await?;
        results.push(json!({ "id": link.id.as_str(), "changed": changed }));
        if !changed {
            remark(&format!("{} was stopped before, which is final", link.id));
        }
    }
    if !matches!(action, LinkAction::Resume) {
        let revocations = &services.issued.revocations;
        revocations.set_http_sinks(&services.issuer).map_err(RevokeError::from)?;
        if revocations.deliver(true, now).await.iter().any(|node| node.outcome.is_err()) {
            remark("running downloads are cut off as soon as the web app reaches the download services");
        }
    }
    if as_json {
        return print(&format!("{}\n", json!(results)));
    }
    Ok(())
}

async fn perform(
    services: &Services,
    link: &Link,
    action: LinkAction,
    now: Timestamp,
) -> Result<bool, CliError> {
    let (links, actor) = (&services.links, Actor::operator());
    Ok(match action {
        LinkAction::Pause => links.set_paused(link, true, &actor, now).await?,
        LinkAction::Resume => links.set_paused(link, false, &actor, now).await?,
        LinkAction::Stop => links.revoke(link, &actor, now).await?,
    })
}

/// Resumes all links that were paused because the database was restored from a backup.
async fn resume_restored(services: &Services) -> Result<(), CliError> {
    let now = services.clock.now();
    let resumed = restored::resume_all(&services.db, &Actor::operator(), now).await?;
    remark(&match resumed {
        0 => "no link is paused because of a restore".to_owned(),
        count => format!(
            "{} can be used again; downloads between the backup and the restore are not counted",
            counted(count, "link")
        ),
    });
    Ok(())
}
