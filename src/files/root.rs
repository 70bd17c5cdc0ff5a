//! The folder of a share, which may disappear and come back while the service runs: a network disk that is
//! offline, a USB stick that is unplugged, a folder that is renamed for a while.
//!
//! The folder is opened for each use and no handle is kept, so that its disk can be unmounted. The opened
//! folder is compared with the previous one: an empty folder at the mount point of a missing disk isn't the
//! share, and nothing must be written to it.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use crate::config::{Identity, ShareSettings};

/// A share's folder in the settings, and what was found there last.
pub(super) struct Root {
    share: String,
    path: PathBuf,
    /// How its files are told apart.
    pub(super) identity: Identity,
    /// Whether its files are never written to.
    pub(super) replaced_only: bool,
    /// Whether each account has its own folder in it.
    pub(super) personal: bool,
    known: RwLock<Known>,
}

/// What is known about a folder.
#[derive(Default)]
struct Known {
    /// The folder of the share, once it was seen.
    folder: Option<Folder>,
    /// Whether it was available the last time.
    available: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Folder {
    device: u64,
    inode: u64,
    /// The mount point of its file system.
    mount: PathBuf,
}

/// Why a share can't be used now.
#[derive(Debug)]
pub(super) enum ShareUnavailable {
    /// Its folder can't be opened.
    Unopened(io::Error),
    /// Its disk is no longer mounted.
    Unmounted,
    /// An empty folder has replaced the one that was served.
    Emptied,
    /// Only the kernel's cache was allowed, and it doesn't have the path.
    Uncached,
}

impl fmt::Display for ShareUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShareUnavailable::Unopened(cause) => write!(f, "its folder cannot be opened: {cause}"),
            ShareUnavailable::Unmounted => f.write_str("its disk is no longer mounted"),
            ShareUnavailable::Emptied => f.write_str(
                "an empty folder has taken its place; mount the disk again, or restart the service to serve this folder",
            ),
            ShareUnavailable::Uncached => f.write_str("it is not cached"),
        }
    }
}

impl Root {
    /// Whether it is the folder in these settings.
    pub(super) fn is_of(&self, share: &ShareSettings) -> bool {
        self.path == share.path && self.identity == share.identity && self.personal == share.personal
    }

    pub(super) fn new(share: &ShareSettings) -> Root {
        // A share counts as available until it is found missing, so that only that is logged.
        let known = RwLock::new(Known { folder: None, available: true });
        Root {
            share: share.name.clone(),
            path: share.path.clone(),
            identity: share.identity,
            replaced_only: share.replaced_only,
            personal: share.personal,
            known,
        }
    }

    /// Opens the folder if it is the one that is served.
    pub(super) fn open(&self) -> Result<OwnedFd, ShareUnavailable> {
        let opened = self.open_and_judge();
        self.log_change(opened.as_ref().err());
        opened
    }

    /// Returns why it can't be used now, if so, without logging it.
    pub(super) fn why_unavailable(&self) -> Option<ShareUnavailable> {
        self.open_and_judge().err()
    }

    /// Opens the folder without waiting for the disk; [`ShareUnavailable::Uncached`] if that isn't possible.
    pub(super) fn open_cached(&self) -> Result<OwnedFd, ShareUnavailable> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let opened = rustix::fs::openat2(CWD, &self.path, flags, Mode::empty(), ResolveFlags::CACHED);
        let handle = opened.map_err(|_| ShareUnavailable::Uncached)?;
        let stat = rustix::fs::fstat(&handle).map_err(|_| ShareUnavailable::Uncached)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match &known.folder {
            Some(folder)
                if known.available && (folder.device, folder.inode) == (stat.st_dev, stat.st_ino) =>
            {
                Ok(handle)
            }
            _ => Err(ShareUnavailable::Uncached),
        }
    }

    fn open_and_judge(&self) -> Result<OwnedFd, ShareUnavailable> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = loop {
            match rustix::fs::open(&self.path, flags, Mode::empty()) {
                Err(Errno::INTR) => {}
                opened => break opened.map_err(|errno| ShareUnavailable::Unopened(errno.into()))?,
            }
        };
        let stat = rustix::fs::fstat(&handle).map_err(|errno| ShareUnavailable::Unopened(errno.into()))?;
        let found = (stat.st_dev, stat.st_ino);
        let before = self.known.read().unwrap_or_else(PoisonError::into_inner).folder.clone();
        if before.as_ref().is_some_and(|before| (before.device, before.inode) == found) {
            return Ok(handle);
        }
        let real = fs::canonicalize(&self.path).map_err(ShareUnavailable::Unopened)?;
        let mount = mount_of(&real);
        if let Some(before) = before {
            let is_shallower = before.mount.starts_with(&mount) && before.mount != mount;
            if is_shallower && real.starts_with(&before.mount) {
                return Err(ShareUnavailable::Unmounted);
            }
            // A disk that is mounted exactly here may be empty.
            if mount != real && is_empty(&handle) {
                return Err(ShareUnavailable::Emptied);
            }
            tracing::info!(share = self.share, "the folder of this share was replaced by another one");
        }
        let folder = Folder { device: found.0, inode: found.1, mount };
        self.known.write().unwrap_or_else(PoisonError::into_inner).folder = Some(folder);
        Ok(handle)
    }

    /// Logs once that the share became unavailable or available.
    fn log_change(&self, away: Option<&ShareUnavailable>) {
        let available = away.is_none();
        if self.known.read().unwrap_or_else(PoisonError::into_inner).available == available {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.available == available {
            return;
        }
        known.available = available;
        match away {
            None => tracing::info!(share = self.share, "the share is available again"),
            Some(away) => tracing::warn!(
                share = self.share,
                path = %self.path.display(),
                "the share is unavailable until its folder is back: {away}"
            ),
        }
    }
}

/// Returns the mount point of a folder's file system. `path` contains no symlinks.
fn mount_of(path: &Path) -> PathBuf {
    path.ancestors().find(|folder| is_mount(folder)).unwrap_or(Path::new("/")).to_owned()
}

fn is_mount(folder: &Path) -> bool {
    let found = rustix::fs::statx(CWD, folder, AtFlags::empty(), StatxFlags::BASIC_STATS);
    match found {
        Ok(found) if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        // Kernels before 5.8 don't report a bind mount of the same disk.
        _ => {
            let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev).ok();
            folder.parent().is_none_or(|parent| device(parent) != device(folder))
        }
    }
}

fn is_empty(folder: &OwnedFd) -> bool {
    Dir::read_from(folder.as_fd()).is_ok_and(|mut items| {
        items.all(|item| item.is_ok_and(|item| matches!(item.file_name().to_bytes(), b"." | b"..")))
    })
}
