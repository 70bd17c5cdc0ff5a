//! Shares and the files in them: the only place that opens anything under a share.
//!
//! A share's root is opened once, as a handle; everything below is opened through that handle
//! with `openat2(RESOLVE_BENEATH)`, so no path, symlink or race leads out. Only regular files are
//! ever handed out. Every function here may block on the disk, but for those that say otherwise.
//! Reading is here, changing in [`mod@write`], uploads on their way in [`staging`], what was thrown away
//! in [`trash`]. The folder `.oncelink` in a share's root belongs to the last two; no [`FilePath`] can
//! name it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags};

use crate::clock::Timestamp;
use crate::config::ShareSettings;
use crate::id::FilePath;

mod inherit;
pub mod name;
mod naming;
pub mod staging;
pub mod trash;
pub mod write;

/// What tells one state of a file from another: its length and the moment of its last change.
/// Its text form is the `version` claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileVersion {
    /// Bytes.
    pub len: u64,
    /// Nanoseconds since the epoch.
    pub modified_ns: u64,
}

impl FileVersion {
    fn of(stat: &Stat) -> FileVersion {
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        FileVersion {
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: seconds.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec),
        }
    }

    /// The moment of the last change, in whole seconds (`Last-Modified`).
    pub const fn modified(&self) -> Timestamp {
        Timestamp::from_secs(self.modified_ns / 1_000_000_000)
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.modified_ns, self.len)
    }
}

/// Why a file or folder can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is nothing of that name beneath the share, or it is not a regular file (or folder).
    #[error("there is no such file")]
    Missing,
    /// It is there, but the system does not let us read it.
    #[error("cannot read the file")]
    Unreadable(#[source] io::Error),
}

impl From<Errno> for FileError {
    fn from(errno: Errno) -> FileError {
        match errno {
            // XDEV is RESOLVE_BENEATH's answer to a way out, LOOP to a magic link, NXIO to a socket.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NXIO
            | Errno::NAMETOOLONG
            | Errno::INVAL
            | Errno::ISDIR => FileError::Missing,
            other => FileError::Unreadable(other.into()),
        }
    }
}

/// A share cannot be used as the settings have it.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The folder is missing or unreadable.
    #[error("share `{name}`: cannot open the folder {}; create it or mend `path`", path.display())]
    Root {
        /// The share.
        name: String,
        /// Its folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel can't confine a path.
    #[error("this system has no openat2(2); Linux 5.6 or newer is needed to serve files safely")]
    NoConfinement(#[source] io::Error),
}

/// How many times an open is tried again because a rename raced with it.
const RACES_MAX: u32 = 100;

/// All shares, by name. Cheap to clone.
#[derive(Clone)]
pub struct Shares(Arc<Roots>);

struct Roots {
    by_name: BTreeMap<String, Root>,
    naming: naming::Naming,
}

/// A share's folder: the handle through which everything is reached, and where it was found.
struct Root {
    handle: OwnedFd,
    path: PathBuf,
}

impl Shares {
    /// Opens the root of each share.
    ///
    /// # Errors
    /// When a root can't be opened, or the kernel is too old.
    pub fn open(settings: &[ShareSettings]) -> Result<Shares, ShareError> {
        let mut shares = BTreeMap::new();
        for share in settings {
            let root = rustix::fs::open(
                &share.path,
                OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY,
                Mode::empty(),
            )
            .map_err(|errno| ShareError::Root {
                name: share.name.clone(),
                path: share.path.clone(),
                source: errno.into(),
            })?;
            if let Err(errno @ Errno::NOSYS) =
                open_beneath(&root, ".", OFlags::DIRECTORY, ResolveFlags::empty())
            {
                return Err(ShareError::NoConfinement(errno.into()));
            }
            shares.insert(share.name.clone(), Root { handle: root, path: share.path.clone() });
        }
        Ok(Shares(Arc::new(Roots { by_name: shares, naming: naming::Naming::default() })))
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn file(&self, path: &FilePath) -> Result<OpenFile, FileError> {
        self.regular(path, ResolveFlags::empty())
    }

    /// The same without ever waiting for the disk: `None` when the path is not in the kernel's
    /// cache, so that only then a thread that may block is needed.
    pub fn file_if_cached(&self, path: &FilePath) -> Option<Result<OpenFile, FileError>> {
        match self.regular(path, ResolveFlags::CACHED) {
            // EINVAL: a kernel before 5.12, which does not know RESOLVE_CACHED.
            Err(FileError::Unreadable(e)) if e.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => None,
            Err(FileError::Missing) => None,
            answer => Some(answer),
        }
    }

    /// The entries of a folder, unsorted; a path of one component is a share's root. Entries whose
    /// names are not UTF-8 can't be named in a token and are left out, and so is anything that is
    /// neither a regular file nor a folder once symlinks beneath the share are followed.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn folder(&self, path: &FilePath) -> Result<Vec<Entry>, FileError> {
        self.folder_up_to(path, usize::MAX)
    }

    /// The same, but no more than `most` entries: any of them, where there are more.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn folder_up_to(&self, path: &FilePath, most: usize) -> Result<Vec<Entry>, FileError> {
        let handle = self.beneath(path, OFlags::DIRECTORY, ResolveFlags::empty())?;
        let mut entries = Vec::new();
        for item in Dir::read_from(&handle)? {
            if entries.len() >= most {
                break;
            }
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            let Ok(path) = path.join(name) else { continue };
            if let Some(stat) = self.entry_stat(&handle, name, &path) {
                entries.extend(Entry::new(path, &stat));
            }
        }
        Ok(entries)
    }

    /// What stands at `path`, file or folder.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn entry(&self, path: &FilePath) -> Result<Entry, FileError> {
        let handle = self.beneath(path, OFlags::PATH, ResolveFlags::empty())?;
        Entry::new(path.clone(), &rustix::fs::fstat(&handle)?).ok_or(FileError::Missing)
    }

    fn entry_stat(&self, folder: &OwnedFd, name: &str, path: &FilePath) -> Option<Stat> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Some(stat);
        }
        let target = self.beneath(path, OFlags::PATH, ResolveFlags::empty()).ok()?;
        rustix::fs::fstat(target).ok()
    }

    fn regular(&self, path: &FilePath, resolve: ResolveFlags) -> Result<OpenFile, FileError> {
        // NONBLOCK: opening a FIFO must not wait for a writer; regular files ignore it.
        let handle = self.beneath(path, OFlags::NONBLOCK | OFlags::NOCTTY, resolve)?;
        let stat = rustix::fs::fstat(&handle)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                Ok(OpenFile { handle: Arc::new(handle), version: FileVersion::of(&stat) })
            }
            _ => Err(FileError::Missing),
        }
    }

    fn beneath(&self, path: &FilePath, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, FileError> {
        let root = &self.0.by_name.get(path.share()).ok_or(FileError::Missing)?.handle;
        let within = match path.within_share() {
            "" => ".",
            within => within,
        };
        Ok(open_beneath(root, within, flags, resolve)?)
    }
}

fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut races = 0;
    loop {
        // EAGAIN without CACHED: a rename raced with the walk; the kernel asks to try again. Somebody
        // who renames without end must not hold a thread.
        match rustix::fs::openat2(root, OsStr::new(path), flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !resolve.contains(ResolveFlags::CACHED) && races < RACES_MAX => races += 1,
            answer => return answer,
        }
    }
}

/// A file or folder in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: FilePath,
    /// What it is.
    pub kind: EntryKind,
    /// When it last changed.
    pub modified: Timestamp,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A regular file.
    File(FileVersion),
}

impl Entry {
    fn new(path: FilePath, stat: &Stat) -> Option<Entry> {
        let version = FileVersion::of(stat);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => EntryKind::Folder,
            FileType::RegularFile => EntryKind::File(version),
            _ => return None,
        };
        Some(Entry { path, kind, modified: version.modified() })
    }
}

/// A regular file, opened for reading. Clones share the handle.
#[derive(Clone)]
pub struct OpenFile {
    handle: Arc<OwnedFd>,
    version: FileVersion,
}

impl OpenFile {
    /// The version found when it was opened.
    pub const fn version(&self) -> FileVersion {
        self.version
    }

    /// Fills `buffer` from `offset` on, from the page cache only; answers how many bytes came, or
    /// `None` when the disk would have to be waited for. Zero is the end of the file.
    ///
    /// # Errors
    /// When the read fails.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut slices = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(self.handle.as_fd(), &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok(Some(count)),
            // OPNOTSUPP: a file system without RWF_NOWAIT.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Fills `buffer` from `offset` on, waiting for the disk; answers how many bytes came, fewer
    /// than asked only at the end of the file.
    ///
    /// # Errors
    /// When the read fails.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(self.handle.as_fd(), rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(filled)
    }

    /// Whether the file is still as it was when it was opened. Does not wait for the disk.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn unchanged(&self) -> io::Result<bool> {
        Ok(FileVersion::of(&rustix::fs::fstat(&self.handle)?) == self.version)
    }
}
