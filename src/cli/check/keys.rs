//! The keys that sign here, the keys that verify, and the shared secrets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Findings;
use crate::cli::ring;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::token::SharedSecret;
use crate::web::tokens::signer;

pub(super) async fn look(settings: &Settings, may_enter: bool, now: Timestamp, findings: &mut Findings) {
    let signs_here = may_enter && settings.keys_dir().is_dir();
    if signs_here {
        look_at_private_keys(&settings.keys_dir(), now, findings);
    } else {
        findings.ok("keys", "none here yet; the web app makes the first when it starts");
    }
    let followed = format!("{}{}", settings.web.public_url, crate::config::JWKS_PATH);
    let ours = signs_here.then(|| active_kid(settings)).flatten();
    look_at_public_keys(&settings.download.keys, &followed, signs_here, ours, findings).await;
    look_at_node_key(settings, may_enter, signs_here, findings);
    for secret in &settings.token.shared_secrets {
        let subject = format!("shared secret `{}`", secret.kid);
        if let Err(error) = SharedSecret::read(&secret.kid, &secret.file) {
            findings.error(&subject, &error);
        } else if is_exposed(&secret.file) {
            let text = format!("others than its owner may read {}", secret.file.display());
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
            match active {
                Some(key) => findings.ok(
                    "keys",
                    &format!("{} signs ({}), {retired} older still verify", key.kid, key.algorithm),
                ),
                None => findings.warning(
                    "keys",
                    &format!("{} is empty", keys_dir.display()),
                    "start the web app, which makes the first, or put back a copy",
                ),
            }
        }
    }
}

/// A download service by itself needs the web app's key for telling it of receipts.
fn look_at_node_key(settings: &Settings, may_enter: bool, signs_here: bool, findings: &mut Findings) {
    let (subject, path) = ("download.node_key", settings.node_key_file());
    let shown = path.display();
    if path.exists() {
        if is_exposed(&path) {
            let text = format!("others than its owner may read {shown}");
            return findings.problem(subject, &text, &format!("run `chmod 600 {shown}`"));
        }
        return findings.ok(subject, "usable");
    }
    // Where the web app runs, or nothing has yet, the next start makes it.
    if may_enter && !signs_here && settings.download_dir().join("receipts.sqlite").exists() {
        let text = format!("{shown} is not there, so that owners of links don't learn what was taken");
        findings.warning(subject, &text, "copy the web app's node key there, readable by this user only");
    }
}

/// The key that signs here.
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
            let text = format!("the keys at {keys} lack yours, {}", ours.unwrap_or_default());
            let remedy = "let it be the address or the file of this web app's own keys";
            findings.problem(subject, &text, remedy);
        }
        Ok(ring) => findings
            .ok(subject, &format!("{} at {keys}", crate::human::counted(ring.kids().count() as u64, "key"))),
        // Both services in one process share their keys; apart, the web app may come later.
        Err(_) if keys == followed => {
            findings.ok(subject, &format!("{keys} does not answer now; it does once the web app runs"));
        }
        // Where the web app is on the same machine, it need not run while this does.
        Err(_) if keys.contains("://") && (signs_here || is_local(keys)) => {
            findings.ok(subject, &format!("{keys} does not answer now; it does once the web app runs"));
        }
        Err(error) => {
            let text = crate::telemetry::chain(&error);
            findings.warning(subject, &text, "start the web app, or correct the setting");
        }
    }
}

/// A process with both services verifies with its own keys, whatever `download.keys` says.
pub(super) fn look_at_unused(settings: &Settings, findings: &mut Findings) {
    let keys = &settings.download.keys;
    let followed = format!("{}{}", settings.web.public_url, crate::config::JWKS_PATH);
    if *keys != followed && *keys != Settings::default().download.keys {
        findings.warning(
            "download.keys",
            &format!("{keys} is not asked, because both services run in this process and share their keys"),
            "remove it, or run `oncelink download` by itself",
        );
    }
}

fn is_local(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    ["127.", "[::1]", "localhost"].iter().any(|local| host.starts_with(local))
}

fn is_exposed(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.mode() & 0o077 != 0)
}
