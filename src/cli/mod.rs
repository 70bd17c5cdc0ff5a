//! The command line: what an operator types, and who answers it.
//!
//! Answers go to standard output, so that a program can read them; whatever is said about them goes
//! to standard error. Exit codes: 0 done, 1 failed or refused, 2 a mistake in the command or the
//! settings.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::clock::Clock;
use crate::config::Settings;
use crate::server::{self, Role};
use crate::telemetry;

mod args;
mod audit;
mod check;
mod error;
mod keys;
mod mail;
mod open_files;
mod revoke;
mod ring;
mod token;
mod user;

pub use args::{AuditCommand, Cli, Command, KeysCommand, MailCommand, TokenCommand, UserCommand};
pub use error::{CliError, PublicKeysError};

/// Does what the command line asks for.
///
/// # Errors
/// See [`CliError`]; [`report`] prints it.
pub async fn run(cli: Cli) -> Result<ExitCode, CliError> {
    let command = match cli.command {
        // Whoever sets up his shell need not have settings.
        Some(Command::Completions { shell }) => return done(print(&args::completions(shell))),
        command => command.unwrap_or(Command::Serve),
    };
    let settings = Settings::of_process(cli.config.as_deref())?;
    let clock = Clock::wall();
    let now = clock.now();
    match command {
        Command::Serve => serve(settings, Role::Both).await,
        Command::Web => serve(settings, Role::Web).await,
        Command::Download => serve(settings, Role::Download).await,
        Command::User(command) => done(user::run(&settings, command, clock).await),
        Command::Audit(command) => audit::run(&settings, &command).await,
        Command::Mail(command) => done(mail::run(&settings, command, clock).await),
        Command::Keys(command) => done(keys::run(&settings, &command, now)),
        Command::Token(command) => done(token::run(&settings, &command, now).await),
        Command::Revoke { jtis } => done(revoke::run(&settings, &jtis, now).await),
        Command::Check => check::run(&settings, &clock).await,
        Command::Completions { shell } => done(print(&args::completions(shell))),
    }
}

fn done(result: Result<(), CliError>) -> Result<ExitCode, CliError> {
    result.map(|()| ExitCode::SUCCESS)
}

async fn serve(settings: Settings, role: Role) -> Result<ExitCode, CliError> {
    // The guard writes what is still in its buffer when it goes; the last lines matter most.
    let _guard = telemetry::start(&settings.log)?;
    open_files::raise_limit(&settings);
    server::run(settings, role).await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints an error and its causes on one line of standard error, and answers the exit code.
pub fn report(error: &CliError) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "oncelink: {}", telemetry::chain(error));
    error.exit_code()
}

/// Writes an answer to standard output. Whoever closes the pipe has read enough.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Says something about an answer on standard error.
pub(crate) fn remark(text: &str) {
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(io::stderr().lock(), "oncelink: {text}");
}
