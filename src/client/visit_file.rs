//! What `oncelink get` remembers about a link until it has all of its files, so that it goes on where it was
//! interrupted: a file with a dot in its name in the folder of the downloads, readable by its owner only.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::error::{ClientError, file_error};
use crate::secret::{Digest, Secret};

/// A download that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Its address, with the token.
    pub(crate) address: String,
    /// The resume key: the entity tag of the first answer.
    #[serde(default)]
    pub(crate) key: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct Remembered {
    /// By this secret the web app recognizes who began.
    visitor: String,
    /// The web app's public address.
    #[serde(default)]
    public_url: Option<String>,
    /// The downloads that were begun, by the key of the file.
    #[serde(default)]
    begun: BTreeMap<String, Begun>,
    /// The files that have arrived.
    #[serde(default)]
    arrived: BTreeMap<String, PathBuf>,
}

/// The file about one link.
pub(crate) struct VisitFile {
    path: PathBuf,
    visitor: Secret,
    remembered: Remembered,
}

impl VisitFile {
    /// Opens the file about the link at `address` in `folder`. A file that can't be understood counts as none.
    ///
    /// # Errors
    /// When it can't be read, or there are no random bytes.
    pub(crate) fn open(folder: &Path, address: &str) -> Result<VisitFile, ClientError> {
        let digest = Digest::of(address.as_bytes());
        let mark: String = digest.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(format!(".oncelink-{mark}.json"));
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Remembered>(&bytes).ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(file_error("read", path)(error)),
        };
        let remembered = match known.filter(|known| !known.visitor.is_empty()) {
            Some(known) => known,
            None => {
                Remembered { visitor: Secret::random::<32>()?.reveal().to_owned(), ..Remembered::default() }
            }
        };
        let visitor = Secret::presented(&remembered.visitor);
        Ok(VisitFile { path, visitor, remembered })
    }

    /// Returns the visitor's secret.
    pub(crate) const fn visitor(&self) -> &Secret {
        &self.visitor
    }

    /// Returns the web app's public address, if it is known.
    pub(crate) fn public_url(&self) -> Option<&str> {
        self.remembered.public_url.as_deref()
    }

    /// Returns the download of a file that was begun.
    pub(crate) fn begun(&self, key: &str) -> Option<&Begun> {
        self.remembered.begun.get(key)
    }

    /// Returns where a file is that has arrived.
    pub(crate) fn arrived(&self, key: &str) -> Option<&Path> {
        self.remembered.arrived.get(key).map(PathBuf::as_path)
    }

    /// Remembers the web app's public address.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn set_public_url(&mut self, public_url: &str) -> Result<(), ClientError> {
        self.remembered.public_url = Some(public_url.to_owned());
        self.write()
    }

    /// Remembers a download that was begun.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn set_begun(&mut self, key: &str, begun: Begun) -> Result<(), ClientError> {
        if self.begun(key) == Some(&begun) {
            return Ok(());
        }
        self.remembered.begun.insert(key.to_owned(), begun);
        self.write()
    }

    /// Remembers that a file has arrived.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn set_arrived(&mut self, key: &str, path: &Path) -> Result<(), ClientError> {
        self.remembered.begun.remove(key);
        self.remembered.arrived.insert(key.to_owned(), path.to_owned());
        self.write()
    }

    /// Removes the file; everything has arrived.
    ///
    /// # Errors
    /// When it can't be removed.
    pub(crate) fn forget(self) -> Result<(), ClientError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error("remove", self.path)(error)),
            _ => Ok(()),
        }
    }

    fn write(&self) -> Result<(), ClientError> {
        let text = serde_json::to_vec(&self.remembered)
            .map_err(|error| file_error("write", &self.path)(error.into()))?;
        write_private(&self.path, &text)
    }
}

/// Replaces a file as a whole; only its owner may read it.
///
/// # Errors
/// When it can't be written.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), ClientError> {
    let fresh = path.with_extension("new");
    let failed = |error| file_error("write", path)(error);
    let _left_behind = fs::remove_file(&fresh);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}
