//! Checks the signing keys, the public keys and the shared secrets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::check::findings::Findings;
use crate::cli::check::listen::is_local;
use crate::cli::ring;
use crate::clock::Timestamp;
use crate::config::{Settings, is_address};
use crate::token::HmacSecret;
use crate::web::tokens::signer;

pub(super) async fn look(settings: &Settings, may_enter: bool, now: Timestamp, findings: &mut Findings) {
    let signs_here = may_enter && settings.keys_dir().is_dir();
    if signs_here {
        look_at_private_keys(&settings.keys_dir(), now, findings);
    } else {
        findings.ok("keys", "none here yet; the web app creates the first one when it starts");
    }
    let followed = format!("{}{}", settings.web.public_url, crate::config::JWKS_PATH);
    let ours = signs_here.then(|| active_kid(settings)).flatten();
    look_at_public_keys(&settings.download.keys, &followed, signs_here, ours, findings).await;
    look_at_node_key(settings, may_enter, signs_here, findings);
    for secret in &settings.token.shared_secrets {
        let subject = format!("shared secret `{}`", secret.kid);
        if let Err(error) = HmacSecret::read(&secret.kid, &secret.file) {
            findings.error(&subject, &error);
        } else if is_exposed(&secret.file) {
            let text = format!("users other than its owner can read {}", secret.file.display());
            findings.problem(&subject, &text, &format!("run `chmod 600 {}`", secret.file.display()));
        } else {
            findings.ok(&subject, "usable");
        }
    }
}

fn look_at_private_keys(keys_dir: &Path, now: Timestamp, findings: &mut Findings) {
    match signer::list(keys_dir) {
        Err(error) => findings.error("keys", &error),
        Ok(keys) => {
            let active = keys.iter().find(|key| key.retired_until.is_none());
            let retired =
                keys.iter().filter(|key| key.retired_until.is_some_and(|until| now < until)).count();
            let older = match retired {
                0 => "no older key is valid".to_owned(),
                1 => "1 older key is still valid".to_owned(),
                count => format!("{count} older keys are still valid"),
            };
            match active {
                Some(key) => findings.ok("keys", &format!("{} signs ({}); {older}", key.kid, key.algorithm)),
                None => findings.warning(
                    "keys",
                    &format!("{} is empty", keys_dir.display()),
                    "start the web app, which creates the first key, or restore a copy",
                ),
            }
        }
    }
}

/// A separate download service needs the web app's node key to report deliveries.
fn look_at_node_key(settings: &Settings, may_enter: bool, signs_here: bool, findings: &mut Findings) {
    let (subject, path) = ("download.node_key", settings.node_key_file());
    let shown = path.display();
    if path.exists() {
        if is_exposed(&path) {
            let text = format!("users other than its owner can read {shown}");
            return findings.problem(subject, &text, &format!("run `chmod 600 {shown}`"));
        }
        return findings.ok(subject, "usable");
    }
    // Where the web app runs, or nothing has run yet, the next start creates it.
    if may_enter && !signs_here && settings.download_dir().join("receipts.sqlite").exists() {
        let text = format!("{shown} does not exist, so link owners don't see what was downloaded");
        findings.warning(
            subject,
            &text,
            "copy the web app's node key there, and make it readable by this user only",
        );
    }
}

/// Returns the id of the key that signs here.
fn active_kid(settings: &Settings) -> Option<String> {
    let keys = signer::list(&settings.keys_dir()).ok()?;
    keys.into_iter().find(|key| key.retired_until.is_none()).map(|key| key.kid)
}

async fn look_at_public_keys(
    keys: &str,
    followed: &str,
    signs_here: bool,
    ours: Option<String>,
    findings: &mut Findings,
) {
    let subject = "download.keys";
    match ring::from_settings(keys).await {
        Ok(ring) if ours.as_ref().is_some_and(|ours| !ring.kids().any(|kid| kid == ours)) => {
            let text = format!("the keys at {keys} don't include yours, {}", ours.unwrap_or_default());
            let remedy = "set it to the address or the file of this web app's own keys";
            findings.problem(subject, &text, remedy);
        }
        Ok(ring) => findings
            .ok(subject, &format!("{} at {keys}", crate::human::counted(ring.kids().count() as u64, "key"))),
        // Both services in one process share their keys. If they are separate, the web app may start later.
        Err(_) if keys == followed => {
            findings.ok(subject, &format!("{keys} is not reachable now; it will be when the web app runs"));
        }
        // A web app on the same machine doesn't have to be running during this check.
        Err(_) if is_address(keys) && (signs_here || is_local(keys)) => {
            findings.ok(subject, &format!("{keys} is not reachable now; it will be when the web app runs"));
        }
        Err(error) => {
            let text = crate::telemetry::chain(&error);
            findings.warning(subject, &text, "start the web app, or correct the setting");
        }
    }
}

/// A process with both services verifies with its own keys and ignores `download.keys`.
pub(super) fn look_at_unused(settings: &Settings, findings: &mut Findings) {
    let keys = &settings.download.keys;
    let followed = format!("{}{}", settings.web.public_url, crate::config::JWKS_PATH);
    if *keys != followed && *keys != Settings::default().download.keys {
        findings.warning(
            "download.keys",
            &format!("{keys} is ignored, because both services run in one process and share their keys"),
            "remove it, or run `oncelink download` separately",
        );
    }
}

fn is_exposed(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.mode() & 0o077 != 0)
}
