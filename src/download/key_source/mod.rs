//! Loads the key ring: from a JWKS file, a URL, or the web app in the same process.
//!
//! The last good ring is kept in memory and on disk, so that downloads continue when the web app is down or
//! sends a damaged response. Anyone can invent an unknown kid, so it triggers at most one fetch in ten
//! seconds, by one task at a time.

mod error;
mod fetch;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, Timestamp};
use crate::config::is_address;
use crate::download::key_source::fetch::Fetcher;
use crate::token::{HmacSecret, KeyRing, KeyRingError};

pub use self::error::KeySourceError;

/// Minimum time between two fetches because of an unknown kid.
pub const REFETCH_AFTER: Duration = Duration::from_secs(10);

/// Time between two regular fetches: a leaked key that was removed is refused everywhere within a minute,
/// including caches on the way.
pub const REFRESH_EVERY: Duration = Duration::from_secs(20);

/// A function that returns a JWKS without waiting.
pub type JwksProvider = Box<dyn Fn() -> String + Send + Sync>;

/// The key ring of this node and its source. Shared by all workers.
pub struct KeySource {
    origin: Origin,
    /// The file for the last good JWKS, if any.
    kept: Option<PathBuf>,
    secrets: Vec<HmacSecret>,
    ring: RwLock<Arc<KeyRing>>,
    /// Held during a fetch, so that one task fetches and the others wait for its result.
    last: Mutex<Last>,
}

enum Origin {
    File(PathBuf),
    Url(Box<Fetcher>),
    Provider(JwksProvider),
}

#[derive(Default)]
struct Last {
    asked: Option<Timestamp>,
    /// The last fetch because of an unknown kid. Counted separately, so that the first token of a new key
    /// isn't refused because of a regular fetch just before.
    asked_for_kid: Option<Timestamp>,
    good: Option<String>,
}

impl KeySource {
    /// Creates a source from the setting `download.keys`: an http(s) address or a file. The last good JWKS is
    /// kept in `kept`. Nothing is fetched yet: see [`KeySource::load`].
    ///
    /// # Errors
    /// If `keys` is an invalid address, or the shared secrets don't fit in a ring.
    pub fn new(
        keys: &str,
        kept: Option<PathBuf>,
        secrets: Vec<HmacSecret>,
    ) -> Result<KeySource, KeySourceError> {
        let origin = if is_address(keys) {
            Origin::Url(Box::new(Fetcher::new(keys)?))
        } else {
            Origin::File(PathBuf::from(keys))
        };
        KeySource::from_origin(origin, kept, secrets)
    }

    /// Creates a source in the same process, which answers at once, without HTTP and without limits.
    ///
    /// # Errors
    /// If the shared secrets don't fit in a ring.
    pub fn in_process(provider: JwksProvider, secrets: Vec<HmacSecret>) -> Result<KeySource, KeySourceError> {
        KeySource::from_origin(Origin::Provider(provider), None, secrets)
    }

    fn from_origin(
        origin: Origin,
        kept: Option<PathBuf>,
        secrets: Vec<HmacSecret>,
    ) -> Result<KeySource, KeySourceError> {
        let ring = with_secrets(KeyRing::default(), &secrets)?;
        let (ring, last) = (RwLock::new(Arc::new(ring)), Mutex::default());
        Ok(KeySource { origin, kept, secrets, ring, last })
    }

    /// Loads the keys before the service accepts connections: from the source or, if that fails, from disk.
    /// With neither, every token signed with a public key is refused until the source answers.
    ///
    /// # Errors
    /// Why the source didn't return a ring. The service can start anyway.
    pub async fn load(&self, now: Timestamp) -> Result<(), KeySourceError> {
        let mut last = self.last.lock().await;
        let asked = self.ask(&mut last, now).await;
        if asked.is_err()
            && let Some(text) = self.read_kept()
        {
            self.take(&mut last, text)?;
        }
        asked.map(|_changed| ())
    }

    /// Returns the current ring.
    pub fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether there are any keys.
    pub fn is_ready(&self) -> bool {
        !self.current().is_empty()
    }

    /// Call this when a token's kid is unknown to the ring `seen`. Returns a newer ring to try again with, if
    /// there is one. This fetches at most once in ten seconds; calls during a fetch wait for its result.
    pub async fn newer_than(&self, seen: &Arc<KeyRing>, now: Timestamp) -> Option<Arc<KeyRing>> {
        let mut last = self.last.lock().await;
        if Arc::ptr_eq(seen, &self.current()) && self.may_refetch(&last, now) {
            last.asked_for_kid = Some(now);
            self.ask_or_warn(&mut last, now).await;
        }
        let current = self.current();
        (!Arc::ptr_eq(seen, &current)).then_some(current)
    }

    /// Keeps the ring up to date: every twenty seconds, or every ten until the first one is loaded. Never returns.
    pub async fn run(&self, clock: &Clock) {
        let mut ticks = tokio::time::interval(REFETCH_AFTER);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.refresh_if_due(clock.now()).await;
        }
    }

    /// One step of [`KeySource::run`].
    pub async fn refresh_if_due(&self, now: Timestamp) {
        let mut last = self.last.lock().await;
        let pause = if last.good.is_some() { REFRESH_EVERY } else { REFETCH_AFTER };
        if last.asked.is_none_or(|asked| now.since(asked) >= pause) {
            self.ask_or_warn(&mut last, now).await;
        }
    }

    /// Gets the keys now, whatever was fetched when.
    pub async fn refresh(&self, now: Timestamp) {
        let mut last = self.last.lock().await;
        self.ask_or_warn(&mut last, now).await;
    }

    fn may_refetch(&self, last: &Last, now: Timestamp) -> bool {
        match self.origin {
            Origin::Provider(_) => true,
            Origin::File(_) | Origin::Url(_) => {
                last.asked_for_kid.is_none_or(|asked| now.since(asked) >= REFETCH_AFTER)
            }
        }
    }

    async fn ask_or_warn(&self, last: &mut Last, now: Timestamp) {
        if let Err(error) = self.ask(last, now).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot get a new key ring; the previous one stays in use"
            );
        }
    }

    /// Fetches from the source. Returns whether the ring changed.
    async fn ask(&self, last: &mut Last, now: Timestamp) -> Result<bool, KeySourceError> {
        // Set before the result is known, because a failure counts against the limit, too.
        last.asked = Some(now);
        let text = match &self.origin {
            Origin::File(path) => fetch::read_file(path.clone()).await?,
            Origin::Url(fetcher) => fetcher.fetch().await?,
            Origin::Provider(provider) => provider(),
        };
        if last.good.as_deref() == Some(text.as_str()) {
            return Ok(false);
        }
        self.take(last, text.clone())?;
        self.keep(text).await;
        Ok(true)
    }

    fn take(&self, last: &mut Last, text: String) -> Result<(), KeySourceError> {
        let ring = Arc::new(with_secrets(KeyRing::from_jwks(&text)?, &self.secrets)?);
        tracing::info!(kids = ?ring, "key ring loaded");
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        last.good = Some(text);
        Ok(())
    }

    fn read_kept(&self) -> Option<String> {
        let path = self.kept.as_ref()?;
        match fetch::read_limited(path) {
            Ok(text) => {
                tracing::warn!(path = %path.display(), "the source of keys did not answer; using the key ring on disk");
                Some(text)
            }
            Err(_) => None,
        }
    }

    async fn keep(&self, text: String) {
        let Some(path) = self.kept.clone() else { return };
        let written = tokio::task::spawn_blocking(move || (replace(&path, text.as_bytes()), path)).await;
        if let Ok((Err(error), path)) = written {
            tracing::warn!(
                path = %path.display(),
                error = &error as &dyn std::error::Error,
                "cannot save the key ring to disk; after a restart while the web app is down there would be none"
            );
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({:?})", self.current())
    }
}

fn with_secrets(ring: KeyRing, secrets: &[HmacSecret]) -> Result<KeyRing, KeyRingError> {
    secrets.iter().cloned().try_fold(ring, KeyRing::with_secret)
}

/// Writes a file atomically.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    std::fs::File::open(folder)?.sync_all()
}
