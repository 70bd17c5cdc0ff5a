//! Why a key ring can't be fetched.

use std::io;
use std::path::PathBuf;

use crate::http_client::HttpError;
use crate::token::{KeyRingError, MAX_JWKS};

/// Fetching a key ring failed.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// `keys` is neither a valid path nor a valid address.
    #[error("`{0}` is neither a file nor an http or https address")]
    Address(String),
    /// The HTTP client can't be created.
    #[error("cannot set up the HTTP client")]
    Client(#[source] HttpError),
    /// The file can't be read.
    #[error("cannot read the key set {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The web app didn't answer.
    #[error("cannot fetch the key set")]
    Fetch(#[source] HttpError),
    /// The web app returned an error.
    #[error("the web app returned status {0} for the key set")]
    Status(u16),
    /// The key set is too long.
    #[error("the key set is longer than {} bytes", MAX_JWKS)]
    TooLong,
    /// The key set is invalid.
    #[error("the key set is refused")]
    Ring(#[from] KeyRingError),
}
