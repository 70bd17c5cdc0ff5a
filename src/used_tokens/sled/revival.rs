//! A store whose disk was full opens again by itself once there is room.
//!
//! A write that the disk refused has promised nothing to anybody, and what was durable before it still is:
//! so the store is opened as a start would open it, with all that a start checks. After a failed fsync
//! nothing is known of what the disk holds, and only a person may decide to go on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::clock::Clock;
use crate::used_tokens::sled::database::{is_full, is_locked};
use crate::used_tokens::sled::engine::Engine;
use crate::used_tokens::sled::{OpenError, Tuning};

/// How long one attempt comes after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// The engine that serves now, and what is needed to open another one in its place.
pub(super) struct Revival {
    engine: RwLock<Arc<Engine>>,
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

impl Revival {
    pub(super) fn of(engine: Engine, dir: &Path, clock: &Clock, tuning: &Tuning) -> Arc<Revival> {
        Arc::new(Revival {
            engine: RwLock::new(Arc::new(engine)),
            dir: dir.to_owned(),
            clock: clock.clone(),
            tuning: tuning.clone(),
            state: Mutex::default(),
            ended: AtomicBool::new(false),
        })
    }

    /// The engine that serves now.
    pub(super) fn engine(&self) -> Arc<Engine> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tries once, on a thread of its own, to open the store again, unless that is under way or was tried
    /// just now.
    pub(super) fn begin(self: &Arc<Revival>) {
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
            // No thread to be had now; the next call asks again.
            self.state().running = false;
        }
    }

    /// From now on nothing is opened again.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn attempt(&self) {
        let failed = self.engine();
        if failed.is_full() && !self.has_ended() {
            failed.let_go();
            match Engine::open(&self.dir, &self.clock, None, &self.tuning) {
                Ok(engine) => {
                    *self.engine.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(engine);
                    info!("there is room on the disk again, and the used-token store is open again");
                    if self.has_ended() {
                        // Closed meanwhile: nobody else will.
                        self.engine().let_go();
                    }
                }
                Err(e) if may_pass(&e) => info!(
                    error = &e as &dyn std::error::Error,
                    "the used-token store has no room on its disk yet"
                ),
                Err(e) => {
                    failed.fail();
                    error!(
                        error = &e as &dyn std::error::Error,
                        "the used-token store cannot be opened again and stops serving: mend the disk, then restart"
                    );
                }
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    // A poisoned lock means a panic elsewhere; what it guards is whole after every step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt. When it is over, by a panic too, there may be another.
struct Attempt<'a>(&'a Revival);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("the attempt to open the used-token store again panicked; another one follows");
        }
        self.0.state().running = false;
    }
}

/// Whether it is worth another attempt: the disk is still full, or the old engine's lock is just being let
/// go. Anything else, a failed fsync above all, is for a person to look at.
fn may_pass(error: &OpenError) -> bool {
    match error {
        OpenError::InUse { .. } => true,
        OpenError::Failed { source, .. } => is_full(source.as_ref()) || is_locked(source.as_ref()),
    }
}
