//! Turns to take a name in a folder: of two names that look alike only one gets in. That nothing is
//! replaced does not depend on it.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// Enough that two folders rarely share a turn.
const TURNS: usize = 256;

/// One turn per folder. Looking for a name reads the whole folder, so a large one must not keep names
/// in other folders waiting; two folders that share a turn only wait for each other.
pub(super) struct Naming(Vec<Mutex<()>>);

impl Default for Naming {
    fn default() -> Naming {
        Naming(std::iter::repeat_with(Mutex::default).take(TURNS).collect())
    }
}

impl Naming {
    /// Waits for the turn to take a name in `folder`.
    pub(super) fn of(&self, folder: &OwnedFd) -> Result<Option<MutexGuard<'_, ()>>, Errno> {
        let stat = rustix::fs::fstat(folder)?;
        let mixed = stat.st_ino ^ stat.st_dev.rotate_left(32);
        let at = usize::try_from(mixed % TURNS as u64).unwrap_or(0);
        // A turn guards no data, so a panic elsewhere leaves nothing broken.
        Ok(self.0.get(at).map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
