//! Builds the key ring that the download service would use, for one command.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use crate::cli::error::{CliError, PublicKeysError};
use crate::clock::Timestamp;
use crate::config::{Settings, is_address};
use crate::http_client::HttpClient;
use crate::token::{HmacSecret, KeyRing, MAX_JWKS};
use crate::web::tokens::signer::Signer;

/// How long a command waits for the keys.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the keys of this machine's web app if there are any, otherwise those from `download.keys`; and the
/// shared secrets.
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
        let secret = HmacSecret::read(&secret.kid, &secret.file)?;
        ring.with_secret(secret).map_err(|error| public_keys("token.shared_secret", error.into()))
    })
}

/// Loads the keys from `download.keys`, a file or an address.
pub(super) async fn from_settings(keys: &str) -> Result<KeyRing, CliError> {
    let text = if is_address(keys) {
        fetch(keys).await
    } else {
        fs::read_to_string(keys).map_err(PublicKeysError::from)
    };
    text.and_then(|text| Ok(KeyRing::from_jwks(&text)?)).map_err(|source| public_keys(keys, source))
}

async fn fetch(address: &str) -> Result<String, PublicKeysError> {
    let answer = HttpClient::new(address, PATIENCE)?.get(address).send(Instant::now() + PATIENCE).await?;
    if !answer.is_success() {
        return Err(PublicKeysError::Status(answer.status()));
    }
    // One byte more than is allowed, so that the ring refuses what is too long.
    let text = answer.body(MAX_JWKS + 1).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn public_keys(from: &str, source: PublicKeysError) -> CliError {
    CliError::PublicKeys { from: from.to_owned(), source }
}
