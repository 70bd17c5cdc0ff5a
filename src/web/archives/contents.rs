//! Which files an archive of some files and folders has, and what they are called in it. Blocks on disk I/O.

use std::ops::ControlFlow;

use crate::archive::{ArchiveError, ArchiveNames, ENTRIES_MAX};
use crate::files::{EntryKind, FileError, Shares};
use crate::id::FilePath;
use crate::web::archives::order::{ArchiveOrder, ArchiveReaders, HiddenFiles};
use crate::web::shares::drop_folder;
use crate::web::shares::folding::{fold, natural};
use crate::web::shares::rights::Readable;

/// How many folders may be within each other. A folder that contains itself through a symlink has no end.
const DEPTH_MAX: usize = 64;

/// A file or an empty folder of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArchivedFile {
    pub(super) path: FilePath,
    /// Its name in the archive.
    pub(super) name: String,
    /// When it last changed, if it is a folder.
    pub(super) folder_modified_ns: Option<u64>,
}

/// A file or folder that is to be archived, and its name in the archive; the files of a folder without a name are
/// not in any folder there.
pub(super) struct ArchivedPlace {
    pub(super) path: FilePath,
    pub(super) name: String,
}

impl ArchivedPlace {
    /// Returns what the files and folders of an order are called in the archive.
    pub(super) fn of(order: &ArchiveOrder) -> Vec<ArchivedPlace> {
        match order.readers {
            ArchiveReaders::Owner => order.places.iter().map(ArchivedPlace::for_owner).collect(),
            ArchiveReaders::Recipients => ArchivedPlace::for_recipients(&order.places),
        }
    }

    fn for_owner(place: &Readable) -> ArchivedPlace {
        // The own folder of an account has the account's id as its name, which means nothing to anyone.
        let is_home = place.path() == place.root() && !place.root().within_share().is_empty();
        let name = if is_home { "My files" } else { place.path().name() };
        ArchivedPlace { path: place.path().clone(), name: name.to_owned() }
    }

    /// A folder keeps its name, so that its files stay together where they are unpacked, unless nobody chose that
    /// name.
    fn for_recipients(places: &[Readable]) -> Vec<ArchivedPlace> {
        match places {
            [only] if drop_folder::is_one(only) => {
                vec![ArchivedPlace { path: only.path().clone(), name: String::new() }]
            }
            _ => places.iter().map(ArchivedPlace::for_owner).collect(),
        }
    }
}

/// Finds the files of an archive, those of a folder sorted by name. What isn't there is left out.
pub(super) fn find(
    shares: &Shares,
    places: &[ArchivedPlace],
    hidden: HiddenFiles,
) -> Result<Vec<ArchivedFile>, FindError> {
    let mut walk = Walk { shares, hidden, names: ArchiveNames::default(), found: Vec::new(), visited: 0 };
    for ArchivedPlace { path, name } in places {
        let entry = match shares.entry(path) {
            Ok(entry) => entry,
            Err(FileError::ShareGone) => return Err(FindError::File(FileError::ShareGone)),
            Err(_) => continue,
        };
        match entry.kind {
            EntryKind::File(_) => walk.file("", path.clone())?,
            EntryKind::Folder => walk.folder("", path, name, 0)?,
        }
    }
    Ok(walk.found)
}

/// Why the files can't be found.
#[derive(Debug)]
pub(super) enum FindError {
    File(FileError),
    Limit(ArchiveError),
}

struct Walk<'s> {
    shares: &'s Shares,
    hidden: HiddenFiles,
    names: ArchiveNames,
    found: Vec<ArchivedFile>,
    visited: usize,
}

impl Walk<'_> {
    fn file(&mut self, parent: &str, path: FilePath) -> Result<(), FindError> {
        let name = self.names.file(parent, path.name());
        self.add(ArchivedFile { path, name, folder_modified_ns: None })
    }

    fn folder(&mut self, parent: &str, path: &FilePath, name: &str, depth: usize) -> Result<(), FindError> {
        if depth > DEPTH_MAX {
            return Err(FindError::Limit(ArchiveError::TooMany));
        }
        let here = if name.is_empty() { parent.to_owned() } else { self.names.folder(parent, name) };
        let mut within = Vec::new();
        let left = (2 * ENTRIES_MAX).saturating_sub(self.visited);
        let hidden = self.hidden;
        let looked = self.shares.scan(path, |path, is_folder| {
            if within.len() > left {
                return ControlFlow::Break(());
            }
            if hidden == HiddenFiles::Included || !path.name().starts_with('.') {
                within.push((fold(path.name()), path, is_folder));
            }
            ControlFlow::Continue(())
        });
        match looked {
            Ok(()) => {}
            Err(FileError::ShareGone) => return Err(FindError::File(FileError::ShareGone)),
            // It disappeared, or can't be read: it is left out, as on the page.
            Err(_) => return Ok(()),
        }
        self.visited += within.len();
        if within.len() > left {
            return Err(FindError::Limit(ArchiveError::TooMany));
        }
        if within.is_empty() && !here.is_empty() {
            let modified = self.shares.entry(path).map_or(0, |entry| entry.modified.secs());
            let folder_modified_ns = Some(modified.saturating_mul(1_000_000_000));
            return self.add(ArchivedFile { path: path.clone(), name: here, folder_modified_ns });
        }
        within.sort_by(|(a_name, a, _), (b_name, b, _)| natural(a_name, b_name).then_with(|| a.cmp(b)));
        for (_, path, is_folder) in within {
            match is_folder {
                true => self.folder(&here, &path, path.name(), depth + 1)?,
                false => self.file(&here, path)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, file: ArchivedFile) -> Result<(), FindError> {
        if self.found.len() >= ENTRIES_MAX {
            return Err(FindError::Limit(ArchiveError::TooMany));
        }
        self.found.push(file);
        Ok(())
    }
}
