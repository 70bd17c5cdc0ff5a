//! Small files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::{RandomError, Secret};

/// A private file can't be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The file couldn't be read.
    Io(io::Error),
    /// Others than its owner may read or change it.
    Exposed,
}

/// A private file couldn't be created.
#[derive(Debug)]
pub(crate) enum Unmade {
    /// The file couldn't be written.
    Io(io::Error),
    /// The operating system provided no random bytes for a temporary name.
    Random(RandomError),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        Unreadable::Io(error)
    }
}

impl From<io::Error> for Unmade {
    fn from(error: io::Error) -> Unmade {
        Unmade::Io(error)
    }
}

/// Reads a file, up to `max` bytes.
pub(crate) fn read(path: &Path, max: u64) -> Result<Zeroizing<String>, Unreadable> {
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(Unreadable::Exposed);
    }
    let mut text = Zeroizing::new(String::new());
    file.take(max).read_to_string(&mut text)?;
    Ok(text)
}

/// Creates a file atomically and durably, unless another process has already created it.
pub(crate) fn make(path: &Path, content: &[u8]) -> Result<(), Unmade> {
    let suffix = Secret::random::<12>().map_err(Unmade::Random)?;
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
    Ok(File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?)
}
