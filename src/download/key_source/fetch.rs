//! Fetches the text of a key set from a file or over HTTP, with limits on size and time.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::download::key_source::error::KeySourceError;
use crate::http_client::{ClientResponse, HttpClient};
use crate::token::MAX_JWKS;

/// Maximum time for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of redirects that are followed, all on the same host.
const MAX_REDIRECTS: usize = 3;

/// Fetches one address.
pub(super) struct Fetcher {
    client: HttpClient,
    address: String,
}

impl Fetcher {
    pub(super) fn new(address: &str) -> Result<Fetcher, KeySourceError> {
        let is_good =
            Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_good && !address.starts_with("unix:") {
            return Err(KeySourceError::Address(address.to_owned()));
        }
        let client = HttpClient::new(address, TIMEOUT).map_err(KeySourceError::Client)?;
        Ok(Fetcher { client, address: address.to_owned() })
    }

    pub(super) async fn fetch(&self) -> Result<String, KeySourceError> {
        let answer = self.follow(Instant::now() + TIMEOUT).await?;
        if answer.status() != 200 {
            return Err(KeySourceError::Status(answer.status()));
        }
        let body = answer.body(MAX_JWKS + 1).await.map_err(KeySourceError::Fetch)?;
        if body.len() > MAX_JWKS {
            return Err(KeySourceError::TooLong);
        }
        // Text that isn't UTF-8 isn't JSON either; the ring refuses it.
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Follows redirects that stay at the configured scheme, host and port. Any other redirect is returned as
    /// the response, which is not a success.
    async fn follow(&self, until: Instant) -> Result<ClientResponse, KeySourceError> {
        let mut address = self.address.clone();
        let mut left = MAX_REDIRECTS;
        loop {
            let answer = self.client.get(&address).send(until).await.map_err(KeySourceError::Fetch)?;
            match answer.redirect_within_origin() {
                Some(next) if left > 0 => (address, left) = (next.into(), left - 1),
                _ => return Ok(answer),
            }
        }
    }
}

pub(super) async fn read_file(path: PathBuf) -> Result<String, KeySourceError> {
    let failed = |source| KeySourceError::File { path: path.clone(), source };
    let reading = path.clone();
    let read = tokio::task::spawn_blocking(move || read_limited(&reading)).await;
    read.map_err(|stopped| failed(io::Error::other(stopped)))?.map_err(failed)
}

/// Reads one byte more than allowed, so that the ring refuses longer texts.
pub(super) fn read_limited(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_JWKS as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
