//! Locks for taking a name in a folder, so that only one of two similar names gets in. The rule that nothing
//! is replaced doesn't depend on this.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// Enough that two folders rarely share a lock.
const TURNS: usize = 256;

/// One lock per folder. Checking a name reads the whole folder, so a large folder must not delay others. Two
/// folders that share a lock only wait for each other.
pub(super) struct NameLocks(Vec<Mutex<()>>);

impl Default for NameLocks {
    fn default() -> NameLocks {
        NameLocks(std::iter::repeat_with(Mutex::default).take(TURNS).collect())
    }
}

impl NameLocks {
    /// Waits for the lock to take a name in `folder`.
    pub(super) fn of(&self, folder: &OwnedFd) -> Result<Option<MutexGuard<'_, ()>>, Errno> {
        let stat = rustix::fs::fstat(folder)?;
        let mixed = stat.st_ino ^ stat.st_dev.rotate_left(32);
        let at = usize::try_from(mixed % TURNS as u64).unwrap_or(0);
        // The lock guards no data, so a panic elsewhere breaks nothing.
        Ok(self.0.get(at).map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
