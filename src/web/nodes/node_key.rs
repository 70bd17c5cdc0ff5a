//! The node key, with which a download service in another process authenticates. It is created at the first
//! start, beside the private keys unless configured otherwise, and is the same for all web apps that share
//! the file.

use std::io;
use std::path::{Path, PathBuf};

use crate::secret::{Digest, RandomError, Secret};
use crate::web::tokens::private_file::{self, PrivateFileError};

/// Minimum length of a key, in characters: 128 bits in base64url.
const SHORTEST: usize = 22;
/// Maximum size of the file that is read, in bytes.
const LONGEST: u64 = 256;

/// There is no usable node key.
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    /// The file could not be accessed.
    #[error("cannot {action} the node key {}", path.display())]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read the file.
    #[error(
        "other users can read the node key {}; run `chmod 600` on it, or delete it to get a new one",
        .0.display()
    )]
    Exposed(PathBuf),
    /// It is too short or has invalid characters.
    #[error("the node key {} is not a valid key; delete it to get a new one", .0.display())]
    Damaged(PathBuf),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<PrivateFileError> for NodeKeyError {
    fn from(error: PrivateFileError) -> NodeKeyError {
        match error {
            PrivateFileError::Io { action, path, source } => NodeKeyError::Io { action, path, source },
            PrivateFileError::Exposed { path } => NodeKeyError::Exposed(path),
            PrivateFileError::Random(error) => error.into(),
        }
    }
}

/// The digest of the node key, with which presented keys are compared.
#[derive(Clone, Debug)]
pub struct NodeKey(Digest);

impl NodeKey {
    /// Reads the key in the file `path`, and creates the file if it doesn't exist.
    ///
    /// # Errors
    /// See [`NodeKeyError`].
    pub fn open(path: &Path) -> Result<NodeKey, NodeKeyError> {
        if let Some(key) = NodeKey::find(path)? {
            return Ok(key);
        }
        let key = Secret::random::<32>()?;
        private_file::make(path, format!("{}\n", key.reveal()).as_bytes())?;
        read(path)
    }

    /// Reads the key in the file `path`; `None` if the file doesn't exist.
    ///
    /// # Errors
    /// See [`NodeKeyError`].
    pub fn find(path: &Path) -> Result<Option<NodeKey>, NodeKeyError> {
        match read(path) {
            Err(NodeKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Returns the digest of the key.
    pub const fn digest(&self) -> Digest {
        self.0
    }

    /// Whether `presented` is the key, compared in constant time.
    pub fn is(&self, presented: &str) -> bool {
        Secret::presented(presented).digest() == self.0
    }
}

fn read(path: &Path) -> Result<NodeKey, NodeKeyError> {
    let text = private_file::read(path, LONGEST)?;
    let key = text.trim();
    if key.len() < SHORTEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NodeKeyError::Damaged(path.to_owned()));
    }
    Ok(NodeKey(Secret::presented(key).digest()))
}
