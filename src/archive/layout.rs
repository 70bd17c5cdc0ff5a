//! Where in an archive what is, calculated from its manifest. Only every thirty-second entry is remembered, so
//! a layout takes little memory however many files there are; the entries between are read again.

use std::io;
use std::ops::{ControlFlow, Range};

use crate::archive::entry::ArchiveEntry;
use crate::archive::error::ArchiveError;
use crate::archive::headers;
use crate::archive::manifest::{ENTRIES_MAX, FIRST_LINE, MANIFEST_MAX};
use crate::files::FileVersion;
use crate::secret::Digest;

/// How many entries a chunk has.
const CHUNK: usize = 32;

/// The largest integer that every JSON parser represents exactly; tokens claim the length.
const LENGTH_MAX: u64 = (1 << 53) - 1;

/// The text of a manifest, wherever it is kept.
pub trait ManifestText {
    /// Fills `buffer` with the text from `at`. May block on the disk.
    ///
    /// # Errors
    /// If it can't be read, or ends before.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

impl ManifestText for str {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let text = self.as_bytes().get(at..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(text.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The layout of one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    digest: [u8; 32],
    entries: usize,
    files: usize,
    /// Where the directory begins that follows the entries, and where the end records that follow it.
    directory_at: u64,
    end_at: u64,
    len: u64,
    newest_ns: u64,
    marks: Vec<Mark>,
}

/// Where a chunk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    text_at: u64,
    /// The local header of its first entry.
    at: u64,
    /// The header of its first entry in the directory.
    central_at: u64,
}

/// An entry and where it is in the archive.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) entry: ArchiveEntry,
    /// Its local header.
    pub(super) at: u64,
    pub(super) data: Range<u64>,
    /// Its header in the directory.
    pub(super) central: Range<u64>,
}

/// Where the next entry is.
#[derive(Clone, Copy)]
struct Position {
    at: u64,
    central_at: u64,
}

impl Position {
    /// Places an entry here and moves on. `None` if the archive gets too long.
    fn place(&mut self, entry: ArchiveEntry) -> Option<Placed> {
        let data_at = self.at + headers::local(&entry).len() as u64;
        let end = data_at.checked_add(entry.size()).filter(|end| *end <= LENGTH_MAX)?;
        let central_end = self.central_at + headers::central(&entry, self.at).len() as u64;
        let placed = Placed { entry, at: self.at, data: data_at..end, central: self.central_at..central_end };
        *self = Position { at: end, central_at: central_end };
        Some(placed)
    }
}

impl Layout {
    /// Reads a manifest.
    ///
    /// # Errors
    /// If it isn't a manifest, or exceeds the limits.
    pub fn of(text: &str) -> Result<Layout, ArchiveError> {
        if text.len() > MANIFEST_MAX {
            return Err(ArchiveError::TooMany);
        }
        let lines = text.strip_prefix(FIRST_LINE).ok_or(ArchiveError::Unknown)?;
        if !lines.is_empty() && !lines.ends_with('\n') {
            return Err(ArchiveError::Unknown);
        }
        // The directory's place is known only at the end, so its headers are counted from 0 until then.
        let mut position = Position { at: 0, central_at: 0 };
        let (mut marks, mut files, mut entries, mut newest_ns) = (Vec::new(), 0, 0, 0);
        let mut text_at = FIRST_LINE.len() as u64;
        for line in lines.split_inclusive('\n') {
            let entry = ArchiveEntry::parse(line.trim_end_matches('\n'));
            let entry = entry.ok_or(ArchiveError::Entry(entries + 2))?;
            if entries >= ENTRIES_MAX {
                return Err(ArchiveError::TooMany);
            }
            if entries.is_multiple_of(CHUNK) {
                marks.push(Mark { text_at, at: position.at, central_at: position.central_at });
            }
            newest_ns = entry.version.version().modified_ns.max(newest_ns);
            files += usize::from(!entry.is_folder());
            entries += 1;
            text_at += line.len() as u64;
            position.place(entry).ok_or(ArchiveError::TooLong)?;
        }
        let directory_at = position.at;
        marks.iter_mut().for_each(|mark| mark.central_at += directory_at);
        // Marks the end of the last chunk's text.
        marks.push(Mark { text_at, at: directory_at, central_at: directory_at + position.central_at });
        let end_at = directory_at + position.central_at;
        let end = headers::end(entries as u64, directory_at, position.central_at);
        let len = end_at.checked_add(end.len() as u64).filter(|len| *len <= LENGTH_MAX);
        Ok(Layout {
            digest: *Digest::of(text.as_bytes()).as_bytes(),
            entries,
            files,
            directory_at,
            end_at,
            len: len.ok_or(ArchiveError::TooLong)?,
            newest_ns,
            marks,
        })
    }

    /// Returns the SHA-256 of the manifest.
    pub const fn digest(&self) -> Digest {
        Digest::from_bytes(self.digest)
    }

    /// Returns the length of the archive in bytes, and when the newest of its files last changed.
    pub const fn version(&self) -> FileVersion {
        FileVersion { len: self.len, modified_ns: self.newest_ns }
    }

    /// Returns the number of files, not counting folders.
    pub const fn files(&self) -> usize {
        self.files
    }

    /// Returns the bytes between the directory and the end of the archive.
    pub(super) fn end(&self) -> (u64, Vec<u8>) {
        let len = self.end_at - self.directory_at;
        (self.end_at, headers::end(self.entries as u64, self.directory_at, len))
    }

    /// Returns the number of the chunk with the byte at `at`: of an entry, or of the directory. `None` for the
    /// end records.
    pub(super) fn chunk_at(&self, at: u64) -> Option<usize> {
        if at >= self.end_at {
            return None;
        }
        let is_before = |mark: &Mark| match at < self.directory_at {
            true => mark.at <= at,
            false => mark.central_at <= at,
        };
        // The last mark is only an end.
        let last = self.marks.len().saturating_sub(2);
        Some(self.marks.partition_point(is_before).saturating_sub(1).min(last))
    }

    /// Reads a chunk of the manifest again.
    pub(super) fn chunk(
        &self,
        number: usize,
        text: &(impl ManifestText + ?Sized),
    ) -> Result<Vec<Placed>, ArchiveError> {
        let (Some(mark), Some(next)) = (self.marks.get(number), self.marks.get(number + 1)) else {
            return Ok(Vec::new());
        };
        let len = usize::try_from(next.text_at - mark.text_at).unwrap_or(MANIFEST_MAX);
        let mut bytes = vec![0; len];
        text.read_at(&mut bytes, mark.text_at).map_err(ArchiveError::Unreadable)?;
        let lines = str::from_utf8(&bytes).map_err(|_| ArchiveError::Unknown)?;
        let mut position = Position { at: mark.at, central_at: mark.central_at };
        let mut placed = Vec::with_capacity(CHUNK);
        for (line, count) in lines.split_terminator('\n').zip(0..) {
            let entry = ArchiveEntry::parse(line);
            let entry = entry.ok_or(ArchiveError::Entry(number * CHUNK + count + 2))?;
            placed.push(position.place(entry).ok_or(ArchiveError::TooLong)?);
        }
        Ok(placed)
    }

    /// Calls `see` with the entries that overlap `range`, until it breaks or fails.
    ///
    /// # Errors
    /// If the manifest can't be read, or `see` fails.
    pub fn entries_in<E: From<ArchiveError>>(
        &self,
        range: Range<u64>,
        text: &(impl ManifestText + ?Sized),
        mut see: impl FnMut(&ArchiveEntry) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let end = range.end.min(self.directory_at);
        if range.start >= end {
            return Ok(());
        }
        let first = self.chunk_at(range.start).unwrap_or(0);
        let last = self.chunk_at(end - 1).unwrap_or(0);
        for number in first..=last {
            for placed in self.chunk(number, text)? {
                let overlaps = placed.data.end > range.start && placed.at < end;
                if overlaps && see(&placed.entry)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
