//! The keys folder on disk: its permissions, its lock, and atomic and durable changes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::web::tokens::private_file::{self, PrivateFileError};
use crate::web::tokens::signer::error::SignerError;
use crate::web::tokens::signer::private_key::PrivateKey;

/// Maximum size of a key file or of the index, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The folder of the private keys, which only its owner may access.
pub(crate) struct KeyFolder {
    path: PathBuf,
}

/// A lock for changing the folder; other processes wait for it.
pub(crate) struct KeyFolderLock(File);

/// The content of `keys.json`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyIndex {
    pub(crate) keys: Vec<IndexKey>,
}

/// One key in `keys.json`. Exactly one has no `retired_until`: the active one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexKey {
    pub(crate) kid: String,
    pub(crate) made_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retired_until: Option<Timestamp>,
}

impl IndexKey {
    pub(crate) fn active(key: &PrivateKey, now: Timestamp) -> IndexKey {
        IndexKey { kid: key.kid().to_owned(), made_at: now, retired_until: None }
    }
}

/// Identifies a version of `keys.json`: each replacement has a new inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexStamp {
    inode: u64,
    changed: (i64, i64),
}

impl KeyFolder {
    pub(crate) fn open(path: &Path) -> Result<KeyFolder, SignerError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| PrivateFileError::io("create the folder", path, source))?;
        // Anyone who may write here could replace our key by their own.
        let mode = fs::metadata(path).map_err(|source| PrivateFileError::io("read", path, source))?.mode();
        if mode & 0o022 != 0 {
            return Err(PrivateFileError::Exposed { path: path.to_owned() }.into());
        }
        Ok(KeyFolder { path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lock(&self) -> Result<KeyFolderLock, SignerError> {
        let failed = |action, source| PrivateFileError::io(action, &self.path, source);
        let handle = File::open(&self.path).map_err(|source| failed("open", source))?;
        handle.lock().map_err(|source| failed("lock", source))?;
        Ok(KeyFolderLock(handle))
    }

    pub(crate) fn stamp(&self) -> Result<IndexStamp, SignerError> {
        let path = self.index_path();
        let found = fs::metadata(&path).map_err(|source| PrivateFileError::io("read", &path, source))?;
        Ok(IndexStamp { inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()) })
    }

    pub(crate) fn index(&self) -> Result<Option<KeyIndex>, SignerError> {
        let path = self.index_path();
        let text = match private_file::read(&path, MAX_FILE) {
            Err(error) if error.is_missing() => return Ok(None),
            text => text?,
        };
        let index: KeyIndex =
            serde_json::from_str(&text).map_err(|_| self.damaged_index("is not a list of keys"))?;
        // Key ids are thumbprints; no other text may become part of a path.
        let is_thumbprint = |kid: &str| {
            kid.len() == 43 && kid.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if !index.keys.iter().all(|key| is_thumbprint(&key.kid)) {
            return Err(self.damaged_index("contains an invalid key id"));
        }
        if index.keys.iter().filter(|key| key.retired_until.is_none()).count() != 1 {
            return Err(self.damaged_index("does not name exactly one active key"));
        }
        Ok(Some(index))
    }

    pub(crate) fn damaged_index(&self, problem: &'static str) -> SignerError {
        SignerError::Damaged { path: self.index_path(), problem }
    }

    /// Returns the ids of all keys in the folder, whether they are in `keys.json` or not.
    pub(crate) fn kids(&self) -> Result<Vec<String>, SignerError> {
        let failed = |source| PrivateFileError::io("read", &self.path, source);
        let mut kids = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            kids.extend(name.to_str().and_then(|name| name.strip_suffix(".pem")).map(str::to_owned));
        }
        Ok(kids)
    }

    pub(crate) fn read_key(&self, kid: &str) -> Result<PrivateKey, SignerError> {
        let path = self.key_path(kid);
        let key = PrivateKey::from_pem(&private_file::read(&path, MAX_FILE)?).ok_or_else(|| {
            SignerError::Damaged {
                path: path.clone(),
                problem: "is not the PKCS#8 PEM of an Ed25519 or P-256 key",
            }
        })?;
        if key.kid() != kid {
            return Err(SignerError::Damaged {
                path,
                problem: "contains a different key than its name says",
            });
        }
        Ok(key)
    }

    pub(crate) fn write_key(&self, lock: &KeyFolderLock, key: &PrivateKey) -> Result<(), SignerError> {
        Ok(replace(lock, &self.key_path(key.kid()), key.to_pem().as_bytes())?)
    }

    pub(crate) fn write_index(&self, lock: &KeyFolderLock, index: &KeyIndex) -> Result<(), SignerError> {
        let text = serde_json::to_vec_pretty(index).map_err(SignerError::Claims)?;
        Ok(replace(lock, &self.index_path(), &text)?)
    }

    pub(crate) fn delete_key(&self, _lock: &KeyFolderLock, kid: &str) -> Result<(), SignerError> {
        let path = self.key_path(kid);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(PrivateFileError::io("delete", &path, source).into())
            }
            _ => Ok(()),
        }
    }

    fn index_path(&self) -> PathBuf {
        self.path.join("keys.json")
    }

    fn key_path(&self, kid: &str) -> PathBuf {
        self.path.join(format!("{kid}.pem"))
    }
}

/// Replaces a file atomically and durably: tokens signed with a key that is lost would be invalid.
fn replace(
    KeyFolderLock(handle): &KeyFolderLock,
    path: &Path,
    content: &[u8],
) -> Result<(), PrivateFileError> {
    let failed = |source| PrivateFileError::io("write", path, source);
    let new = path.with_extension("new");
    // A file left by a crash may have any mode, so it is removed first.
    match fs::remove_file(&new) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).and_then(|()| handle.sync_all()).map_err(failed)
}
