//! The journal: two files (*segments*) that are written alternately, so that a group commit is one write and
//! one fdatasync to blocks that the file system has already allocated.
//!
//! A segment consists of a header and a fixed number of slots. It is filled with zeros and fsynced when it is
//! created, and never grows. Each *use* of a segment has a generation, one higher than the last; odd
//! generations are in segment 1. Records of an older generation stay behind the newest ones until they are
//! overwritten; each slot contains its generation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::used_tokens::packed::RecordReader;
use crate::used_tokens::sled::files::{FileId, sync_dir};
use crate::used_tokens::sled::record::{FIRST_SLOT, FoundSlot, SLOT, Slot, StoreId};

/// Bytes before the first slot: a page, so that slots never share a page with the header.
const HEADER: usize = 4096;
const MAGIC: [u8; 8] = *b"OLJRNL02";
/// The first format, which has shorter slots. Such a journal is read, settled and recreated.
const FIRST_MAGIC: [u8; 8] = *b"OLJRNL01";

/// The committer's operations on a segment. A trait, so that tests can count calls and make them fail.
pub trait JournalFile: Send {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// If the write fails; it is unknown how much was written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Waits until everything written is on disk.
    ///
    /// # Errors
    /// If it isn't certain.
    fn sync_data(&self) -> io::Result<()>;
}

impl JournalFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

/// Returns the segment of a generation: 0 or 1.
pub(super) const fn segment_of(generation: u64) -> usize {
    (generation % 2) as usize
}

/// Returns the path of segment `number` of the store in `dir`.
pub(super) fn segment_path(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("journal.{number}"))
}

/// Returns the offset of slot `slot` in its segment.
pub(super) const fn slot_offset(slot: u32) -> u64 {
    HEADER as u64 + slot as u64 * SLOT as u64
}

/// Creates segment `number` with `slots` empty slots; everything except its name is durable.
pub(super) fn create_segment(dir: &Path, number: usize, slots: u32, store: &StoreId) -> io::Result<()> {
    let path = segment_path(dir, number);
    let fresh = path.with_extension("new");
    if let Err(e) = fs::remove_file(&fresh)
        && e.kind() != io::ErrorKind::NotFound
    {
        return Err(e);
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
    let mut bytes = header(MAGIC, number, slots, store, FileId::of(&file)?);
    bytes.resize(HEADER, 0);
    file.write_all(&bytes)?;
    // Written rather than only allocated: writing to allocated but unwritten blocks changes metadata, so
    // every fdatasync would wait for the file system's journal.
    io::copy(&mut io::repeat(0).take(u64::from(slots) * SLOT as u64), &mut file)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    sync_dir(dir)
}

fn header(magic: [u8; 8], number: usize, slots: u32, store: &StoreId, file: FileId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(store);
    bytes.extend_from_slice(&(number as u32).to_le_bytes());
    bytes.extend_from_slice(&slots.to_le_bytes());
    bytes.extend_from_slice(&file.inode.to_le_bytes());
    bytes.extend_from_slice(&file.born_secs.to_le_bytes());
    bytes.extend_from_slice(&file.born_nanos.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// A segment can't be trusted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    #[error("it is missing")]
    Missing,
    #[error("its header is damaged")]
    Header,
    #[error("it is shorter or longer than when it was created")]
    Length,
    #[error("it is a copy, not the file that was written")]
    Copied,
    #[error("{0} of its records are damaged")]
    Records(usize),
    #[error("its records are out of order")]
    Order,
}

/// The content of a segment.
pub(super) struct FoundSegment {
    /// The id of its store, if its header could be read.
    pub(super) store: Option<StoreId>,
    /// The number of slots.
    pub(super) slots: u32,
    /// Whether it has the first format.
    pub(super) is_first_format: bool,
    /// The newest generation that wrote to it; 0 if none did.
    pub(super) generation: u64,
    /// All readable records, including older generations, oldest first.
    pub(super) written: Vec<Slot>,
    pub(super) doubts: Vec<SegmentError>,
}

/// Reads segment `number` of the store in `dir`, as far as possible.
pub(super) fn read_segment(dir: &Path, number: usize) -> io::Result<FoundSegment> {
    let mut found = FoundSegment {
        store: None,
        slots: 0,
        is_first_format: false,
        generation: 0,
        written: Vec::new(),
        doubts: Vec::new(),
    };
    let mut bytes = Vec::new();
    let identity = match File::open(segment_path(dir, number)) {
        Ok(mut file) => {
            file.read_to_end(&mut bytes)?;
            FileId::of(&file)?
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            found.doubts.push(SegmentError::Missing);
            return Ok(found);
        }
        Err(e) => return Err(e),
    };
    let (head, body) = bytes.split_at_checked(HEADER).unwrap_or((&bytes, &[]));
    let Some((magic, store, slots, written_as)) = parse_header(head, number) else {
        found.doubts.push(SegmentError::Header);
        return Ok(found);
    };
    (found.store, found.slots, found.is_first_format) = (Some(store), slots, magic == FIRST_MAGIC);
    let slot = if found.is_first_format { FIRST_SLOT } else { SLOT };
    if body.len() as u64 != u64::from(slots) * slot as u64 {
        found.doubts.push(SegmentError::Length);
    }
    if written_as != identity {
        found.doubts.push(SegmentError::Copied);
    }
    let slots: Vec<FoundSlot> = body.chunks(slot).map(|bytes| Slot::read(&store, bytes)).collect();
    found.take(&slots);
    Ok(found)
}

impl FoundSegment {
    fn take(&mut self, slots: &[FoundSlot]) {
        let written = |slot: &FoundSlot| match slot {
            FoundSlot::Written(slot) => Some(*slot),
            _ => None,
        };
        self.written = slots.iter().filter_map(written).collect();
        self.generation = self.written.iter().map(|slot| slot.generation).max().unwrap_or(0);
        let damaged = slots.iter().filter(|slot| **slot == FoundSlot::Damaged).count();
        if damaged > 0 {
            self.doubts.push(SegmentError::Records(damaged));
        }
        if !in_order(slots, self.generation) {
            self.doubts.push(SegmentError::Order);
        }
        self.written.sort_by_key(|slot| slot.generation);
    }
}

/// Returns whether the slots of the newest generation are at the start without gaps, group by group. After a
/// power failure the last group may have gaps: it wasn't durable, so it wasn't confirmed.
fn in_order(slots: &[FoundSlot], newest: u64) -> bool {
    let groups = || {
        slots.iter().map(|slot| match slot {
            FoundSlot::Written(slot) if slot.generation == newest => Some(slot.group),
            _ => None,
        })
    };
    let last = groups().flatten().max().unwrap_or(0);
    let (mut previous, mut gap) = (0_u64, false);
    for group in groups() {
        match group {
            None => gap = true,
            Some(group) => {
                let next = group == previous || group == previous.saturating_add(1);
                if !next || (gap && group != last) {
                    return false;
                }
                previous = group;
            }
        }
    }
    true
}

fn parse_header(head: &[u8], number: usize) -> Option<([u8; 8], StoreId, u32, FileId)> {
    let mut read = RecordReader(head);
    let magic: [u8; 8] = read.take()?;
    let store = read.take()?;
    let (found_number, slots) = (read.u32()?, read.u32()?);
    let (inode, born_secs, born_nanos) = (read.u64()?, i64::from_le_bytes(read.take()?), read.u32()?);
    let identity = FileId { inode, born_secs, born_nanos };
    let written = header(magic, number, slots, &store, identity);
    let whole = head.strip_prefix(written.as_slice())?.iter().all(|byte| *byte == 0);
    let known = [MAGIC, FIRST_MAGIC].contains(&magic);
    (whole && known && found_number == number as u32).then_some((magic, store, slots, identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn slots(written: &[(u64, u64)]) -> Vec<FoundSlot> {
        let slot = |(generation, group): &(u64, u64)| match generation {
            0 => FoundSlot::Empty,
            generation => FoundSlot::Written(Slot {
                generation: *generation,
                group: *group,
                mark: Timestamp::EPOCH,
                used: None,
            }),
        };
        written.iter().map(slot).collect()
    }

    #[test]
    fn only_the_last_group_may_have_gaps() {
        for whole in [
            &[][..],
            &[(0, 0), (0, 0)],
            &[(3, 1), (3, 1), (3, 2), (1, 9), (0, 0)],
            &[(3, 1), (1, 4), (3, 2), (1, 5), (3, 2)],
            &[(1, 4), (3, 1)],
        ] {
            let newest = whole.iter().map(|slot| slot.0).max().unwrap_or(0);
            assert!(in_order(&slots(whole), newest), "{whole:?}");
        }
        for broken in [
            &[(3, 1), (1, 4), (3, 2), (3, 3)][..],
            &[(3, 1), (0, 0), (3, 1), (3, 2)],
            &[(3, 1), (3, 3)],
            &[(3, 2)],
            &[(3, 2), (3, 1)],
        ] {
            assert!(!in_order(&slots(broken), 3), "{broken:?}");
        }
    }
}
