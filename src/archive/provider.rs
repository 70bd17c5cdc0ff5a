//! Where a download service gets a manifest that it doesn't have yet.

use async_trait::async_trait;

use crate::secret::Digest;

/// It isn't known whether there is such a manifest.
#[derive(Debug, thiserror::Error)]
#[error("the web app did not return the manifest of an archive")]
pub struct ProviderError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Finds manifests by their digests.
#[async_trait]
pub trait ManifestProvider: Send + Sync {
    /// Returns the text of the manifest with this SHA-256; `None` if there is none. The caller checks the
    /// digest.
    ///
    /// # Errors
    /// If there is no reliable answer; it may be asked again.
    async fn manifest(&self, digest: &Digest) -> Result<Option<String>, ProviderError>;
}
