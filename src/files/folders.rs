//! The folders of all shares, and handles to what is below them.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::config::{Identity, ShareSettings};
use crate::files::beneath::{can_confine, open_beneath};
use crate::files::error::{FileError, ShareError};
use crate::files::root::{Root, ShareUnavailable};
use crate::files::seen::FileStat;
use crate::id::FilePath;
use crate::reloadable::Reloadable;

/// The folders of all shares by name: the permission to read and to change what is in them.
///
/// [`crate::files::Shares`] is created from it for reading, and the web app's `WritableShares` for changing.
/// Neither exposes it, so code that only has [`crate::files::Shares`] can't change a share. Cheap to clone.
#[derive(Clone)]
pub struct ShareFolders(Reloadable<BTreeMap<String, Arc<Root>>>);

impl ShareFolders {
    /// Opens the folders in these settings, whether or not they exist now.
    ///
    /// # Errors
    /// If the system can't confine paths.
    pub fn open(settings: &[ShareSettings]) -> Result<ShareFolders, ShareError> {
        let folders = ShareFolders::unopened(settings)?;
        for root in folders.0.current().values() {
            // A missing folder is logged now, and looked for again at each use.
            let _known = root.open();
        }
        Ok(folders)
    }

    /// Like [`ShareFolders::open`], but without checking or logging anything yet.
    pub(super) fn unopened(settings: &[ShareSettings]) -> Result<ShareFolders, ShareError> {
        can_confine().map_err(|errno| ShareError::NoConfinement(errno.into()))?;
        let root = |share: &ShareSettings| (share.name.clone(), Arc::new(Root::new(share)));
        Ok(ShareFolders(Reloadable::new(settings.iter().map(root).collect())))
    }

    /// Uses the folders in these settings from now on. Files that are open stay open. What is known about a folder
    /// that stays the same is kept, so that an empty one can't take its place.
    pub fn replace(&self, settings: &[ShareSettings]) {
        let before = self.0.current();
        let root = |share: &ShareSettings| {
            let same = before.get(&share.name).filter(|root| root.is_of(share)).cloned();
            (share.name.clone(), same.unwrap_or_else(|| Arc::new(Root::new(share))))
        };
        self.0.replace(settings.iter().map(root).collect());
        for root in self.0.current().values() {
            // A missing folder is logged now, and looked for again at each use.
            let _known = root.open();
        }
    }

    /// Returns the names of all shares.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.current().keys().cloned().collect()
    }

    /// Returns whether there is a share of this name, available or not.
    pub(crate) fn has(&self, share: &str) -> bool {
        self.0.current().contains_key(share)
    }

    /// Returns whether each account has its own folder in this share.
    pub(crate) fn is_personal(&self, share: &str) -> bool {
        self.0.current().get(share).is_some_and(|root| root.personal)
    }

    /// Opens the folder of a share: the one that is served.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn root(&self, share: &str) -> Result<OwnedFd, FileError> {
        let root = self.get(share).ok_or(FileError::Missing)?;
        root.open().map_err(|_| FileError::ShareGone)
    }

    /// Opens a folder. A path with one component is a share's root.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn folder(&self, path: &FilePath) -> Result<OwnedFd, FileError> {
        self.beneath(path, OFlags::DIRECTORY, ResolveFlags::empty())
    }

    fn get(&self, share: &str) -> Option<Arc<Root>> {
        self.0.current().get(share).cloned()
    }

    pub(super) fn is_available(&self, share: &str) -> bool {
        self.0.current().get(share).is_some_and(|root| root.open().is_ok())
    }

    pub(super) fn why_unavailable(&self, share: &str) -> Option<String> {
        let root = self.get(share)?;
        root.why_unavailable().map(|away| away.to_string())
    }

    /// Returns how the files of this path's share are told apart.
    pub(super) fn identity(&self, path: &FilePath) -> Identity {
        self.get(path.share()).map_or(Identity::default(), |root| root.identity)
    }

    /// Returns whether files of this path's share may be written to, instead of only being replaced.
    pub(super) fn changes_in_place(&self, path: &FilePath) -> bool {
        self.get(path.share()).is_none_or(|root| !root.replaced_only)
    }

    /// Returns the metadata of what `path` leads to now.
    pub(super) fn seen(&self, path: &FilePath) -> Option<FileStat> {
        let handle = self.beneath(path, OFlags::PATH, ResolveFlags::empty()).ok()?;
        Some(FileStat::of(&rustix::fs::fstat(&handle).ok()?))
    }

    pub(super) fn beneath(
        &self,
        path: &FilePath,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, FileError> {
        let root = self.get(path.share()).ok_or(FileError::Missing)?;
        let opened = if resolve.contains(ResolveFlags::CACHED) { root.open_cached() } else { root.open() };
        let root = match opened {
            Ok(root) => root,
            Err(ShareUnavailable::Uncached) => return Err(Errno::AGAIN.into()),
            Err(_) => return Err(FileError::ShareGone),
        };
        let within = match path.within_share() {
            "" => ".",
            within => within,
        };
        Ok(open_beneath(&root, within, flags, resolve)?)
    }
}
