//! Where the key ring comes from: a JWKS file, a URL, or the web app in the same process.
//!
//! The last good ring is kept, in memory and on disk, so that neither a web app that is down nor a
//! damaged answer stops downloads. An unknown kid costs whoever invents it nothing, so it makes
//! the source be asked at most once in ten seconds, by one task at a time.

mod fetch;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, Timestamp};
use crate::download::key_source::fetch::Fetcher;
use crate::token::{KeyRing, KeyRingError, SharedSecret};

/// Between two questions to the source because of an unknown kid.
pub const REFETCH_AFTER: Duration = Duration::from_secs(10);

/// Between two questions to the source in any case: a key that was taken out because others have it is
/// refused a minute later everywhere, caches on the way included.
pub const REFRESH_EVERY: Duration = Duration::from_secs(20);

/// A function that answers a JWKS at once, without waiting.
pub type JwksProvider = Box<dyn Fn() -> String + Send + Sync>;

/// The key ring of this node, and where to get a newer one. Shared by all workers.
pub struct KeySource {
    origin: Origin,
    /// Where the last good JWKS is kept, if anywhere.
    kept: Option<PathBuf>,
    secrets: Vec<SharedSecret>,
    ring: RwLock<Arc<KeyRing>>,
    /// Held while the source is asked, so that one task asks and the others wait for its answer.
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
    /// When an unknown kid was the cause. Counted by itself, so that the first token of a new key is
    /// not refused because of a routine question just before.
    asked_for_kid: Option<Timestamp>,
    good: Option<String>,
}

/// Why there is no newer ring.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// `keys` is neither a path nor an address that can be used.
    #[error("`{0}` is neither a file nor an http or https address")]
    Address(String),
    /// The client for http can't be made.
    #[error("cannot set up the http client")]
    Client(#[source] reqwest::Error),
    /// The file can't be read.
    #[error("cannot read the key set {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The web app did not answer.
    #[error("cannot fetch the key set")]
    Fetch(#[source] reqwest::Error),
    /// The web app's answer is not a success.
    #[error("the web app answered {0} when asked for the key set")]
    Status(u16),
    /// The key set is too long.
    #[error("the key set is longer than {} bytes", crate::token::MAX_JWKS)]
    TooLong,
    /// The key set is no good.
    #[error("the key set is refused")]
    Ring(#[from] KeyRingError),
}

impl KeySource {
    /// A source by the setting `download.keys`: an http(s) address, or else a file. The last good
    /// JWKS is kept at `kept`. Nothing is asked yet: see [`KeySource::load`].
    ///
    /// # Errors
    /// When `keys` is an address that can't be used, or the shared secrets don't fit in a ring.
    pub fn new(
        keys: &str,
        kept: Option<PathBuf>,
        secrets: Vec<SharedSecret>,
    ) -> Result<KeySource, KeySourceError> {
        let origin = if keys.contains("://") {
            Origin::Url(Box::new(Fetcher::new(keys)?))
        } else {
            Origin::File(PathBuf::from(keys))
        };
        KeySource::from_origin(origin, kept, secrets)
    }

    /// A source in the same process, which answers at once: no HTTP to itself, and no limit.
    ///
    /// # Errors
    /// When the shared secrets don't fit in a ring.
    pub fn in_process(
        provider: JwksProvider,
        secrets: Vec<SharedSecret>,
    ) -> Result<KeySource, KeySourceError> {
        KeySource::from_origin(Origin::Provider(provider), None, secrets)
    }

    fn from_origin(
        origin: Origin,
        kept: Option<PathBuf>,
        secrets: Vec<SharedSecret>,
    ) -> Result<KeySource, KeySourceError> {
        let ring = with_secrets(KeyRing::default(), &secrets)?;
        let (ring, last) = (RwLock::new(Arc::new(ring)), Mutex::default());
        Ok(KeySource { origin, kept, secrets, ring, last })
    }

    /// The first load, before the service accepts connections: asks the source, and where that
    /// fails takes the ring kept on disk. With neither, every token signed with a public key is
    /// refused until the source answers.
    ///
    /// # Errors
    /// Why the source gave no ring. The service can start all the same.
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

    /// The ring as it is now.
    pub fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a key can be checked at all.
    pub fn is_ready(&self) -> bool {
        !self.current().is_empty()
    }

    /// Called when a token's kid is unknown to `seen`, the ring that refused it. Answers a ring to
    /// try once more with, if there is another one by now. For this the source is asked at most once
    /// in ten seconds; who comes while it is asked waits for that answer.
    pub async fn newer_than(&self, seen: &Arc<KeyRing>, now: Timestamp) -> Option<Arc<KeyRing>> {
        let mut last = self.last.lock().await;
        if Arc::ptr_eq(seen, &self.current()) && self.may_ask(&last, now) {
            last.asked_for_kid = Some(now);
            self.ask_or_warn(&mut last, now).await;
        }
        let current = self.current();
        (!Arc::ptr_eq(seen, &current)).then_some(current)
    }

    /// Keeps the ring fresh for ever: every twenty seconds, or every ten while there is none.
    pub async fn refresh_for_ever(&self, clock: &Clock) {
        let mut ticks = tokio::time::interval(REFETCH_AFTER);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.refresh_if_due(clock.now()).await;
        }
    }

    /// One step of [`KeySource::refresh_for_ever`].
    pub async fn refresh_if_due(&self, now: Timestamp) {
        let mut last = self.last.lock().await;
        let pause = if last.good.is_some() { REFRESH_EVERY } else { REFETCH_AFTER };
        if last.asked.is_none_or(|asked| now.since(asked) >= pause) {
            self.ask_or_warn(&mut last, now).await;
        }
    }

    fn may_ask(&self, last: &Last, now: Timestamp) -> bool {
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
                "no new key ring; the one before stays in use"
            );
        }
    }

    /// Asks the source; answers whether the ring changed.
    async fn ask(&self, last: &mut Last, now: Timestamp) -> Result<bool, KeySourceError> {
        // Before the answer: a failure counts against the limit too.
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
                tracing::warn!(path = %path.display(), "the source of keys gave no answer; using the ring kept on disk");
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
                "cannot keep the key ring on disk; a restart while the web app is down would find none"
            );
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({:?})", self.current())
    }
}

fn with_secrets(ring: KeyRing, secrets: &[SharedSecret]) -> Result<KeyRing, KeyRingError> {
    secrets.iter().cloned().try_fold(ring, KeyRing::with_secret)
}

/// Puts a file in place whole or not at all.
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
