//! Fetches the text of a key set from a file or over HTTP, with limits on size and time.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Url, redirect};

use crate::download::key_source::KeySourceError;
use crate::token::MAX_JWKS;

/// Maximum time for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of redirects that are followed, all on the same host.
const MAX_REDIRECTS: usize = 3;

/// Fetches one address.
pub(super) struct Fetcher {
    client: Client,
    url: Url,
}

impl Fetcher {
    pub(super) fn new(address: &str) -> Result<Fetcher, KeySourceError> {
        let url = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| KeySourceError::Address(address.to_owned()))?;
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::custom(same_host))
            // Keys come from the configured address, never through a proxy from the environment.
            .no_proxy()
            .build()
            .map_err(KeySourceError::Client)?;
        Ok(Fetcher { client, url })
    }

    pub(super) async fn fetch(&self) -> Result<String, KeySourceError> {
        let mut response = self.client.get(self.url.clone()).send().await.map_err(KeySourceError::Fetch)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(KeySourceError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(KeySourceError::Fetch)? {
            if body.len() + chunk.len() > MAX_JWKS {
                return Err(KeySourceError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        // Text that isn't UTF-8 isn't JSON either; the ring refuses it.
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// Redirects must stay at the configured scheme, host and port.
fn same_host(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let first = attempt.previous().first().map(Url::origin);
    if first == Some(attempt.url().origin()) && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        // The redirect itself becomes the response, which is not a success.
        attempt.stop()
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
