//! The data directory: its permissions, its locks, and the time that its services recorded.
//!
//! Services share it, each with a shared lock. Commands that replace its content or reset its time lock it
//! exclusively. All processes on one machine start from the time in the file `clock`, so that commands and
//! services always use the same time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::clock::{Clock, Timestamp};
use crate::standing::replace;

/// The private folders, each created by the service that needs it.
const PRIVATE: [&str; 3] = ["web", "keys", "download"];

/// The data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It can't be created or written.
    #[error("cannot use the data directory {} (`data_dir`); make it writable for this user", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others may put their own keys in place of ours.
    #[error(
        "users other than its owner can write to {} (mode {mode:03o}), which contains keys and accounts; run `chmod \
         700` on it, or set `data_dir` to a folder inside it, which will be created",
        path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another process runs this service on it.
    #[error("another process runs the {service} service on the data directory {}", path.display())]
    Serving {
        /// The directory.
        path: PathBuf,
        /// The service.
        service: &'static str,
    },
    /// Services are running on it.
    #[error("services are running on the data directory {}; stop them first", .0.display())]
    InUse(PathBuf),
    /// Its content is being replaced.
    #[error("the data directory {} is being restored, or its time is being reset; try again when that is finished", .0.display())]
    Taken(PathBuf),
    /// A restore was interrupted.
    #[error(
        "a restore to the data directory {} was interrupted; run `oncelink restore DIR --force` again (the \
         previous data is in folders with `before-restore` in their names)",
        .0.display()
    )]
    HalfRestored(PathBuf),
}

/// The data directory, locked as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
    /// The locks of the services that only this process may run.
    turns: Vec<File>,
}

impl DataDir {
    /// Creates it if necessary, and locks it for a service. Any number of services may share it.
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

    /// Makes this the only process that runs `service` on it, as long as this lives. Needed where processes share a
    /// socket, so that the second one isn't stopped by an address in use.
    ///
    /// # Errors
    /// If another process runs it, or the lock can't be opened.
    pub fn run_alone(&mut self, service: &'static str) -> Result<(), DataDirError> {
        let lock = lock_file(&self.path, &format!("{service}.lock")).map_err(|source| self.io(source))?;
        match flock_with_retries(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.turns.push(lock);
                Ok(())
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(DataDirError::Serving { path: self.path.clone(), service })
            }
            Err(errno) => Err(self.io(errno.into())),
        }
    }

    /// Returns whether another process has locked it.
    #[must_use]
    pub fn is_held(path: &Path) -> bool {
        path.exists() && matches!(DataDir::hold_alone(path), Err(DataDirError::InUse(_)))
    }

    /// Creates it if necessary, and locks it exclusively, so that no service can run on it.
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
        let lock = lock_file(path, "services.lock").map_err(failed)?;
        match flock_with_retries(&lock, how) {
            Ok(()) => Ok(Some(DataDir { path: path.to_owned(), _lock: lock, turns: Vec::new() })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Returns whether other users can list it. Its content is still private.
    #[must_use]
    pub fn is_open_to_readers(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| found.mode() & 0o055 != 0)
    }

    /// Records the current time for the next start. If that fails, the marks of the stores still apply.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep_time(&self, now: Timestamp) -> Result<(), DataDirError> {
        let text = format!("{} {now}\n", now.secs());
        replace(&self.path.join("clock"), text.as_bytes()).map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> DataDirError {
        DataDirError::Io { path: self.path.clone(), source }
    }
}

/// Returns the latest time that the services on this data directory recorded; `None` if they recorded none yet.
#[must_use]
pub fn kept_time(data_dir: &Path) -> Option<Timestamp> {
    let text = fs::read_to_string(data_dir.join("clock")).ok()?;
    text.split(' ').next()?.parse().ok().map(Timestamp::from_secs)
}

/// Returns a clock that continues from the time of the services on this data directory.
#[must_use]
pub fn clock_of(data_dir: &Path) -> Clock {
    let clock = Clock::wall();
    if let Some(mark) = kept_time(data_dir) {
        clock.raise_to(mark);
    }
    clock
}

/// Opens a lock file in a data directory, and creates it if necessary.
fn lock_file(data_dir: &Path, name: &str) -> io::Result<File> {
    let path = data_dir.join(name);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    give_to_owner_of(data_dir, &lock)?;
    Ok(lock)
}

/// The file that exists while a restore replaces the content of a data directory.
#[must_use]
pub fn restore_mark(data_dir: &Path) -> PathBuf {
    data_dir.join("restore-under-way")
}

/// Creates a folder that only its owner can access, if it is missing.
///
/// # Errors
/// If that fails.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A starting process may be checking whether it is alone.
fn flock_with_retries(lock: &File, how: FlockOperation) -> Result<(), rustix::io::Errno> {
    for _ in 0..10 {
        match rustix::fs::flock(lock, how) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::park_timeout(Duration::from_millis(5)),
            answer => return answer,
        }
    }
    rustix::fs::flock(lock, how)
}

/// A lock file that root creates in another user's data directory is given to that user, who couldn't open it
/// otherwise.
fn give_to_owner_of(path: &Path, lock: &File) -> io::Result<()> {
    let owner = fs::metadata(path)?;
    match rustix::process::geteuid().is_root() {
        true => fchown(lock, Some(owner.uid()), Some(owner.gid())),
        false => Ok(()),
    }
}

/// Anyone who may write to a folder could replace our keys and accounts with their own.
fn refuse_exposed(path: &Path, mode: u32) -> Result<(), DataDirError> {
    match mode & 0o022 {
        0 => Ok(()),
        _ => Err(DataDirError::Exposed { path: path.to_owned(), mode }),
    }
}

/// Removes other users' access to one of our folders, which an earlier release may have left.
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
