//! The folder of one share, which may go and come back while the service runs: a network disk that is
//! off, a stick that is pulled, a folder that is renamed for a while.
//!
//! The folder is opened for each use and no handle to it is kept, so that its disk can be unmounted.
//! What is opened is compared with what was there before: an empty folder that shows where a disk was
//! taken away is not the share, and nothing must be put into it.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use crate::config::{Identity, ShareSettings};

/// A share's folder as the settings name it, and what was found there last.
pub(super) struct Root {
    share: String,
    path: PathBuf,
    /// By what its files are told apart.
    pub(super) identity: Identity,
    known: RwLock<Known>,
}

/// What is known of a folder.
#[derive(Default)]
struct Known {
    /// The folder that the share is, once it was seen.
    folder: Option<Folder>,
    /// Whether it could be used the last time.
    available: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Folder {
    device: u64,
    inode: u64,
    /// Where the file system that it lies on is mounted.
    mount: PathBuf,
}

/// Why a share can't be used now.
#[derive(Debug)]
pub(super) enum Away {
    /// Its folder can't be opened.
    Unopened(io::Error),
    /// The disk that it lay on is not mounted any more.
    Unmounted,
    /// An empty folder has taken the place of the one that was served.
    Emptied,
    /// Nothing but the kernel's cache was to be asked, and that does not know.
    Uncached,
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Away::Unopened(cause) => write!(f, "its folder cannot be opened: {cause}"),
            Away::Unmounted => f.write_str("its disk is not mounted any more"),
            Away::Emptied => f.write_str(
                "an empty folder stands in its place; mount the disk again, or restart the service to serve this one",
            ),
            Away::Uncached => f.write_str("it is not cached"),
        }
    }
}

impl Root {
    pub(super) fn new(share: &ShareSettings) -> Root {
        // A share counts as there until it is found missing, so that only that is told.
        let known = RwLock::new(Known { folder: None, available: true });
        Root { share: share.name.clone(), path: share.path.clone(), identity: share.identity, known }
    }

    /// The folder, opened, if it is the one that is served.
    pub(super) fn open(&self) -> Result<OwnedFd, Away> {
        let opened = self.open_and_judge();
        self.tell(opened.as_ref().err());
        opened
    }

    /// Why it can't be used now, if it can't; nobody is told.
    pub(super) fn why_away(&self) -> Option<Away> {
        self.open_and_judge().err()
    }

    /// The folder, opened without waiting for the disk; [`Away::Uncached`] where that can't be.
    pub(super) fn open_cached(&self) -> Result<OwnedFd, Away> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let opened = rustix::fs::openat2(CWD, &self.path, flags, Mode::empty(), ResolveFlags::CACHED);
        let handle = opened.map_err(|_| Away::Uncached)?;
        let stat = rustix::fs::fstat(&handle).map_err(|_| Away::Uncached)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match &known.folder {
            Some(folder)
                if known.available && (folder.device, folder.inode) == (stat.st_dev, stat.st_ino) =>
            {
                Ok(handle)
            }
            _ => Err(Away::Uncached),
        }
    }

    fn open_and_judge(&self) -> Result<OwnedFd, Away> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = loop {
            match rustix::fs::open(&self.path, flags, Mode::empty()) {
                Err(Errno::INTR) => {}
                opened => break opened.map_err(|errno| Away::Unopened(errno.into()))?,
            }
        };
        let stat = rustix::fs::fstat(&handle).map_err(|errno| Away::Unopened(errno.into()))?;
        let found = (stat.st_dev, stat.st_ino);
        let before = self.known.read().unwrap_or_else(PoisonError::into_inner).folder.clone();
        if before.as_ref().is_some_and(|before| (before.device, before.inode) == found) {
            return Ok(handle);
        }
        let real = fs::canonicalize(&self.path).map_err(Away::Unopened)?;
        let mount = mount_of(&real);
        if let Some(before) = before {
            let is_shallower = before.mount.starts_with(&mount) && before.mount != mount;
            if is_shallower && real.starts_with(&before.mount) {
                return Err(Away::Unmounted);
            }
            // A disk that is mounted right here may well be empty.
            if mount != real && is_empty(&handle) {
                return Err(Away::Emptied);
            }
            tracing::info!(share = self.share, "another folder stands in the place of this share's now");
        }
        let folder = Folder { device: found.0, inode: found.1, mount };
        self.known.write().unwrap_or_else(PoisonError::into_inner).folder = Some(folder);
        Ok(handle)
    }

    /// Says once that the share went or came back.
    fn tell(&self, away: Option<&Away>) {
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

/// Where the file system of a folder is mounted. `path` has no symlinks.
fn mount_of(path: &Path) -> PathBuf {
    path.ancestors().find(|folder| is_mount(folder)).unwrap_or(Path::new("/")).to_owned()
}

fn is_mount(folder: &Path) -> bool {
    let found = rustix::fs::statx(CWD, folder, AtFlags::empty(), StatxFlags::BASIC_STATS);
    match found {
        Ok(found) if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        // A kernel before 5.8: a bind mount of the same disk is not seen.
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
