//! Files and folders in a listing.

use rustix::fs::{FileType, Stat};

use crate::clock::Timestamp;
use crate::files::seen::FileStat;
use crate::files::version::FileVersion;
use crate::id::FilePath;

/// A file or folder in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderEntry {
    /// The path of the file or folder.
    pub path: FilePath,
    /// Whether it is a file or a folder.
    pub kind: EntryKind,
    /// When it last changed.
    pub modified: Timestamp,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A regular file.
    File(FileVersion),
}

impl FolderEntry {
    pub(super) fn new(path: FilePath, stat: &Stat) -> Option<FolderEntry> {
        let version = FileStat::of(stat).version();
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => EntryKind::Folder,
            FileType::RegularFile => EntryKind::File(version),
            _ => return None,
        };
        Some(FolderEntry { path, kind, modified: version.modified() })
    }
}
