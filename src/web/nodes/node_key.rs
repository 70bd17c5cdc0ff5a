//! The node key: by it a download service in another process shows that it is one of ours. Made at
//! the first start, beside the private keys unless the settings say otherwise, and the same for all web
//! apps that share the file.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::{Digest, RandomError, Secret};

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
        let failed = |action, source| NodeKeyError::Io { action, path: path.to_owned(), source };
        if let Some(key) = NodeKey::find(path)? {
            return Ok(key);
        }
        let key = Secret::random::<32>()?;
        let suffix = Secret::random::<8>()?;
        let new = path.with_extension(format!("{}.new", suffix.reveal()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(|source| failed("make", source))?;
        let written = file.write_all(format!("{}\n", key.reveal()).as_bytes()).and_then(|()| file.sync_all());
        // A link, because it replaces nothing: of several processes at their first start one wins.
        let linked = written.and_then(|()| fs::hard_link(&new, path));
        let _left_behind = fs::remove_file(&new);
        match linked {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(failed("make", source)),
            _ => read(path),
        }
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
    let failed = |source| NodeKeyError::Io { action: "read", path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(NodeKeyError::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    let key = text.trim();
    if key.len() < SHORTEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NodeKeyError::Damaged(path.to_owned()));
    }
    Ok(NodeKey(Secret::presented(key).digest()))
}
