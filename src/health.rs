//! The health of this process: whether its background tasks run, and whether it is stopping.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part of the state behind `/readyz` other than the stores. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Problems>>);

#[derive(Debug, Default)]
struct Problems {
    stopping: bool,
    down: BTreeSet<&'static str>,
}

impl Health {
    /// Records that a background task has ended.
    pub fn down(&self, task: &'static str) {
        self.lock().down.insert(task);
    }

    /// Records that a background task runs again.
    pub fn up(&self, task: &'static str) {
        self.lock().down.remove(task);
    }

    /// Records that the process is stopping and should get no new clients.
    pub fn begin_stop(&self) {
        self.lock().stopping = true;
    }

    /// Returns whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Returns whether everything works.
    ///
    /// # Errors
    /// A short description of the problem, for the operator.
    pub fn verdict(&self) -> Result<(), String> {
        let ills = self.lock();
        if ills.stopping {
            return Err("stopping".to_owned());
        }
        match ills.down.first() {
            Some(task) => Err(format!("a background task is down: {task}")),
            None => Ok(()),
        }
    }

    // Invariant: nothing under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Problems> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
