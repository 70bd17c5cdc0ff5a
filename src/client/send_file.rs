//! What `oncelink send` remembers until the link is made, so that the same command goes on after an interruption.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::client::credentials::state_folder;
use crate::client::error::{ClientError, file_error};
use crate::client::visit_file::write_private;
use crate::secret::{Digest, Secret};

/// How far one file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileState {
    /// Its upload has this address.
    Begun(String),
    /// It is at the server, at this path.
    Done(String),
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    /// Makes sure that the link is made once.
    once: String,
    /// The folders that were made, by their names here.
    #[serde(default)]
    folders: BTreeMap<String, String>,
    /// The files, by path, size and time of change.
    #[serde(default)]
    files: BTreeMap<String, FileState>,
}

/// The file about one `oncelink send`.
pub(crate) struct SendFile {
    path: PathBuf,
    remembered: Remembered,
}

impl SendFile {
    /// Opens the file about a command that is described by `what`. A file that can't be understood counts as none.
    ///
    /// # Errors
    /// When its folder can't be created, or there are no random bytes.
    pub(crate) fn open(what: &str) -> Result<SendFile, ClientError> {
        let digest = Digest::of(what.as_bytes());
        let mark: String = digest.as_bytes().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let path = state_folder()?.join(format!("send-{mark}.json"));
        let known = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let remembered = match known {
            Some(known) => known,
            None => Remembered {
                once: Secret::random::<16>()?.reveal().to_owned(),
                folders: BTreeMap::new(),
                files: BTreeMap::new(),
            },
        };
        Ok(SendFile { path, remembered })
    }

    /// Returns the idempotency key for the link.
    pub(crate) fn once(&self) -> &str {
        &self.remembered.once
    }

    /// Returns the path at the server of a folder that was made.
    pub(crate) fn folder(&self, name: &str) -> Option<&str> {
        self.remembered.folders.get(name).map(String::as_str)
    }

    /// Returns how far a file is.
    pub(crate) fn file(&self, key: &str) -> Option<&FileState> {
        self.remembered.files.get(key)
    }

    /// Remembers a folder that was made.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn set_folder(&mut self, name: &str, path: &str) -> Result<(), ClientError> {
        self.remembered.folders.insert(name.to_owned(), path.to_owned());
        self.write()
    }

    /// Remembers how far a file is.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn set_file(&mut self, key: &str, state: FileState) -> Result<(), ClientError> {
        self.remembered.files.insert(key.to_owned(), state);
        self.write()
    }

    /// Removes the file; the link is made.
    ///
    /// # Errors
    /// When it can't be removed.
    pub(crate) fn forget(self) -> Result<(), ClientError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file_error("remove", self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn write(&self) -> Result<(), ClientError> {
        let text = serde_json::to_vec(&self.remembered)
            .map_err(|error| file_error("write", &self.path)(error.into()))?;
        write_private(&self.path, &text)
    }
}
