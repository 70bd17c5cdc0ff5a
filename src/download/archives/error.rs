//! Why an archive can't be served.

use std::io;

use crate::archive::{ArchiveError, ProviderError};

/// A node doesn't have the manifest that a token names.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The web app didn't answer, or takes too long.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Others are waiting for manifests, and it takes too long.
    #[error("the manifest of an archive did not arrive in time")]
    Slow,
    /// What the web app returned is not what the token means.
    #[error("the web app returned another manifest than the one that the token names")]
    Other,
    /// It is not valid.
    #[error(transparent)]
    Invalid(#[from] ArchiveError),
    /// This node can't keep it.
    #[error("cannot keep the manifest of an archive on disk")]
    Disk(#[source] io::Error),
}
