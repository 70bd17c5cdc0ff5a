//! `oncelink check`: tests everything that a start needs, and says what is wrong and how to fix it. Changes
//! nothing that a start wouldn't change, too.

mod database;
mod disk;
mod keys;
mod listen;
mod mail;
mod nodes;
mod restored;
mod settings;
mod store;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::error::CliError;
use crate::cli::print;
use crate::clock::Clock;
use crate::config::Settings;
use crate::server::Role;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warning,
    Problem,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        }
    }
}

/// The findings, each with its level.
#[derive(Default)]
struct Findings(Vec<(Level, String)>);

impl Findings {
    fn ok(&mut self, subject: &str, text: &str) {
        self.0.push((Level::Ok, format!("{subject}: {text}")));
    }

    fn warning(&mut self, subject: &str, text: &str, remedy: &str) {
        self.0.push((Level::Warning, format!("{subject}: {text}; {remedy}")));
    }

    fn problem(&mut self, subject: &str, text: &str, remedy: &str) {
        self.0.push((Level::Problem, format!("{subject}: {text}; {remedy}")));
    }

    /// Adds a problem whose error message says how to fix it.
    fn error(&mut self, subject: &str, error: &dyn std::error::Error) {
        self.0.push((Level::Problem, format!("{subject}: {}", crate::telemetry::chain(error))));
    }

    fn worst(&self) -> Level {
        self.0.iter().map(|(level, _)| *level).max().unwrap_or(Level::Ok)
    }
}

pub(super) async fn run(
    settings: &Settings,
    file: Option<&Path>,
    clock: &Clock,
) -> Result<ExitCode, CliError> {
    let mut findings = Findings::default();
    settings::look(settings, file, &mut findings);
    let may_enter = disk::look_at_data_dir(settings, &mut findings);
    disk::look_at_shares(settings, &mut findings);
    keys::look(settings, may_enter, clock.now(), &mut findings).await;
    mail::look(settings, &mut findings).await;
    nodes::look(settings, may_enter, clock, &mut findings).await;
    database::look(settings, may_enter, &mut findings).await;
    let store_in_use = store::look(settings, may_enter, clock, &mut findings).await;
    restored::look(settings, may_enter, clock.now(), &mut findings).await;
    listen::look(settings, may_enter, store_in_use, &mut findings).await;
    let text = findings.0.iter().fold(String::new(), |mut text, (level, line)| {
        let _ = writeln!(text, "{:8} {line}", level.word());
        text
    });
    print(&text)?;
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
    let told = findings.0.into_iter().filter(|(level, _)| *level != Level::Ok);
    told.map(|(_, line)| line).collect()
}
