//! `oncelink check`: tests everything that a start needs, and says what is wrong and how to fix it. Changes
//! nothing that a start wouldn't change, too.

mod brand;
mod database;
mod disk;
mod findings;
mod keys;
mod listen;
mod mail;
mod nodes;
mod restored;
mod settings;
mod store;

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::check::findings::{Findings, Level};
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::clock::Clock;
use crate::config::Settings;
use crate::server::Role;

pub(super) async fn run(
    settings: &Settings,
    file: Option<&Path>,
    clock: &Clock,
    json: bool,
) -> Result<ExitCode, CliError> {
    let mut findings = Findings::default();
    settings::look(settings, file, &mut findings);
    let may_enter = disk::look_at_data_dir(settings, &mut findings);
    disk::look_at_shares(settings, &mut findings);
    brand::look(settings, &mut findings);
    keys::look(settings, may_enter, clock.now(), &mut findings).await;
    mail::look(settings, &mut findings).await;
    nodes::look(settings, may_enter, clock, &mut findings).await;
    database::look(settings, may_enter, &mut findings).await;
    let store_in_use = store::look(settings, may_enter, clock, &mut findings).await;
    restored::look(settings, may_enter, clock.now(), &mut findings).await;
    listen::look(settings, may_enter, store_in_use, &mut findings).await;
    match json {
        true => print(&format!("{}\n", json!(findings)))?,
        false => print(&findings.to_text())?,
    }
    Ok(match findings.worst() {
        Level::Ok => ExitCode::SUCCESS,
        Level::Warning => ExitCode::from(1),
        Level::Problem => ExitCode::from(2),
    })
}

/// Returns the warnings and problems that don't prevent a start: those with the settings, the data directory,
/// the shares and, if the web app runs, the names in their lists. Leaves out what a start tests itself.
pub(super) async fn borne(settings: &Settings, file: Option<&Path>, role: Role) -> Vec<String> {
    let mut findings = Findings::default();
    settings::look(settings, file, &mut findings);
    disk::look_at_data_dir(settings, &mut findings);
    disk::look_at_shares(settings, &mut findings);
    if role == Role::Both {
        keys::look_at_unused(settings, &mut findings);
    }
    if role != Role::Download {
        database::look_at_names(settings, &mut findings).await;
    }
    findings.into_remarks()
}
