//! `oncelink keys …`: the keys that sign tokens. Works while the web app runs: it notices a change
//! of the folder by itself.

use std::fmt::Write;

use crate::cli::args::{KeyAlgorithm, KeysCommand};
use crate::cli::error::CliError;
use crate::cli::{print, remark};
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::web::signer::{self, KeyType, ListedKey, Signer};

pub(super) fn run(settings: &Settings, command: &KeysCommand, now: Timestamp) -> Result<(), CliError> {
    match command {
        KeysCommand::List { json } => list(settings, *json),
        KeysCommand::Rotate { algorithm } => rotate(settings, *algorithm, now),
        KeysCommand::Export { .. } => export(settings, now),
    }
}

fn list(settings: &Settings, json: bool) -> Result<(), CliError> {
    let keys_dir = settings.keys_dir();
    // Looking must not make the folder.
    let keys = if keys_dir.is_dir() { signer::list(&keys_dir)? } else { Vec::new() };
    if keys.is_empty() {
        remark(&format!(
            "{} holds no keys yet; the web app makes the first when it starts",
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
    let state =
        key.retired_until.map_or_else(|| "active".to_owned(), |until| format!("verifies until {until}"));
    format!("{}  {}  made {}  {state}", key.kid, key.algorithm, key.made_at)
}

fn rotate(settings: &Settings, algorithm: KeyAlgorithm, now: Timestamp) -> Result<(), CliError> {
    let key_type = match algorithm {
        KeyAlgorithm::EdDsa => KeyType::Ed25519,
        KeyAlgorithm::Es256 => KeyType::P256,
    };
    let kid = signer::rotate(&settings.keys_dir(), key_type, now, settings.token.max_lifetime)?;
    print(&format!("{kid}\n"))?;
    remark("this key signs from now on; the one before still verifies what it signed");
    if !settings.download.keys.contains("://") {
        remark(&format!(
            "download services that read {} need the new `oncelink keys export` first",
            settings.download.keys
        ));
    }
    Ok(())
}

fn export(settings: &Settings, now: Timestamp) -> Result<(), CliError> {
    print(&format!("{}\n", Signer::open(&settings.keys_dir(), now)?.jwks(now)))
}
