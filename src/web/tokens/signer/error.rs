//! Why keys can't be used.

use std::io;
use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::token::MAX_KEYS;

/// Why keys can't be used. No variant carries anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The folder or a file in it can't be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it did not work.
        #[source]
        source: io::Error,
    },
    /// Others than the owner could read or change a private key.
    #[error("{} may be read or changed by others than its owner; run `chmod go-rwx` on it", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file is not what it must be.
    #[error("{} {problem}; put back a copy of the keys folder, or move it away to begin with new keys", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The JWKS is full.
    #[error(
        "there are {MAX_KEYS} keys already, all of which tokens may still rely on; the first is free at {free_at}"
    )]
    Full {
        /// When a retired key ends.
        free_at: Timestamp,
    },
    /// There are several keys, but no `keys.json` that says which is active.
    #[error("{} holds keys but no keys.json; put it back, or move the folder away to begin with new keys", path.display())]
    NoIndex {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such key.
    #[error("there is no key {0}; `oncelink keys list` shows which there are")]
    NoSuchKey(String),
    /// The key library failed to make a key or a signature.
    #[error("cannot {0}")]
    Library(&'static str),
    /// The claims can't be written as JSON.
    #[error("cannot write the claims")]
    Claims(#[source] serde_json::Error),
    /// The token would be longer than any verifier accepts.
    #[error("the token would be longer than {} bytes", crate::token::MAX_TOKEN)]
    TooLong,
}
