//! The command line.
//!
//! Results go to standard output, so that programs can read them; remarks go to standard error. Exit codes:
//! 0 success, 1 failed or refused, 2 a mistake in the arguments or the settings.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use actix_web::rt::System;

use crate::cli::output::print;
use crate::config::{Settings, SettingsTable};
use crate::server::data_dir::clock_of;
use crate::server::{self, Role, SettingsSource};
use crate::telemetry;

mod api_keys;
mod args;
mod as_owner;
mod audit;
mod backup;
mod backup_error;
mod check;
mod deliveries;
mod error;
mod healthcheck;
mod keys;
mod links;
mod mail;
mod manifest;
mod nodes;
mod open_files;
mod output;
mod reset_clock;
mod restore;
mod revoke;
mod ring;
mod settings;
mod shares;
mod token;
mod user;

pub use args::{
    ApiKeyAdd, ApiKeysCommand, AuditCommand, Cli, ClockCommand, Command, KeysCommand, LinkIds, LinksCommand,
    MailCommand, NodesCommand, TokenCommand, UserCommand,
};
pub use as_owner::NotTheOwner;
pub use backup_error::{BackupError, RestoreError};
pub use error::{CliError, PublicKeysError};
pub use manifest::ManifestError;

/// Runs a command to its end and returns the exit code. If it fails, prints the error and its causes on one
/// line of standard error.
///
/// It is not `async`, so that everything below it is compiled with this crate, and not with each program
/// that calls it.
pub fn run(cli: Cli) -> ExitCode {
    System::new().block_on(run_command(cli)).unwrap_or_else(|error| report(&error))
}

async fn run_command(cli: Cli) -> Result<ExitCode, CliError> {
    let command = match cli.command {
        // Setting up a shell requires no settings.
        Some(Command::Completions { shell }) => return done(print(&args::completions(shell))),
        command => command.unwrap_or(Command::Serve),
    };
    let file = Settings::file_of_process(cli.config.as_deref());
    let (settings, table) = Settings::of_process_with_table(cli.config.as_deref())?;
    // The first two set the owner of each file themselves, because the backup's folder may belong to root. The
    // third opens no file.
    if !matches!(command, Command::Backup { .. } | Command::Restore { .. } | Command::Healthcheck { .. }) {
        as_owner::become_owner(&settings)?;
    }
    // Commands use the same time as the services, even while those run.
    let clock = clock_of(&settings.data_dir);
    let now = clock.now();
    match command {
        Command::Serve => serve(settings, table, file, Role::Both).await,
        Command::Web => serve(settings, table, file, Role::Web).await,
        Command::Download => serve(settings, table, file, Role::Download).await,
        Command::User(command) => done(user::run(&settings, command, clock).await),
        Command::Audit(command) => audit::run(&settings, &command, now).await,
        Command::Mail(command) => done(mail::run(&settings, command, clock).await),
        Command::Keys(command) => done(keys::run(&settings, &command, clock).await),
        Command::ApiKeys(command) => done(api_keys::run(&settings, command, clock).await),
        Command::Nodes(command) => done(nodes::run(&settings, &command, clock).await),
        Command::Token(command) => done(token::run(&settings, &command, now).await),
        Command::Revoke { jtis } => done(revoke::run(&settings, &jtis, clock).await),
        Command::Links(command) => done(links::run(&settings, &command, clock).await),
        Command::Deliveries { of, most, json } => {
            done(deliveries::run(&settings, &of, most, json, clock).await)
        }
        Command::Shares { json } => done(shares::run(&settings, json, clock).await),
        Command::Settings { json } => done(settings::run(&table, json)),
        Command::Backup { folder } => done(backup::run(&settings, cli.config.as_deref(), &folder, now).await),
        Command::Restore { folder, force } => done(restore::run(&settings, &folder, force, now)),
        Command::Clock(ClockCommand::Reset) => done(reset_clock::run(&settings).await),
        Command::Healthcheck { service } => healthcheck::run(&settings, service).await,
        Command::Check { json } => check::run(&settings, file, &clock, json).await,
        Command::Completions { shell } => done(print(&args::completions(shell))),
    }
}

fn done(result: Result<(), CliError>) -> Result<ExitCode, CliError> {
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(
    settings: Settings,
    table: SettingsTable,
    file: Option<&Path>,
    role: Role,
) -> Result<ExitCode, CliError> {
    // Dropping the guard flushes its buffer; the last lines matter most.
    let (_guard, log) = telemetry::start(&settings.log)?;
    open_files::raise_limit(&settings);
    let checked = (settings.clone(), file.map(Path::to_owned));
    let warnings = async move { check::borne(&checked.0, checked.1.as_deref(), role).await };
    let source = SettingsSource { file: file.map(Path::to_owned), table, log };
    Box::pin(server::run(settings, role, source, warnings)).await?;
    Ok(ExitCode::SUCCESS)
}

fn report(error: &CliError) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "oncelink: {}", telemetry::chain(error));
    error.exit_code()
}
