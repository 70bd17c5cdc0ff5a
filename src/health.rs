//! Whether this process does all that it should: its background tasks run, and no stop is under way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What `/readyz` asks beside the stores. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Ills>>);

#[derive(Debug, Default)]
struct Ills {
    stopping: bool,
    down: BTreeSet<&'static str>,
}

impl Health {
    /// A background task ended, and doesn't run now.
    pub fn down(&self, task: &'static str) {
        self.lock().down.insert(task);
    }

    /// A background task runs again.
    pub fn up(&self, task: &'static str) {
        self.lock().down.remove(task);
    }

    /// The process stops: no new clients should be sent here.
    pub fn begin_stop(&self) {
        self.lock().stopping = true;
    }

    /// Whether a stop is under way.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Whether all is well, or else what isn't, for the operator.
    ///
    /// # Errors
    /// What is wrong, in a few words.
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

    // Invariant: nothing that is done under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Ills> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
