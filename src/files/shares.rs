//! Lists and opens what is in the shares.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::config::ShareSettings;
use crate::files::entry::{EntryKind, FolderEntry};
use crate::files::error::{FileError, ShareError};
use crate::files::folders::ShareFolders;
use crate::files::identity::ClaimedVersion;
use crate::files::open_file::OpenFile;
use crate::files::seen::FileStat;
use crate::id::FilePath;

/// All shares by name, for reading: nothing in a share can be changed through them. Cheap to clone.
#[derive(Clone)]
pub struct Shares(ShareFolders);

impl Shares {
    /// Reads what is in these folders.
    pub const fn new(folders: ShareFolders) -> Shares {
        Shares(folders)
    }

    /// Opens the shares in these settings, whether or not their folders exist now.
    ///
    /// # Errors
    /// If the system can't confine paths.
    pub fn open(settings: &[ShareSettings]) -> Result<Shares, ShareError> {
        ShareFolders::open(settings).map(Shares)
    }

    /// Like [`Shares::open`], but without checking or logging anything yet.
    ///
    /// # Errors
    /// If the system can't confine paths.
    pub fn unopened(settings: &[ShareSettings]) -> Result<Shares, ShareError> {
        ShareFolders::unopened(settings).map(Shares)
    }

    /// Returns whether a share's folder exists now.
    pub fn is_available(&self, share: &str) -> bool {
        self.0.is_available(share)
    }

    /// Returns why a share can't be used now, for the operator; `None` if it can.
    pub fn why_unavailable(&self, share: &str) -> Option<String> {
        self.0.why_unavailable(share)
    }

    /// Returns the `version` claim for the current file.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn claim(&self, path: &FilePath) -> Result<ClaimedVersion, FileError> {
        self.file(path)?.claim().map_err(FileError::Unreadable)
    }

    /// Returns whether the file at `path` is unchanged since that claim, judged by its metadata alone. Much
    /// faster than opening it.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn is_unchanged(&self, path: &FilePath, claimed: &ClaimedVersion) -> Result<bool, FileError> {
        let handle = self.0.beneath(path, OFlags::PATH, ResolveFlags::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(is_file && claimed.is_exactly(&FileStat::of(&stat), self.0.identity(path)))
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn file(&self, path: &FilePath) -> Result<OpenFile, FileError> {
        self.regular(path, ResolveFlags::empty()).map_err(|error| error.about(path))
    }

    /// Like [`Shares::file`], but without waiting for the disk: returns `None` if the path isn't in the
    /// kernel's cache. Only then is a thread needed that may block.
    pub fn file_if_cached(&self, path: &FilePath) -> Option<Result<OpenFile, FileError>> {
        match self.regular(path, ResolveFlags::CACHED) {
            // EINVAL: a kernel before 5.12 doesn't support RESOLVE_CACHED.
            Err(FileError::Unreadable(e)) if e.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => None,
            Err(FileError::Missing | FileError::ShareGone) => None,
            answer => Some(answer.map_err(|error| error.about(path))),
        }
    }

    /// Returns the entries of a folder, unsorted. A path with one component is a share's root. Leaves out
    /// names that aren't UTF-8, because a token can't contain them, and anything that is neither a regular
    /// file nor a folder after following symlinks within the share.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn folder(&self, path: &FilePath) -> Result<Vec<FolderEntry>, FileError> {
        self.folder_up_to(path, usize::MAX)
    }

    /// Like [`Shares::folder`], but returns at most `most` entries; if there are more, an arbitrary
    /// selection.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn folder_up_to(&self, path: &FilePath, most: usize) -> Result<Vec<FolderEntry>, FileError> {
        let handle = self.0.beneath(path, OFlags::DIRECTORY, ResolveFlags::empty());
        let handle = handle.map_err(|error| error.about(path))?;
        let mut entries = Vec::new();
        for item in Dir::read_from(&handle)? {
            if entries.len() >= most {
                break;
            }
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            let Ok(path) = path.join(name) else { continue };
            if let Some(stat) = self.entry_stat(&handle, name, &path) {
                entries.extend(FolderEntry::new(path, &stat));
            }
        }
        Ok(entries)
    }

    /// Calls `see` with the name of each entry of a folder and whether it is a folder, until `see` breaks.
    /// Much faster than [`Shares::folder`], because it examines only symlinks. Leaves out the same entries,
    /// except for those that are neither a file nor a folder.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn scan(
        &self,
        folder: &FilePath,
        mut see: impl FnMut(FilePath, bool) -> ControlFlow<()>,
    ) -> Result<(), FileError> {
        let handle = self.0.beneath(folder, OFlags::DIRECTORY, ResolveFlags::empty())?;
        for item in Dir::read_from(&handle)? {
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            let Ok(path) = folder.join(name) else { continue };
            let is_folder = match item.file_type() {
                FileType::Directory => true,
                FileType::RegularFile => false,
                _ => match self.entry(&path) {
                    Ok(entry) => entry.kind == EntryKind::Folder,
                    Err(_) => continue,
                },
            };
            if see(path, is_folder).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Returns up to `most` files and folders of a share that this process can't read, and whether the whole
    /// share was examined: at most `most_seen` entries are.
    pub fn unreadable(&self, share: &FilePath, most: usize, most_seen: usize) -> (Vec<FilePath>, bool) {
        let (mut found, mut seen) = (Vec::new(), 0);
        let mut folders = VecDeque::from([share.clone()]);
        while let Some(folder) = folders.pop_front() {
            let looked = self.scan(&folder, |path, is_folder| {
                seen += 1;
                if found.len() >= most || seen > most_seen {
                    return ControlFlow::Break(());
                }
                if is_folder {
                    folders.push_back(path);
                } else if matches!(self.file(&path), Err(error) if error.is_forbidden()) {
                    found.push(path);
                }
                ControlFlow::Continue(())
            });
            if matches!(looked, Err(error) if error.is_forbidden()) && found.len() < most {
                found.push(folder);
            }
            if seen > most_seen {
                return (found, false);
            }
        }
        (found, true)
    }

    /// Returns the file or folder at `path`.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn entry(&self, path: &FilePath) -> Result<FolderEntry, FileError> {
        let handle = self.0.beneath(path, OFlags::PATH, ResolveFlags::empty())?;
        FolderEntry::new(path.clone(), &rustix::fs::fstat(&handle)?).ok_or(FileError::Missing)
    }

    fn entry_stat(&self, folder: &OwnedFd, name: &str, path: &FilePath) -> Option<Stat> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Some(stat);
        }
        let target = self.0.beneath(path, OFlags::PATH, ResolveFlags::empty()).ok()?;
        rustix::fs::fstat(target).ok()
    }

    fn regular(&self, path: &FilePath, resolve: ResolveFlags) -> Result<OpenFile, FileError> {
        // NONBLOCK: opening a FIFO must not wait for a writer. Regular files ignore it.
        let handle = self.0.beneath(path, OFlags::NONBLOCK | OFlags::NOCTTY, resolve)?;
        let stat = rustix::fs::fstat(&handle)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                Ok(OpenFile::new(handle, FileStat::of(&stat), self.0.clone(), path.clone()))
            }
            _ => Err(FileError::Missing),
        }
    }
}
