//! Reads the bytes of an archive that is being sent, and compares each file with the manifest when it is its
//! turn: bytes of a file that changed are never sent.

use std::io;
use std::ops::Range;

use crate::archive::{ArchivePiece, ArchiveReader};
use crate::download::archives::open_archive::{EntryFault, OpenArchive};
use crate::files::{FileError, OpenFile, QuickCheck};

/// Reads one archive, from any byte on.
pub(crate) struct ArchiveSource {
    archive: OpenArchive,
    reader: ArchiveReader,
    /// The file that was read last.
    current: Option<CurrentFile>,
}

struct CurrentFile {
    file: OpenFile,
    /// Where its data is in the archive.
    data: Range<u64>,
}

impl ArchiveSource {
    /// Begins to read `archive`.
    pub(crate) fn new(archive: OpenArchive) -> ArchiveSource {
        ArchiveSource { archive, reader: ArchiveReader::default(), current: None }
    }

    /// Returns the file that contains all of `count` bytes from `at`, and where in the file they begin, if it
    /// is the one that was read last. Doesn't block.
    pub(crate) fn file_at(&self, at: u64, count: u64) -> Option<(&OpenFile, u64)> {
        let current = self.current.as_ref()?;
        let holds = current.data.start <= at && at.checked_add(count)? <= current.data.end;
        holds.then(|| (&current.file, at - current.data.start))
    }

    /// Fills `buffer` with the bytes from `at`. Returns false if a file changed. Blocks on the disk.
    ///
    /// # Errors
    /// If something can't be read.
    pub(crate) fn fill(&mut self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = at.saturating_add(filled as u64);
            if let Some(current) = self.current.as_ref().filter(|current| current.data.contains(&at)) {
                let left = usize::try_from(current.data.end - at).unwrap_or(usize::MAX);
                let count = left.min(rest.len());
                let part = rest.get_mut(..count).unwrap_or_default();
                if current.file.read(part, at - current.data.start)? != count || !is_same(&current.file)? {
                    return Ok(false);
                }
                filled += count;
                continue;
            }
            let kept = &*self.archive.kept;
            match self.reader.piece(&kept.layout, kept, at).map_err(io::Error::other)? {
                ArchivePiece::Header(header) => {
                    let count = header.len().min(rest.len());
                    rest.iter_mut().zip(header).for_each(|(to, from)| *to = from);
                    filled += count;
                }
                ArchivePiece::Data { entry, from, left } => match self.archive.file(entry) {
                    Ok(file) => {
                        let data = at.saturating_sub(from)..at.saturating_add(left);
                        self.current = Some(CurrentFile { file, data });
                    }
                    Err(EntryFault::Changed) => return Ok(false),
                    Err(EntryFault::Unreadable(FileError::Unreadable(error))) => return Err(error),
                    Err(EntryFault::Unreadable(error)) => return Err(io::Error::other(error)),
                    Err(EntryFault::Manifest(error)) => return Err(io::Error::other(error)),
                },
                ArchivePiece::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(true)
    }
}

/// Returns whether a file that was just read is still the same.
fn is_same(file: &OpenFile) -> io::Result<bool> {
    match file.quick_check()? {
        QuickCheck::Unchanged => Ok(true),
        QuickCheck::Changed => Ok(false),
        QuickCheck::Unclear => file.is_the_same(),
    }
}
