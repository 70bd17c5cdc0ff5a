//! Reopens a store whose disk was full when there is room.
//!
//! A refused write wasn't confirmed to anyone, and earlier durable data is still there. So the store is
//! reopened like at a start, with all its checks. After a failed fsync the content of the disk is unknown,
//! and only a person may decide to continue.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::clock::Clock;
use crate::used_tokens::sled::database::{is_full, is_locked};
use crate::used_tokens::sled::engine::StoreEngine;
use crate::used_tokens::sled::opening::{StoreOpenError, Tuning};

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// The current engine, and what is needed to open a replacement.
pub(super) struct Reopener {
    engine: RwLock<Arc<StoreEngine>>,
    dir: PathBuf,
    clock: Clock,
    tuning: Tuning,
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    running: bool,
    last: Option<Instant>,
}

impl Reopener {
    pub(super) fn of(engine: StoreEngine, dir: &Path, clock: &Clock, tuning: &Tuning) -> Arc<Reopener> {
        Arc::new(Reopener {
            engine: RwLock::new(Arc::new(engine)),
            dir: dir.to_owned(),
            clock: clock.clone(),
            tuning: tuning.clone(),
            state: Mutex::default(),
            ended: AtomicBool::new(false),
        })
    }

    /// Returns the current engine.
    pub(super) fn engine(&self) -> Arc<StoreEngine> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tries once, on a separate thread, to reopen the store, unless an attempt is running or was made just
    /// now.
    pub(super) fn begin(self: &Arc<Reopener>) {
        {
            let mut state = self.state();
            let too_soon = state.last.is_some_and(|last| last.elapsed() < PAUSE);
            if state.running || too_soon || self.has_ended() {
                return;
            }
            (state.running, state.last) = (true, Some(Instant::now()));
        }
        let revival = Arc::clone(self);
        let thread = std::thread::Builder::new().name("used-tokens-revive".to_owned());
        let attempt = move || {
            let attempt = Attempt(&revival);
            attempt.0.attempt();
        };
        if thread.spawn(attempt).is_err() {
            // No thread is available now; the next call tries again.
            self.state().running = false;
        }
    }

    /// Nothing is reopened from now on.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn attempt(&self) {
        let failed = self.engine();
        if failed.is_full() && !self.has_ended() {
            failed.shut_down();
            match StoreEngine::open(&self.dir, &self.clock, None, &self.tuning) {
                Ok(engine) => {
                    *self.engine.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(engine);
                    info!("there is room on the disk again, and the used-token store was reopened");
                    if self.has_ended() {
                        // It was closed in the meantime, and nobody else will close this one.
                        self.engine().shut_down();
                    }
                }
                Err(e) if is_temporary(&e) => info!(
                    error = &e as &dyn std::error::Error,
                    "the disk of the used-token store is still full"
                ),
                Err(e) => {
                    failed.fail();
                    error!(
                        error = &e as &dyn std::error::Error,
                        "the used-token store cannot be reopened and stops serving; fix the disk, then restart"
                    );
                }
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    // A poisoned lock means a panic elsewhere; the guarded value is consistent after every step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt. When it ends, even by a panic, there may be another.
struct Attempt<'a>(&'a Reopener);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("the attempt to reopen the used-token store panicked; another one follows");
        }
        self.0.state().running = false;
    }
}

/// Returns whether another attempt makes sense: the disk is still full, or the old engine's lock is just
/// being released. For anything else, especially a failed fsync, a person has to check.
fn is_temporary(error: &StoreOpenError) -> bool {
    match error {
        StoreOpenError::InUse { .. } => true,
        StoreOpenError::Failed { source, .. } => is_full(source.as_ref()) || is_locked(source.as_ref()),
    }
}
