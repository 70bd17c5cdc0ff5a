//! `oncelink revoke …`: records revocations in the database and sends them to the running download services,
//! because only those may write to their used-token stores. The web app keeps retrying those that can't be
//! delivered now.

use std::time::Duration;

use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::clock::Clock;
use crate::config::{NodeSettings, Settings};
use crate::id::Jti;
use crate::web::nodes::revoke::RevokeError;
use crate::web::services::Services;

pub(super) async fn run(settings: &Settings, jtis: &[Jti], clock: Clock) -> Result<(), CliError> {
    let services = Services::open(settings, clock).await?;
    let now = services.clock.now();
    let revocations = &services.issued.revocations;
    revocations.set_http_sinks(&services.issuer).map_err(RevokeError::from)?;
    let longest = settings.token.max_lifetime.max(settings.download.lease_max);
    let forget_at = now.plus(longest).plus(settings.token.leeway * 2).plus(Duration::from_secs(3600));
    let active: Vec<&NodeSettings> = services.nodes.active().await?;
    for jti in jtis {
        // Any node may know a token that the web app didn't issue.
        let audience = services.issued.node_of(*jti).await?;
        let audiences: Vec<&str> = match &audience {
            Some(audience) => vec![audience],
            None => active.iter().map(|node| node.public_url.as_str()).collect(),
        };
        revocations.mark(&[*jti], &audiences, forget_at, now).await?;
    }
    for delivered in revocations.deliver(true, now).await {
        if let Err(error) = delivered.outcome {
            return Err(refused(delivered.at, error));
        }
    }
    print(&jtis.iter().map(|jti| format!("revoked {jti}\n")).collect::<String>())
}

fn refused(at: String, error: RevokeError) -> CliError {
    match error {
        RevokeError::Unreachable(source) => CliError::Unreachable { at, source },
        RevokeError::Answer(status) => CliError::NotRevoked { at, status, remedy: remedy(status) },
        other => CliError::Revoke(other),
    }
}

const fn remedy(status: u16) -> &'static str {
    match status {
        403 => {
            "its keys, `web.public_url` or `download.public_url` differ from the ones used here: \
             run this command where the web app runs, with the same settings"
        }
        410 => "the command had expired when it arrived: set the clocks of both machines",
        404 | 405 => "something else answers at its inner address",
        429 | 503 => "try again in a moment; if that does not help, check its log",
        _ => "check its log",
    }
}
