//! Fetches manifests from a web app in another process: `GET /manifests/{digest}`, with this node's key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::archive::{MANIFEST_MAX, ManifestProvider, ProviderError, digest_text};
use crate::download::receipts::node_key;
use crate::http_client::{HttpClient, HttpError};
use crate::secret::Digest;

/// How long to wait for the web app's response.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The web app didn't return a manifest.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("cannot read the node key (`download.node_key`)")]
    Key(#[source] std::io::Error),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the web app returned status {0} for a manifest")]
    Status(u16),
    #[error("the web app returned more than {MANIFEST_MAX} bytes for a manifest, or no text")]
    Content,
}

/// A web app in another process.
pub struct HttpManifestProvider {
    client: HttpClient,
    address: String,
    key_file: PathBuf,
}

impl HttpManifestProvider {
    /// Creates a client for the web app that accepts receipts at the address `receipts`; its manifests are
    /// beside that.
    ///
    /// # Errors
    /// If TLS can't be set up.
    pub fn new(receipts: &str, key_file: &Path) -> Result<HttpManifestProvider, HttpError> {
        let base = receipts.trim_end_matches('/').rsplit_once('/').map_or(receipts, |(base, _)| base);
        let client = HttpClient::new(receipts, TIMEOUT)?;
        Ok(HttpManifestProvider {
            client,
            address: format!("{base}/manifests"),
            key_file: key_file.to_owned(),
        })
    }

    async fn fetch(&self, digest: &Digest) -> Result<Option<String>, FetchError> {
        let path = self.key_file.clone();
        let read = tokio::task::spawn_blocking(move || node_key(&path)).await;
        let key = read.map_err(|gone| FetchError::Key(std::io::Error::other(gone)))?;
        let key = key.map_err(FetchError::Key)?;
        let address = format!("{}/{}", self.address, digest_text(digest));
        let answer = self.client.get(&address).bearer(&key).send(Instant::now() + TIMEOUT).await?;
        match answer.status() {
            200 => {
                let body = answer.body(MANIFEST_MAX + 1).await?;
                let text = String::from_utf8(body).ok().filter(|text| text.len() <= MANIFEST_MAX);
                text.map(Some).ok_or(FetchError::Content)
            }
            404 => Ok(None),
            status => Err(FetchError::Status(status)),
        }
    }
}

#[async_trait]
impl ManifestProvider for HttpManifestProvider {
    async fn manifest(&self, digest: &Digest) -> Result<Option<String>, ProviderError> {
        self.fetch(digest).await.map_err(|error| ProviderError(error.into()))
    }
}
