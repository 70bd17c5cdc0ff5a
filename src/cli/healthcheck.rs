//! `oncelink healthcheck`: asks the running services whether they can serve, as a load balancer would.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::args::ServiceKind;
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::config::Settings;
use crate::http_client::{self, HttpClient, HttpError};

/// How long a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// Asks one service, or both, and prints the answers.
pub(super) async fn run(settings: &Settings, service: Option<ServiceKind>) -> Result<ExitCode, CliError> {
    let services = [
        (ServiceKind::Web, "web app", settings.web.inner_address()),
        (ServiceKind::Download, "download service", settings.download.inner_address()),
    ];
    let mut all_ready = true;
    for (kind, name, address) in services {
        if service.is_some_and(|wanted| wanted != kind) {
            continue;
        }
        match ask(&address).await {
            Ok((true, text)) => print(&format!("{name}: {}\n", text.trim()))?,
            Ok((false, text)) => {
                all_ready = false;
                remark(&format!("the {name} at {address} can't serve: {}", text.trim()));
            }
            Err(error) => {
                all_ready = false;
                remark(&format!(
                    "the {name} at {address} doesn't answer: {}",
                    crate::telemetry::chain(&error)
                ));
            }
        }
    }
    Ok(if all_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns whether the service at this address is ready, and its answer.
async fn ask(address: &str) -> Result<(bool, String), HttpError> {
    let at = http_client::at(address, "/readyz");
    let answer = HttpClient::new(&at, PATIENCE)?.get(&at).send(Instant::now() + PATIENCE).await?;
    let is_ready = answer.is_success();
    let body = answer.body(MAX_ANSWER).await?;
    Ok((is_ready, String::from_utf8_lossy(&body).into_owned()))
}
