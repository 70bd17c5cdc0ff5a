//! `oncelink token …`: creates, inspects and verifies download links.

use std::sync::Arc;
use std::time::Duration;

use crate::cli::args::{TokenCommand, TokenMint};
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::cli::ring;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::id::FilePath;
use crate::token::{self, TokenError, TokenRules};
use crate::web::tokens::issuer::{DownloadTokenRequest, Issuer};
use crate::web::tokens::signer::Signer;

/// The `sub` of tokens issued at the command line: the operator, not an account.
const OPERATOR: &str = "operator";

pub(super) async fn run(settings: &Settings, command: &TokenCommand, now: Timestamp) -> Result<(), CliError> {
    match command {
        TokenCommand::Mint(mint) => print(&format!("{}\n", address(settings, mint, now)?)),
        TokenCommand::Inspect { text } => inspect(text),
        TokenCommand::Verify { text } => verify(settings, text, now).await,
    }
}

/// Returns the web app's issuer for tokens of one download service.
pub(super) fn issuer(settings: &Settings, audience: &str, now: Timestamp) -> Result<Issuer, CliError> {
    Ok(Issuer {
        signer: Arc::new(Signer::open(&settings.keys_dir(), now)?),
        issuer: settings.web.public_url.clone(),
        audience: audience.to_owned(),
        download_url: audience.to_owned(),
        lifetime: settings.token.lifetime,
    })
}

fn address(settings: &Settings, mint: &TokenMint, now: Timestamp) -> Result<String, CliError> {
    check_order(settings, mint)?;
    if !settings.shares.iter().any(|share| share.name == mint.file.share()) {
        remark(&format!(
            "warning: there is no share `{}` in the settings, so this link will not find a file",
            mint.file.share().escape_debug()
        ));
    }
    let usual = usual_audience(settings);
    let audience = mint.audience.as_deref().unwrap_or(&usual);
    let order = DownloadTokenRequest {
        name: mint.name.as_deref(),
        confirm: mint.confirm,
        lifetime: mint.lifetime,
        ..DownloadTokenRequest::new(OPERATOR, &mint.file)
    };
    Ok(issuer(settings, audience, now)?.issue_download(&order, now)?.address)
}

/// Returns the default download service for a token: the first that can get new ones.
fn usual_audience(settings: &Settings) -> String {
    let mut services = settings.download_services().into_iter();
    let first = services.find(|node| node.weight > 0);
    first.map_or_else(|| settings.download.public_url.clone(), |node| node.public_url)
}

/// Formats a duration as in the settings, such as `30d`.
fn in_settings(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm')];
    match units.into_iter().find(|(unit, _)| seconds != 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// Refuses arguments that the download service would refuse later.
fn check_order(settings: &Settings, mint: &TokenMint) -> Result<(), CliError> {
    if mint.file.within_share().is_empty() {
        let problem = format!("`{}` is a share, not a file", mint.file.as_str().escape_debug());
        return usage("FILE", problem, "write /share/path".to_owned());
    }
    let most = settings.token.max_lifetime;
    if let Some(lifetime) = mint.lifetime.filter(|lifetime| lifetime.is_zero() || *lifetime > most) {
        let problem = format!(
            "{} is not between 1s and `token.max_lifetime`, which is {}",
            in_settings(lifetime),
            in_settings(most)
        );
        return usage("--lifetime", problem, "choose another lifetime, or raise that setting".to_owned());
    }
    if let Some(name) = mint.name.as_deref().filter(|name| !is_file_name(name, &mint.file)) {
        let problem = format!("`{}` is not a valid file name", name.escape_debug());
        return usage("--name", problem, "use 1 to 255 bytes without `/`, and not `.` or `..`".to_owned());
    }
    let usual = usual_audience(settings);
    let audience = mint.audience.as_deref().unwrap_or(&usual);
    if !audience.starts_with("http://") && !audience.starts_with("https://") || audience.ends_with('/') {
        let problem =
            format!("`{}` is not a valid public address of a download service", audience.escape_debug());
        return usage(
            "--audience",
            problem,
            "use its `download.public_url`, such as https://dl.example.org".to_owned(),
        );
    }
    Ok(())
}

fn is_file_name(name: &str, file: &FilePath) -> bool {
    file.join(name).is_ok() || matches!(file.parent().map(|folder| folder.join(name)), Some(Ok(_)))
}

fn usage(argument: &'static str, problem: String, remedy: String) -> Result<(), CliError> {
    Err(CliError::Usage { argument, problem, remedy })
}

fn inspect(text: &str) -> Result<(), CliError> {
    let unverified = token::inspect(token_in(text)).map_err(|error| CliError::Refused { error })?;
    print(&format!("{unverified}\n"))
}

async fn verify(settings: &Settings, text: &str, now: Timestamp) -> Result<(), CliError> {
    let ring = ring::key_ring(settings, now).await?;
    // The token is valid if any of the download services accepts it. Errors are reported for the first one.
    let verdicts = settings.download_services().into_iter().map(|node| {
        let rules = TokenRules {
            issuer: settings.web.public_url.clone(),
            audience: node.public_url,
            leeway: settings.token.leeway,
            max_lifetime: settings.token.max_lifetime,
        };
        token::verify_download(token_in(text), &ring, &rules, now, Timestamp::EPOCH)
    });
    let better = |kept: Option<Result<_, TokenError>>, next: Result<_, TokenError>| match kept {
        Some(kept)
            if kept.is_ok() || next.as_ref().is_err_and(|error| *error == TokenError::WrongAudience) =>
        {
            Some(kept)
        }
        _ => Some(next),
    };
    let verdict = verdicts.fold(None, better).unwrap_or(Err(TokenError::WrongAudience));
    let grant = verdict.map_err(|error| CliError::Refused { error })?;
    print(&format!("valid: {:?} until {}, jti {}\n", grant.content, grant.expires_at, grant.jti))?;
    remark("only the download service knows whether it was used or revoked");
    Ok(())
}

/// Extracts the token from a download link. Any other text is treated as a token.
fn token_in(text: &str) -> &str {
    let text = text.trim();
    if !text.contains("://") {
        return text;
    }
    let path = text.split(['?', '#']).next().unwrap_or(text);
    path.split_once("/d/").and_then(|(_, rest)| rest.split('/').next()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_its_address() {
        for (text, token) in [
            ("a.b.c", "a.b.c"),
            (" a.b.c\n", "a.b.c"),
            ("http://h:1/d/a.b.c", "a.b.c"),
            ("https://h/d/a.b.c/report%2Fd%2F.pdf?confirmed#x", "a.b.c"),
            ("https://h/other", "https://h/other"),
        ] {
            assert_eq!(token_in(text), token);
        }
    }
}
