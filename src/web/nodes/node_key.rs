//! The node key: by it a download service in another process shows that it is one of ours. Made at
//! the first start, beside the private keys unless the settings say otherwise, and the same for all web
//! apps that share the file.

use std::io;
use std::path::{Path, PathBuf};

use crate::secret::{Digest, RandomError, Secret};
use crate::web::tokens::private_file::{self, Unmade, Unreadable};

/// The shortest key that is taken, in characters: 128 bits of base64url.
const SHORTEST: usize = 22;
/// Longest file that is read, in bytes.
const LONGEST: u64 = 256;

/// There is no usable node key.
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    /// The file failed.
    #[error("cannot {action} the node key {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it did not work.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "others than its owner may read the node key {}; run `chmod 600` on it, or delete it to get a new one",
        .0.display()
    )]
    Exposed(PathBuf),
    /// It is too short to be a secret.
    #[error("the node key {} is no key; delete it to get a new one", .0.display())]
    Damaged(PathBuf),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// What a presented key is compared with.
#[derive(Clone, Debug)]
pub struct NodeKey(Digest);

impl NodeKey {
    /// Reads the key in the file `path`, and makes it if there is none.
    ///
    /// # Errors
    /// See [`NodeKeyError`].
    pub fn open(path: &Path) -> Result<NodeKey, NodeKeyError> {
        if let Some(key) = NodeKey::find(path)? {
            return Ok(key);
        }
        let key = Secret::random::<32>()?;
        private_file::make(path, format!("{}\n", key.reveal()).as_bytes()).map_err(|error| match error {
            Unmade::Io(source) => NodeKeyError::Io { action: "make", path: path.to_owned(), source },
            Unmade::Random(error) => error.into(),
        })?;
        read(path)
    }

    /// Reads the key in the file `path`; `None` if there is none.
    ///
    /// # Errors
    /// See [`NodeKeyError`].
    pub fn find(path: &Path) -> Result<Option<NodeKey>, NodeKeyError> {
        match read(path) {
            Err(NodeKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// What is known of the key.
    pub const fn digest(&self) -> Digest {
        self.0
    }

    /// Whether this is the key. Takes the same time whatever differs.
    pub fn is(&self, presented: &str) -> bool {
        Secret::presented(presented).digest() == self.0
    }
}

fn read(path: &Path) -> Result<NodeKey, NodeKeyError> {
    let text = private_file::read(path, LONGEST).map_err(|error| match error {
        Unreadable::Io(source) => NodeKeyError::Io { action: "read", path: path.to_owned(), source },
        Unreadable::Exposed => NodeKeyError::Exposed(path.to_owned()),
    })?;
    let key = text.trim();
    if key.len() < SHORTEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NodeKeyError::Damaged(path.to_owned()));
    }
    Ok(NodeKey(Secret::presented(key).digest()))
}
