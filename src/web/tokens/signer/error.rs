//! Why keys can't be used.

use std::io;
use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::token::MAX_KEYS;

/// Keys can't be used. No variant contains any part of a key.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The folder or a file in it can't be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read or change a private key.
    #[error("{} may be read or changed by others than its owner; run `chmod go-rwx` on it", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
    },
    /// The content of a file is invalid.
    #[error("{} {problem}; put back a copy of the keys folder, or move it away to begin with new keys", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The JWKS has the maximum number of keys.
    #[error(
        "there are {MAX_KEYS} keys already, all of which tokens may still rely on; the first is free at {free_at}"
    )]
    Full {
        /// When the first retired key is removed.
        free_at: Timestamp,
    },
    /// There are several keys, but no `keys.json` that says which one is active.
    #[error("{} holds keys but no keys.json; put it back, or move the folder away to begin with new keys", path.display())]
    NoIndex {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such key.
    #[error("there is no key {0}; `oncelink keys list` shows which there are")]
    NoSuchKey(String),
    /// The key library failed to create a key or a signature.
    #[error("cannot {0}")]
    Library(&'static str),
    /// The claims couldn't be serialized as JSON.
    #[error("cannot write the claims")]
    Claims(#[source] serde_json::Error),
    /// The token would be longer than any verifier accepts.
    #[error("the token would be longer than {} bytes", crate::token::MAX_TOKEN)]
    TooLong,
}
