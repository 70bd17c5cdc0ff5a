//! `oncelink keys …`: manages the keys that sign tokens. Works while the web app runs, because it notices
//! changes in the keys folder.

use std::fmt::Write;

use crate::cli::args::{KeyAlgorithm, KeysCommand};
use crate::cli::error::CliError;
use crate::cli::output::{print, remark};
use crate::clock::{Clock, Timestamp};
use crate::config::{Settings, is_address};
use crate::web::audit::Actor;
use crate::web::db::{Database, QueryError};
use crate::web::instance;
use crate::web::nodes::revoke::RevokeError;
use crate::web::services::{Services, WebOpenError};
use crate::web::tokens::signer::{self, KeyType, ListedKey, Signer};

pub(super) async fn run(settings: &Settings, command: &KeysCommand, clock: Clock) -> Result<(), CliError> {
    let now = clock.now();
    match command {
        KeysCommand::List { json } => list(settings, *json),
        KeysCommand::Rotate { algorithm } => rotate(settings, *algorithm, now).await,
        KeysCommand::Remove { kid } => remove(settings, kid, clock).await,
        KeysCommand::Adopt => adopt(settings, now).await,
        KeysCommand::Export { .. } => export(settings, now),
    }
}

fn list(settings: &Settings, json: bool) -> Result<(), CliError> {
    let keys_dir = settings.keys_dir();
    // Listing keys must not create the folder.
    let keys = if keys_dir.is_dir() { signer::list(&keys_dir)? } else { Vec::new() };
    if keys.is_empty() {
        remark(&format!(
            "{} contains no keys yet; the web app creates the first one when it starts",
            keys_dir.display()
        ));
    }
    if json {
        return print(&format!("{}\n", serde_json::json!(keys)));
    }
    print(&keys.iter().fold(String::new(), |mut text, key| {
        let _ = writeln!(text, "{}", line(key));
        text
    }))
}

fn line(key: &ListedKey) -> String {
    let state = key.retired_until.map_or_else(|| "active".to_owned(), |until| format!("valid until {until}"));
    format!("{}  {}  created {}  {state}", key.kid, key.algorithm, key.made_at)
}

async fn rotate(settings: &Settings, algorithm: KeyAlgorithm, now: Timestamp) -> Result<(), CliError> {
    let key_type = match algorithm {
        KeyAlgorithm::EdDsa => KeyType::Ed25519,
        KeyAlgorithm::Es256 => KeyType::P256,
    };
    let kid = signer::rotate(&settings.keys_dir(), key_type, now, settings.token.max_lifetime)?;
    note(settings, async |db| instance::key_rotated(&db, &kid, &Actor::operator(), now).await).await;
    print(&format!("{kid}\n"))?;
    remark("new tokens are signed with this key; tokens signed with the previous one stay valid");
    remark_on_files(settings);
    Ok(())
}

fn remark_on_files(settings: &Settings) {
    if !is_address(&settings.download.keys) {
        remark(&format!(
            "download services that read {} need the new `oncelink keys export` first",
            settings.download.keys
        ));
    }
}

/// Records the signing key in the database, so that a web app with other keys is noticed. The web app does
/// this itself when it runs or starts; this matters if keys change several times in between.
async fn note(settings: &Settings, record: impl AsyncFnOnce(Database) -> Result<(), QueryError>) {
    let is_there = settings.web.database.is_shared() || settings.database_file().exists();
    if !is_there {
        return;
    }
    let noted = async {
        let db = Database::open(settings).await.map_err(WebOpenError::from)?;
        record(db).await.map_err(CliError::from)
    };
    if let Err(error) = noted.await {
        remark(&format!("could not record it in the database yet: {}", crate::telemetry::chain(&error)));
    }
}

/// Removes the key first: whatever fails afterwards, nothing that it signed is valid any more.
async fn remove(settings: &Settings, kid: &str, clock: Clock) -> Result<(), CliError> {
    let now = clock.now();
    let active = signer::remove(&settings.keys_dir(), kid, now)?;
    note(settings, async |db| instance::signs_now(&db, &active).await).await;
    let services = Services::open(settings, clock).await?;
    services.end_key(kid, &Actor::operator(), now).await?;
    print(&format!("{active}\n"))?;
    remark(
        "new tokens are signed with this key; every download service refuses the removed one within a minute",
    );
    remark_on_files(settings);
    let revocations = &services.issued.revocations;
    revocations.set_http_sinks(&services.issuer).map_err(RevokeError::from)?;
    if revocations.deliver(true, now).await.iter().any(|node| node.outcome.is_err()) {
        remark("its running transfers are cut off as soon as the web app reaches the download services");
    }
    Ok(())
}

async fn adopt(settings: &Settings, now: Timestamp) -> Result<(), CliError> {
    let db = Database::open(settings).await.map_err(WebOpenError::from)?;
    instance::adopt(&db, &settings.keys_dir(), now).await?;
    remark("the database now uses these keys; every web app on it needs them");
    Ok(())
}

fn export(settings: &Settings, now: Timestamp) -> Result<(), CliError> {
    print(&format!("{}\n", Signer::open(&settings.keys_dir(), now)?.jwks(now)))
}
