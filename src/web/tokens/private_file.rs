//! Small files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::{RandomError, Secret};

/// A private file or its folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It can't be read or written.
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
    /// Others than its owner may read or change it.
    #[error("{} is accessible to other users; run `chmod go-rwx` on it", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
    },
    /// The operating system provided no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl PrivateFileError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> PrivateFileError {
        PrivateFileError::Io { action, path: path.to_owned(), source }
    }

    /// Returns whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, PrivateFileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a file, up to `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Zeroizing<String>, PrivateFileError> {
    let failed = |source| PrivateFileError::io("read", path, source);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(PrivateFileError::Exposed { path: path.to_owned() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(max).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Creates a file atomically and durably, unless another process has already created it.
pub(crate) fn make(path: &Path, content: &[u8]) -> Result<(), PrivateFileError> {
    let suffix = Secret::random::<12>()?;
    place(path, content, &suffix).map_err(|source| PrivateFileError::io("create", path, source))
}

fn place(path: &Path, content: &[u8], suffix: &Secret) -> io::Result<()> {
    let new = path.with_extension(format!("{}.new", suffix.reveal()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    // A hard link never replaces a file, so two processes that start at the same time both use the first
    // one's file.
    let placed = written.and_then(|()| match fs::hard_link(&new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    });
    fs::remove_file(&new)?;
    placed?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
