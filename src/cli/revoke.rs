//! `oncelink revoke …`: signs a command and hands it to the running download service, which alone
//! may write its used-token store.

use crate::cli::error::CliError;
use crate::cli::{print, ring, token};
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::id::Jti;

/// Jtis in one command, so that its token stays well below the longest that is read.
const PER_COMMAND: usize = 64;

pub(super) async fn run(settings: &Settings, jtis: &[Jti], now: Timestamp) -> Result<(), CliError> {
    let service = &settings.download.public_url;
    let at = format!("{service}/revocations");
    let unreachable = |source| CliError::Unreachable { at: service.clone(), source };
    let issuer = token::issuer(settings, service, now)?;
    let client = ring::client(service).map_err(unreachable)?;
    for part in jtis.chunks(PER_COMMAND) {
        let command = issuer.issue_command(part, now)?;
        let answer = client.post(&at).bearer_auth(&command.token).send().await.map_err(unreachable)?;
        match answer.status().as_u16() {
            204 => print(&part.iter().map(|jti| format!("revoked {jti}\n")).collect::<String>())?,
            status => {
                return Err(CliError::NotRevoked { at: service.clone(), status, remedy: remedy(status) });
            }
        }
    }
    Ok(())
}

const fn remedy(status: u16) -> &'static str {
    match status {
        403 => {
            "its keys, `web.public_url` or `download.public_url` differ from the ones used here: \
             run this where the web app runs, with the same settings"
        }
        410 => "the command was too old when it arrived: set both machines' clocks",
        404 | 405 => "something else answers at `download.public_url`",
        429 | 503 => "try again in a moment, and look into its log if that does not help",
        _ => "look into its log",
    }
}
