//! Shares and their files: the only place that opens anything in a share.
//!
//! A share's root is opened as a handle; everything below is opened through that handle with
//! `openat2(RESOLVE_BENEATH)`, so no path, symlink or race leads out. Only regular files are handed out. A
//! share whose folder is missing is unavailable until it is back ([`root`]). Functions here may block on the
//! disk unless they say otherwise. This module reads; `web::shares::disk` changes.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags};

use crate::clock::Timestamp;
use crate::config::{Identity, ShareSettings};
use crate::files::identity::{ClaimedVersion, Edges};
use crate::id::FilePath;

use root::{Away, Root};

pub mod identity;
pub(crate) mod naming;
pub(crate) mod renames;
mod root;

/// Identifies a state of a file: its length and the time of its last change. Two files can have the same
/// version; [`identity`] distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileVersion {
    /// Bytes.
    pub len: u64,
    /// Nanoseconds since the epoch.
    pub modified_ns: u64,
}

impl FileVersion {
    pub(crate) fn of(stat: &Stat) -> FileVersion {
        Seen::of(stat).version()
    }

    /// The time of the last change, in whole seconds (`Last-Modified`).
    pub const fn modified(&self) -> Timestamp {
        Timestamp::from_secs(self.modified_ns / 1_000_000_000)
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.modified_ns, self.len)
    }
}

/// A file's metadata at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    len: u64,
    modified_ns: u64,
    /// When the inode last changed: its content, names or permissions.
    changed_ns: u64,
    inode: u64,
    links: u64,
    mode: u32,
    /// User and group.
    owner: (u32, u32),
}

impl Seen {
    fn of(stat: &Stat) -> Seen {
        let nanoseconds = |seconds: i64, rest: u64| {
            u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(rest)
        };
        Seen {
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            links: stat.st_nlink,
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
        }
    }

    const fn version(&self) -> FileVersion {
        FileVersion { len: self.len, modified_ns: self.modified_ns }
    }
}

/// A file or folder can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is nothing with this name in the share, or it isn't a regular file (or folder).
    #[error("there is no such file")]
    Missing,
    /// It exists, but the system doesn't let us read it.
    #[error("cannot read the file")]
    Unreadable(#[source] io::Error),
    /// The share's folder is missing: it was removed, or its disk is offline. It may come back.
    #[error("the share is unavailable")]
    ShareGone,
}

impl FileError {
    /// Returns whether the system denies this process access, so that retrying doesn't help.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, FileError::Unreadable(cause) if cause.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Adds the file's name to the cause, for the log.
    fn about(self, path: &FilePath) -> FileError {
        match self {
            FileError::Unreadable(source) => {
                let named = UnreadableFile { path: path.clone(), source };
                FileError::Unreadable(io::Error::new(named.source.kind(), named))
            }
            other => other,
        }
    }
}

/// An error together with the path of its file.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {source}")]
struct UnreadableFile {
    path: FilePath,
    source: io::Error,
}

impl From<Errno> for FileError {
    fn from(errno: Errno) -> FileError {
        match errno {
            // RESOLVE_BENEATH returns XDEV for a path that leads out, LOOP for a magic link, NXIO for a
            // socket.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NXIO
            | Errno::NAMETOOLONG
            | Errno::INVAL
            | Errno::ISDIR => FileError::Missing,
            // A network disk or a FUSE service that disappeared while in use.
            Errno::STALE | Errno::NODEV | Errno::NOTCONN | Errno::HOSTDOWN => FileError::ShareGone,
            other => FileError::Unreadable(other.into()),
        }
    }
}

/// Shares can't be served on this system.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The kernel, or a sandbox around this process, can't confine a path.
    #[error(
        "this system does not allow openat2(2), which is required for serving files safely; use Linux 5.6 or \
         later, and allow the call in the seccomp profile of the container or sandbox"
    )]
    NoConfinement(#[source] io::Error),
}

/// How many times an open is retried because a rename raced with it.
const RACES_MAX: u32 = 100;

/// All shares by name. Cheap to clone.
#[derive(Clone)]
pub struct Shares(pub(crate) Arc<Roots>);

pub(crate) struct Roots {
    pub(crate) by_name: BTreeMap<String, Root>,
    pub(crate) naming: naming::Naming,
}

impl Shares {
    /// Opens the shares in these settings, whether or not their folders exist now.
    ///
    /// # Errors
    /// If the system can't confine paths.
    pub fn open(settings: &[ShareSettings]) -> Result<Shares, ShareError> {
        let shares = Shares::unopened(settings)?;
        for root in shares.0.by_name.values() {
            // A missing folder is logged now, and looked for again at each use.
            let _known = root.open();
        }
        Ok(shares)
    }

    /// The same, but without checking or logging anything yet.
    ///
    /// # Errors
    /// If the system can't confine paths.
    pub fn unopened(settings: &[ShareSettings]) -> Result<Shares, ShareError> {
        can_confine().map_err(|errno| ShareError::NoConfinement(errno.into()))?;
        let root = |share: &ShareSettings| (share.name.clone(), Root::new(share));
        let by_name: BTreeMap<String, Root> = settings.iter().map(root).collect();
        Ok(Shares(Arc::new(Roots { by_name, naming: naming::Naming::default() })))
    }

    /// Returns whether a share's folder exists now.
    pub fn is_available(&self, share: &str) -> bool {
        self.0.by_name.get(share).is_some_and(|root| root.open().is_ok())
    }

    /// Returns why a share can't be used now, for the operator; `None` if it can.
    pub fn why_unavailable(&self, share: &str) -> Option<String> {
        let root = self.0.by_name.get(share)?;
        root.why_away().map(|away| away.to_string())
    }

    /// Returns the `version` claim for the current file.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn claim(&self, path: &FilePath) -> Result<ClaimedVersion, FileError> {
        self.file(path)?.claim().map_err(FileError::Unreadable)
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn file(&self, path: &FilePath) -> Result<OpenFile, FileError> {
        self.regular(path, ResolveFlags::empty()).map_err(|error| error.about(path))
    }

    /// The same without waiting for the disk: `None` if the path isn't in the kernel's cache. Only then is a
    /// thread needed that may block.
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
    pub fn folder(&self, path: &FilePath) -> Result<Vec<Entry>, FileError> {
        self.folder_up_to(path, usize::MAX)
    }

    /// The same, but at most `most` entries; if there are more, an arbitrary selection.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn folder_up_to(&self, path: &FilePath, most: usize) -> Result<Vec<Entry>, FileError> {
        let handle = self.beneath(path, OFlags::DIRECTORY, ResolveFlags::empty());
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
                entries.extend(Entry::new(path, &stat));
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
        let handle = self.beneath(folder, OFlags::DIRECTORY, ResolveFlags::empty())?;
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
    pub fn entry(&self, path: &FilePath) -> Result<Entry, FileError> {
        let handle = self.beneath(path, OFlags::PATH, ResolveFlags::empty())?;
        Entry::new(path.clone(), &rustix::fs::fstat(&handle)?).ok_or(FileError::Missing)
    }

    fn entry_seen(&self, path: &FilePath) -> Option<Seen> {
        let handle = self.beneath(path, OFlags::PATH, ResolveFlags::empty()).ok()?;
        Some(Seen::of(&rustix::fs::fstat(&handle).ok()?))
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
        // NONBLOCK: opening a FIFO must not wait for a writer. Regular files ignore it.
        let handle = self.beneath(path, OFlags::NONBLOCK | OFlags::NOCTTY, resolve)?;
        let stat = rustix::fs::fstat(&handle)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(OpenFile::new(handle, Seen::of(&stat), self.clone(), path.clone())),
            _ => Err(FileError::Missing),
        }
    }

    fn identity(&self, path: &FilePath) -> Identity {
        self.0.by_name.get(path.share()).map_or(Identity::default(), |root| root.identity)
    }

    pub(crate) fn beneath(
        &self,
        path: &FilePath,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, FileError> {
        let root = self.0.by_name.get(path.share()).ok_or(FileError::Missing)?;
        let opened = if resolve.contains(ResolveFlags::CACHED) { root.open_cached() } else { root.open() };
        let root = match opened {
            Ok(root) => root,
            Err(Away::Uncached) => return Err(Errno::AGAIN.into()),
            Err(_) => return Err(FileError::ShareGone),
        };
        let within = match path.within_share() {
            "" => ".",
            within => within,
        };
        Ok(open_beneath(&root, within, flags, resolve)?)
    }
}

/// Checks that the system supports the call that confines paths. Sandboxes refuse it in several ways, and old
/// kernels don't know it.
fn can_confine() -> Result<(), Errno> {
    let root =
        rustix::fs::open(Path::new("/"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    open_beneath(&root, ".", OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty()).map(|_| ())
}

pub(crate) fn open_beneath(
    root: &OwnedFd,
    path: &str,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut races = 0;
    loop {
        // EAGAIN without CACHED: a rename raced with the lookup, and the kernel asks to try again. Endless
        // renames must not block a thread forever.
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
    opened: Arc<Opened>,
    version: FileVersion,
    /// The edges of what is served of it, where they are known.
    edges: Option<Edges>,
}

struct Opened {
    handle: OwnedFd,
    shares: Shares,
    path: FilePath,
    /// Its metadata when it was opened.
    first: Seen,
    /// Its metadata when it was last found to be the same.
    last: Mutex<Seen>,
}

/// The result of a quick check of a file that is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// It is unchanged.
    Unchanged,
    /// Something changed; [`OpenFile::is_the_same`] says whether that matters.
    Unclear,
    /// It is another file.
    Changed,
}

impl OpenFile {
    fn new(handle: OwnedFd, seen: Seen, shares: Shares, path: FilePath) -> OpenFile {
        let opened = Opened { handle, shares, path, first: seen, last: Mutex::new(seen) };
        OpenFile { opened: Arc::new(opened), version: seen.version(), edges: None }
    }

    /// Returns the version that is served: the one found when it was opened, unless [`OpenFile::served_as`]
    /// says otherwise.
    pub const fn version(&self) -> FileVersion {
        self.version
    }

    /// Returns the same file as it was at `version`, with the edges it had then. Used for a file that has
    /// grown since: no byte beyond the old length is served.
    pub fn served_as(&self, version: FileVersion, edges: Edges) -> OpenFile {
        OpenFile { opened: self.opened.clone(), version, edges: Some(edges) }
    }

    /// Returns the inode number and the time of the inode's last change, when it was opened.
    pub fn origin(&self) -> (u64, u64) {
        (self.opened.first.inode, self.opened.first.changed_ns)
    }

    fn seen(&self) -> &Seen {
        &self.opened.first
    }

    fn identity(&self) -> Identity {
        self.opened.shares.identity(&self.opened.path)
    }

    /// Fills `buffer` from `offset`, only from the page cache. Returns the number of bytes read, or `None` if
    /// it would have to wait for the disk. Zero means the end of the file.
    ///
    /// # Errors
    /// If the read fails.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut slices = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(self.opened.handle.as_fd(), &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok(Some(count)),
            // OPNOTSUPP: a file system without RWF_NOWAIT.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Fills `buffer` from `offset`, waiting for the disk. Returns the number of bytes read, which is smaller
    /// than the buffer only at the end of the file.
    ///
    /// # Errors
    /// If the read fails.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(self.opened.handle.as_fd(), rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(filled)
    }

    /// Checks whether the file has changed since the last check. Doesn't wait for the disk.
    ///
    /// # Errors
    /// If the file system doesn't respond.
    pub fn glance(&self) -> io::Result<Glance> {
        let (now, last) = (self.look()?, *self.last());
        let same = match self.identity() {
            Identity::Inode => now == last,
            Identity::Time => now.version() == last.version(),
        };
        Ok(match same {
            true => Glance::Unchanged,
            false if now.len < self.version.len => Glance::Changed,
            false => Glance::Unclear,
        })
    }

    /// Returns whether a changed file is still the same as far as it is served: it only grew, was renamed or
    /// got other permissions. Waits for the disk.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn is_the_same(&self) -> io::Result<bool> {
        let (now, last) = (self.look()?, *self.last());
        if now == last {
            return Ok(true);
        }
        let moved = || {
            let found = self.opened.shares.entry_seen(&self.opened.path);
            found.is_none_or(|found| found.inode != now.inode)
        };
        let may = now.len >= self.version.len
            && (identity::may_go_on(&last, &now, moved)
                || (self.identity() == Identity::Time && now.version() == last.version()));
        let same = may && self.edges == Some(self.edges(self.version.len)?);
        if same {
            *self.last() = now;
        }
        Ok(same)
    }

    fn look(&self) -> io::Result<Seen> {
        Ok(Seen::of(&rustix::fs::fstat(&self.opened.handle)?))
    }

    // A poisoned lock means a panic elsewhere; the guarded value is always replaced as a whole.
    fn last(&self) -> MutexGuard<'_, Seen> {
        self.opened.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
