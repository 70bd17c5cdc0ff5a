//! Why keys can't be used.

use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::token::MAX_KEYS;
use crate::web::tokens::private_file::PrivateFileError;

/// Keys can't be used. No variant contains any part of a key.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The folder or a file in it can't be read or written, or others than the owner may.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The content of a file is invalid.
    #[error(
        "{} {problem}; restore the keys folder from a backup, or move it away to start with new keys",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The JWKS has the maximum number of keys.
    #[error(
        "there are already {MAX_KEYS} keys that tokens may still need; the first can be replaced at {free_at}"
    )]
    Full {
        /// When the first retired key is removed.
        free_at: Timestamp,
    },
    /// There are several keys, but no `keys.json` that says which one is active.
    #[error(
        "{} contains keys but no keys.json; restore it from a backup, or move the folder away to start with \
         new keys",
        path.display()
    )]
    NoIndex {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such key.
    #[error("there is no key {0}; `oncelink keys list` lists all keys")]
    NoSuchKey(String),
    /// The key library failed to create a key or a signature.
    #[error("cannot {0}")]
    Library(&'static str),
    /// The claims couldn't be serialized as JSON.
    #[error("cannot serialize the claims")]
    Claims(#[source] serde_json::Error),
    /// The token would be longer than any verifier accepts.
    #[error("the token would be longer than {} bytes", crate::token::MAX_TOKEN)]
    TooLong,
}
