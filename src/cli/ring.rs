//! The key ring that the download service would verify with, put together for one command.

use std::fs;
use std::time::Duration;

use crate::cli::error::{CliError, PublicKeysError};
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::token::{KeyRing, MAX_JWKS, SharedSecret};
use crate::web::tokens::signer::Signer;

/// How long the other side may take to answer a command.
const PATIENCE: Duration = Duration::from_secs(10);

/// The keys of this machine's web app if there are some, or else those that `download.keys`
/// names; and the shared secrets.
pub(super) async fn key_ring(settings: &Settings, now: Timestamp) -> Result<KeyRing, CliError> {
    let keys_dir = settings.keys_dir();
    let public = if keys_dir.is_dir() {
        Signer::open(&keys_dir, now)?
            .ring(now)
            .map_err(|error| public_keys(&keys_dir.to_string_lossy(), error.into()))?
    } else {
        from_settings(&settings.download.keys).await?
    };
    settings.token.shared_secrets.iter().try_fold(public, |ring, secret| {
        let secret = SharedSecret::read(&secret.kid, &secret.file)?;
        ring.with_secret(secret).map_err(|error| public_keys("token.shared_secret", error.into()))
    })
}

/// The keys that `download.keys` names: a file or an address.
pub(super) async fn from_settings(keys: &str) -> Result<KeyRing, CliError> {
    let text = if keys.contains("://") {
        fetch(keys).await
    } else {
        fs::read_to_string(keys).map_err(PublicKeysError::from)
    };
    text.and_then(|text| Ok(KeyRing::from_jwks(&text)?)).map_err(|source| public_keys(keys, source))
}

async fn fetch(address: &str) -> Result<String, PublicKeysError> {
    let mut answer = client(address)?.get(address).send().await?;
    if !answer.status().is_success() {
        return Err(PublicKeysError::Status(answer.status().as_u16()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_JWKS {
            // The ring refuses it for its length.
            break;
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A client for the other service: no proxy and no redirect may see a token or give us keys.
pub(super) fn client(address: &str) -> Result<reqwest::Client, reqwest::Error> {
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
    // A machine without the system's certificates can still talk plain http to itself.
    let client = if address.starts_with("http://") { client.tls_certs_only([]) } else { client };
    client.build()
}

fn public_keys(from: &str, source: PublicKeysError) -> CliError {
    CliError::PublicKeys { from: from.to_owned(), source }
}
