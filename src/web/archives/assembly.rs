//! Puts a manifest together: of each file the known checksum, or that of a small file which is read now. Blocks
//! on disk I/O.

use std::collections::HashMap;
use std::mem;

use crate::archive::{ArchiveEntry, ManifestBuilder};
use crate::files::{FileError, Shares};
use crate::id::FilePath;
use crate::web::archives::contents::ArchivedFile;
use crate::web::archives::error::ArchiveMakingError;
use crate::web::archives::job::ArchiveJob;
use crate::web::shares::checksums::FileChecksum;

/// How many bytes are read to complete an archive. What has more is prepared file by file in the background.
const READ_AT_MOST: u64 = 16 << 20;

/// How many new checksums are recorded in one transaction.
pub(super) const PER_TRANSACTION: usize = 500;

/// A manifest that is being put together.
pub(super) struct Assembly {
    found: std::vec::IntoIter<ArchivedFile>,
    known: HashMap<String, FileChecksum>,
    builder: ManifestBuilder,
    budget: u64,
    new: Vec<(FilePath, FileChecksum)>,
    /// The number of files so far …
    pub(super) files: u64,
    /// … and how many of them have no checksum yet.
    pub(super) missing: u64,
}

impl Assembly {
    pub(super) fn new(found: Vec<ArchivedFile>, known: HashMap<String, FileChecksum>) -> Assembly {
        Assembly {
            found: found.into_iter(),
            known,
            builder: ManifestBuilder::default(),
            budget: READ_AT_MOST,
            new: Vec::new(),
            files: 0,
            missing: 0,
        }
    }

    /// Goes on until all files are there, or until enough checksums are to be recorded. Returns whether all are.
    pub(super) fn go_on(&mut self, shares: &Shares, job: &ArchiveJob) -> Result<bool, ArchiveMakingError> {
        while self.new.len() < PER_TRANSACTION {
            let Some(file) = self.found.next() else { return Ok(true) };
            self.add(shares, file)?;
            job.reached(self.files - self.missing);
        }
        Ok(false)
    }

    /// Takes the checksums that were calculated.
    pub(super) fn take_new(&mut self) -> Vec<(FilePath, FileChecksum)> {
        mem::take(&mut self.new)
    }

    /// Returns the text of the manifest.
    pub(super) fn finish(self) -> String {
        self.builder.finish()
    }

    fn add(&mut self, shares: &Shares, file: ArchivedFile) -> Result<(), ArchiveMakingError> {
        let ArchivedFile { path, name, folder_modified_ns } = file;
        if let Some(modified_ns) = folder_modified_ns {
            self.builder.add(&ArchiveEntry::folder(path, name, modified_ns))?;
            return Ok(());
        }
        let known = self.known.remove(path.as_str());
        let current = match known.map(|sum| (sum, shares.is_unchanged(&path, &sum.version))) {
            Some((sum, Ok(true))) => Some(sum),
            Some((_, Err(FileError::ShareGone))) => return Err(FileError::ShareGone.into()),
            Some((_, Ok(false) | Err(_))) | None => match shares.file(&path) {
                Ok(file) => match self.budget.checked_sub(file.version().len) {
                    Some(left) => {
                        self.budget = left;
                        // A file that can't be read to its end is tried again in the background.
                        let sum = FileChecksum::compute(&file).ok().flatten();
                        self.new.extend(sum.map(|sum| (path.clone(), sum)));
                        sum
                    }
                    None => None,
                },
                Err(FileError::ShareGone) => return Err(FileError::ShareGone.into()),
                // It disappeared since it was found, or can't be read: it is left out, as on the page.
                Err(_) => return Ok(()),
            },
        };
        self.files += 1;
        match current {
            Some(FileChecksum { version, crc32 }) => {
                self.builder.add(&ArchiveEntry { path, name, version, crc32 })?;
            }
            None => self.missing += 1,
        }
        Ok(())
    }
}
