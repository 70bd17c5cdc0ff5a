//! What this node remembers on its own disk about stores that might be restored from a backup: the last
//! standing of a shared used-token store, and of the web app's database.
//!
//! Remembering never delays a download: it follows within a fraction of a second. So only a backup made in
//! the last moment before the store or this node stopped may go unnoticed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::receipt::ReportReply;
use crate::standing::{RememberedStandings, Standing};
use crate::telemetry::chain;
use crate::used_tokens::{StoreError, UsedTokens};

/// How soon new records are remembered …
const CHECK_EVERY: Duration = Duration::from_millis(100);
/// … and every how many checks the store is queried in any case, for changes by other nodes.
const QUERY_EVERY_NTH_CHECK: u32 = 10;

/// What a node remembers.
pub struct Remembered {
    path: PathBuf,
    store: Arc<dyn UsedTokens>,
    /// Whether the store is elsewhere: one on this disk would be restored together with the memory.
    shared: bool,
    clock: Clock,
    leeway: Duration,
    state: Mutex<State>,
    /// Held while the file is written.
    writing: tokio::sync::Mutex<()>,
}

struct State {
    memory: RememberedStandings,
    /// The standing of the store at the last check.
    standing: Option<Standing>,
}

impl Remembered {
    /// Reads what is remembered in `folder` and compares the store with it. A restored store gets its fence
    /// before this returns. It isn't suspicious if nothing is remembered.
    ///
    /// # Errors
    /// If the store doesn't report its standing.
    pub async fn open(
        folder: &Path,
        store: Arc<dyn UsedTokens>,
        shared: bool,
        clock: Clock,
        leeway: Duration,
    ) -> Result<Remembered, StoreError> {
        let path = folder.join("remembered");
        let memory = RememberedStandings::read(&path).unwrap_or_else(|error| {
            let cause = chain(&error);
            tracing::warn!(cause, path = %path.display(), "what this node remembered can't be read; starting over");
            RememberedStandings::default()
        });
        let state = Mutex::new(State { memory, standing: None });
        let writing = tokio::sync::Mutex::default();
        let remembered = Remembered { path, store, shared, clock, leeway, state, writing };
        remembered.save_standing().await?;
        Ok(remembered)
    }

    /// Checks the store until it is dropped.
    pub async fn watch(&self) {
        let mut looks = tokio::time::interval(CHECK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut round, mut failing) = (0_u32, false);
        loop {
            looks.tick().await;
            round = round.wrapping_add(1);
            if !self.store.has_news() && !round.is_multiple_of(QUERY_EVERY_NTH_CHECK) {
                continue;
            }
            match self.save_standing().await {
                Err(error) if !failing => {
                    tracing::warn!(
                        cause = chain(&error),
                        "the used-token store does not report its standing"
                    );
                    failing = true;
                }
                Err(_) => {}
                Ok(()) => failing = false,
            }
        }
    }

    /// Remembers the final standing of the store. For a proper stop, after the last redemption.
    pub async fn finish(&self) {
        if let Err(error) = self.save_standing().await {
            tracing::warn!(cause = chain(&error), "the used-token store did not report its final standing");
        }
        // What was known before may not have been written: the task that did so may be gone.
        if self.shared {
            self.write().await;
        }
    }

    /// Queries the store's standing and remembers it.
    ///
    /// # Errors
    /// If the store doesn't answer.
    pub async fn save_standing(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(mut standing) = self.store.standing(now).await? else { return Ok(()) };
        // Done once, before anything else is remembered; from then on the store itself maintains it.
        let known =
            self.state().memory.of(&standing.id).filter(|known| known.branch != standing.branch).cloned();
        if let Some(known) = known
            && self.store.raise_fence_if_restored(&known, now).await?
        {
            standing = self.store.standing(now).await?.unwrap_or(standing);
        }
        self.follow_reset();
        let news = {
            let mut state = self.state();
            let news = self.shared && state.memory.note(&standing);
            state.standing = Some(standing);
            news
        };
        if news {
            self.write().await;
        }
        Ok(())
    }

    /// If an operator has reset the time of a shared store, it is reset here, too, if it was ahead.
    fn follow_reset(&self) {
        let Some(mark) = self.store.time_reset() else { return };
        if let Some(wrong) = self.clock.wrong(self.leeway)
            && mark <= wrong.wall.plus(self.leeway)
        {
            tracing::warn!("the time of the used-token store was reset to {mark}; this node follows");
            self.clock.reset(mark.max(wrong.wall));
        }
    }

    /// Returns the standing of the store at the last check, for the web app to remember.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.state().standing.clone()
    }

    /// Returns the last reported standing of the web app's database.
    pub(crate) fn database(&self) -> Option<String> {
        self.state().memory.database().map(str::to_owned)
    }

    /// Handles the web app's reply to a report, which contains what the web app remembers.
    ///
    /// # Errors
    /// If the store was restored and its fence may not be set.
    pub(crate) async fn record_reply(&self, taken: &ReportReply) -> Result<(), StoreError> {
        if let Some(later) = &taken.store {
            self.store.raise_fence_if_restored(later, self.clock.now()).await?;
        }
        let news = taken.database.as_ref().is_some_and(|word| self.state().memory.note_database(word));
        if news {
            self.write().await;
        }
        Ok(())
    }

    async fn write(&self) {
        let _one_after_the_other = self.writing.lock().await;
        let (memory, path) = (self.state().memory.clone(), self.path.clone());
        let written = tokio::task::spawn_blocking(move || memory.write(&path)).await;
        let failed = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(gone) => chain(&gone),
        };
        tracing::error!(
            cause = failed,
            "this node can't remember the standing of other stores; fix its disk"
        );
    }

    // Each change is consistent in itself.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
