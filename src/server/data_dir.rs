//! The data directory: who may reach into it, who works on it now, and which moment it was last.
//!
//! Services hold it together, each with a shared lock; what replaces its content or resets its time has
//! it alone. The moment in the file `clock` is what all processes of one machine start from, so that a
//! command never lives in another time than the services.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::clock::{Clock, Timestamp};
use crate::standing::replace;

/// The folders that are nobody else's business, each made by the service that needs it.
const PRIVATE: [&str; 3] = ["web", "keys", "download"];

/// The data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It can't be made or written.
    #[error("cannot use the data directory {} (`data_dir`); make it writable for this user", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may put their own keys in place of ours.
    #[error(
        "others than its owner may change what is in {} (mode {mode:03o}), where keys and accounts lie; run `chmod \
         700` on it, or set `data_dir` to a folder inside, which is then made",
        path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Services run on it.
    #[error("services are running on the data directory {}; stop them first", .0.display())]
    InUse(PathBuf),
    /// Its content is being replaced.
    #[error("the data directory {} is being restored, or its time reset; try again when that is done", .0.display())]
    Taken(PathBuf),
    /// A restore was cut off half-way.
    #[error(
        "a restore into the data directory {} was cut off; run `oncelink restore DIR --force` again (what was \
         there before lies in it under names with `before-restore`)",
        .0.display()
    )]
    HalfRestored(PathBuf),
}

/// The data directory, held for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes it if there is none, and holds it for a service; any number of them may.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub fn hold(path: &Path) -> Result<DataDir, DataDirError> {
        let dir = DataDir::take(path, FlockOperation::NonBlockingLockShared)?
            .ok_or_else(|| DataDirError::Taken(path.to_owned()))?;
        if restore_mark(path).exists() {
            return Err(DataDirError::HalfRestored(path.to_owned()));
        }
        for name in PRIVATE {
            close_to_others(&path.join(name))?;
        }
        Ok(dir)
    }

    /// Whether another process holds it now.
    #[must_use]
    pub fn is_held(path: &Path) -> bool {
        path.exists() && matches!(DataDir::hold_alone(path), Err(DataDirError::InUse(_)))
    }

    /// Makes it if there is none, and has it alone: no service runs on it meanwhile.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub fn hold_alone(path: &Path) -> Result<DataDir, DataDirError> {
        DataDir::take(path, FlockOperation::NonBlockingLockExclusive)?
            .ok_or_else(|| DataDirError::InUse(path.to_owned()))
    }

    fn take(path: &Path, how: FlockOperation) -> Result<Option<DataDir>, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        make_private(path).map_err(failed)?;
        let mode = fs::metadata(path).map_err(failed)?.mode() & 0o777;
        refuse_exposed(path, mode)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("services.lock"))
            .map_err(failed)?;
        give_to_owner_of(path, &lock).map_err(failed)?;
        match flock_patiently(&lock, how) {
            Ok(()) => Ok(Some(DataDir { path: path.to_owned(), _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Whether others than its owner may read names in it. What is in it is still the owner's alone.
    #[must_use]
    pub fn is_open_to_readers(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| found.mode() & 0o055 != 0)
    }

    /// Keeps the present moment for whatever starts next. Where that fails, the stores' own marks
    /// still hold.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep_time(&self, now: Timestamp) -> Result<(), DataDirError> {
        let text = format!("{} {now}\n", now.secs());
        replace(&self.path.join("clock"), text.as_bytes()).map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> DataDirError {
        DataDirError::Io { path: self.path.clone(), source }
    }
}

/// The latest moment that the services on this data directory kept; `None` when they kept none.
#[must_use]
pub fn kept_time(data_dir: &Path) -> Option<Timestamp> {
    let text = fs::read_to_string(data_dir.join("clock")).ok()?;
    text.split(' ').next()?.parse().ok().map(Timestamp::from_secs)
}

/// A clock that goes on from where the services on this data directory are.
#[must_use]
pub fn clock_of(data_dir: &Path) -> Clock {
    let clock = Clock::wall();
    if let Some(mark) = kept_time(data_dir) {
        clock.raise_to(mark);
    }
    clock
}

/// The file that is there while a restore replaces what is in a data directory.
#[must_use]
pub fn restore_mark(data_dir: &Path) -> PathBuf {
    data_dir.join("restore-under-way")
}

/// Makes a folder that only its owner can enter, if it is missing.
///
/// # Errors
/// When that fails.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A start may just be looking whether it is alone.
fn flock_patiently(lock: &File, how: FlockOperation) -> Result<(), rustix::io::Errno> {
    for _ in 0..10 {
        match rustix::fs::flock(lock, how) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::park_timeout(Duration::from_millis(5)),
            answer => return answer,
        }
    }
    rustix::fs::flock(lock, how)
}

/// A lock that root made in somebody else's data directory is that somebody's, who could not open it
/// otherwise.
fn give_to_owner_of(path: &Path, lock: &File) -> io::Result<()> {
    let owner = fs::metadata(path)?;
    match rustix::process::geteuid().is_root() {
        true => fchown(lock, Some(owner.uid()), Some(owner.gid())),
        false => Ok(()),
    }
}

/// Whoever may write into a folder may put his own keys and accounts in place of ours.
fn refuse_exposed(path: &Path, mode: u32) -> Result<(), DataDirError> {
    match mode & 0o022 {
        0 => Ok(()),
        _ => Err(DataDirError::Exposed { path: path.to_owned(), mode }),
    }
}

/// Takes others' right to look into a folder of ours, which an earlier release may have left.
fn close_to_others(path: &Path) -> Result<(), DataDirError> {
    let failed = |source| DataDirError::Io { path: path.to_owned(), source };
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?,
    };
    let mode = found.mode() & 0o777;
    refuse_exposed(path, mode)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if ours && mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}
