//! `oncelink check`: looks at everything that a start needs, and says what is wrong and how to mend
//! it. Changes nothing that a start would not change too.

mod disk;
mod keys;
mod mail;
mod settings;
mod store;

use std::fmt::Write;
use std::process::ExitCode;

use crate::cli::error::CliError;
use crate::cli::print;
use crate::clock::Clock;
use crate::config::Settings;

/// How bad a finding is.
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

/// What was found, each with its level.
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

    /// A problem whose error says how to mend it.
    fn error(&mut self, subject: &str, error: &dyn std::error::Error) {
        self.0.push((Level::Problem, format!("{subject}: {}", crate::telemetry::chain(error))));
    }

    fn worst(&self) -> Level {
        self.0.iter().map(|(level, _)| *level).max().unwrap_or(Level::Ok)
    }
}

pub(super) async fn run(settings: &Settings, clock: &Clock) -> Result<ExitCode, CliError> {
    let mut findings = Findings::default();
    settings::look(settings, &mut findings);
    let may_enter = disk::look_at_data_dir(settings, &mut findings);
    disk::look_at_shares(settings, &mut findings);
    keys::look(settings, may_enter, clock.now(), &mut findings).await;
    mail::look(settings, &mut findings).await;
    store::look(settings, may_enter, clock, &mut findings).await;
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
