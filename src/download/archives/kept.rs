//! The manifests of this node. Each is fetched once, verified by its digest, and kept in a file, so that an
//! archive can also be continued after a restart and while the web app is away. Only layouts are in memory.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::archive::{Layout, MANIFEST_MAX, ManifestProvider, ManifestText, digest_text};
use crate::download::archives::error::ManifestError;
use crate::secret::Digest;

/// How many layouts are kept in memory; each has at most 75 KB.
const LAYOUTS: usize = 64;

/// How many bytes of manifests are kept on disk. Those whose files were written first are deleted first.
const DISK_MAX: u64 = 1 << 30;

/// How long a request waits for a manifest, including for those that others wait for.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many archives are compared with their files at once.
const CHECKS_AT_ONCE: usize = 2;

/// A manifest that is on this node's disk, and its layout.
#[derive(Debug)]
pub(crate) struct KeptManifest {
    pub(crate) layout: Layout,
    /// Open, so that deleting the file doesn't disturb its readers.
    text: File,
    /// When all files were found unchanged.
    pub(super) checked_at: Mutex<Option<Instant>>,
}

impl ManifestText for KeptManifest {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.text.read_exact_at(buffer, at)
    }
}

/// The manifests of this node. Shared by all workers.
pub struct Archives {
    provider: Option<Arc<dyn ManifestProvider>>,
    folder: PathBuf,
    /// Newest last.
    layouts: Mutex<VecDeque<Arc<KeptManifest>>>,
    /// Held while a manifest is fetched: they may be large, and several requests want the same one.
    turn: tokio::sync::Mutex<()>,
    pub(super) checks: Semaphore,
}

impl Archives {
    /// Keeps manifests in `folder`, and gets those that aren't there from `provider`.
    pub fn new(folder: PathBuf, provider: Option<Arc<dyn ManifestProvider>>) -> Archives {
        Archives {
            provider,
            folder,
            layouts: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            checks: Semaphore::new(CHECKS_AT_ONCE),
        }
    }

    /// Returns the manifest with this digest; `None` if it doesn't exist.
    ///
    /// # Errors
    /// If this isn't known now; it may be asked again.
    pub(super) async fn find(&self, digest: &Digest) -> Result<Option<Arc<KeptManifest>>, ManifestError> {
        if let Some(known) = self.known(digest) {
            return Ok(Some(known));
        }
        let finding = async {
            let _turn = self.turn.lock().await;
            match self.known(digest) {
                Some(known) => Ok(Some(known)),
                None => self.load(digest).await,
            }
        };
        tokio::time::timeout(PATIENCE, finding).await.map_err(|_| ManifestError::Slow)?
    }

    async fn load(&self, digest: &Digest) -> Result<Option<Arc<KeptManifest>>, ManifestError> {
        let path = self.folder.join(digest_text(digest));
        let meant = *digest;
        let reading = path.clone();
        let found = match blocking(move || Ok(read_kept(&reading, &meant))).await? {
            Some(found) => found,
            None => {
                let Some(provider) = &self.provider else { return Ok(None) };
                let Some(text) = provider.manifest(digest).await? else { return Ok(None) };
                let (folder, meant) = (self.folder.clone(), *digest);
                blocking(move || keep(&folder, &path, text, &meant)).await?
            }
        };
        let found = Arc::new(found);
        let mut layouts = self.layouts();
        if layouts.len() >= LAYOUTS {
            layouts.pop_front();
        }
        layouts.push_back(found.clone());
        Ok(Some(found))
    }

    fn known(&self, digest: &Digest) -> Option<Arc<KeptManifest>> {
        self.layouts().iter().find(|known| known.layout.digest() == *digest).cloned()
    }

    // A poisoned lock means a panic elsewhere; the list is valid after every step.
    fn layouts(&self) -> MutexGuard<'_, VecDeque<Arc<KeptManifest>>> {
        self.layouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a manifest that was kept. A file that is damaged is fetched again.
fn read_kept(path: &Path, digest: &Digest) -> Option<KeptManifest> {
    let mut file = File::open(path).ok()?;
    let mut text = String::new();
    (&mut file).take(MANIFEST_MAX as u64 + 1).read_to_string(&mut text).ok()?;
    let layout = Layout::of(&text).ok().filter(|layout| layout.digest() == *digest)?;
    Some(KeptManifest { layout, text: file, checked_at: Mutex::default() })
}

/// Verifies a manifest and writes it to disk. It needn't be synced, because every reader verifies it again.
fn keep(folder: &Path, path: &Path, text: String, digest: &Digest) -> Result<KeptManifest, ManifestError> {
    let layout = Layout::of(&text)?;
    if layout.digest() != *digest {
        return Err(ManifestError::Other);
    }
    let write = || -> io::Result<File> {
        std::fs::create_dir_all(folder)?;
        make_room(folder, text.len() as u64)?;
        let new = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&new, path)?;
        Ok(file)
    };
    let file = write().map_err(ManifestError::Disk)?;
    Ok(KeptManifest { layout, text: file, checked_at: Mutex::default() })
}

/// Deletes the oldest manifests until there is room for `len` more bytes.
fn make_room(folder: &Path, len: u64) -> io::Result<()> {
    let mut kept = Vec::new();
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        let about = item.metadata()?;
        kept.push((about.modified()?, about.len(), item.path()));
    }
    let mut total = kept.iter().map(|(_, len, _)| *len).sum::<u64>() + len;
    kept.sort();
    for (_, len, path) in kept {
        if total <= DISK_MAX {
            break;
        }
        std::fs::remove_file(path)?;
        total = total.saturating_sub(len);
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ManifestError> + Send + 'static,
) -> Result<T, ManifestError> {
    // The task can only be lost together with the runtime.
    tokio::task::spawn_blocking(work).await.map_err(|gone| ManifestError::Disk(io::Error::other(gone)))?
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::archive::ProviderError;

    struct Fixed(Option<String>);

    #[async_trait]
    impl ManifestProvider for Fixed {
        async fn manifest(&self, _: &Digest) -> Result<Option<String>, ProviderError> {
            Ok(self.0.clone())
        }
    }

    #[tokio::test]
    async fn a_manifest_is_verified_kept_and_read_again_also_if_the_file_was_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let text = "oncelink-zip-1\n".to_owned();
        let digest = Digest::of(text.as_bytes());
        let node = |answer: Option<&str>| {
            let provider = Fixed(answer.map(str::to_owned));
            Archives::new(folder.path().join("m"), Some(Arc::new(provider)))
        };
        assert!(node(None).find(&digest).await.unwrap().is_none());
        assert!(matches!(
            node(Some("oncelink-zip-1\nx")).find(&digest).await,
            Err(ManifestError::Invalid(_))
        ));
        assert!(node(Some(&text)).find(&digest).await.unwrap().is_some());
        assert!(node(None).find(&digest).await.unwrap().is_some(), "it is on disk");
        std::fs::write(folder.path().join("m").join(digest_text(&digest)), "damaged").unwrap();
        assert!(node(None).find(&digest).await.unwrap().is_none());
        let other = Digest::of(b"other");
        assert!(matches!(node(Some(&text)).find(&other).await, Err(ManifestError::Other)));
    }
}
