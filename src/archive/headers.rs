//! The headers of a ZIP archive (APPNOTE.TXT 6.3.10), little-endian.

use time::OffsetDateTime;

use crate::archive::entry::ArchiveEntry;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;

/// The name is UTF-8 (bit 11). No bit says that sizes follow the data, because they precede it.
const FLAGS: u16 = 1 << 11;
/// Neither compressed nor encrypted.
const STORED: u16 = 0;

/// Folders need version 2.0, sizes of 64 bits version 4.5.
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
/// Attributes are those of Unix, as of version 4.5.
const MADE_BY: u16 = (3 << 8) | VERSION_64;

/// A regular file that its owner may write and everybody may read; and such a folder, also for DOS.
const FILE_ATTRIBUTES: u32 = 0o100_644 << 16;
const FOLDER_ATTRIBUTES: u32 = (0o040_755 << 16) | 0x10;

const ZIP64_FIELD: u16 = 0x0001;
const TIME_FIELD: u16 = 0x5455;

/// What a 32-bit field contains if the number is in the field for 64 bits.
const ELSEWHERE_32: u32 = u32::MAX;
const ELSEWHERE_16: u16 = u16::MAX;

/// A header that is being written.
#[derive(Default)]
struct Header(Vec<u8>);

impl Header {
    fn u16(&mut self, number: u16) -> &mut Header {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Header {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Header {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Header {
        self.0.extend(bytes);
        self
    }
}

/// Returns a number for a field of 32 bits, or the mark that it is in the field for 64 bits.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(ELSEWHERE_32)
}

/// Returns whether a number doesn't fit into 32 bits beside that mark.
fn is_wide(number: u64) -> bool {
    number >= u64::from(ELSEWHERE_32)
}

/// Returns the header in front of the entry's data.
pub(super) fn local(entry: &ArchiveEntry) -> Vec<u8> {
    let size = entry.size();
    let mut extra = Header::default();
    if is_wide(size) {
        extra.u16(ZIP64_FIELD).u16(16).u64(size).u64(size);
    }
    extra.bytes(&time_field(entry));
    let mut header = Header::default();
    header.u32(LOCAL).u16(if is_wide(size) { VERSION_64 } else { VERSION });
    common(&mut header, entry, &extra);
    header.bytes(entry.name.as_bytes()).bytes(&extra.0);
    header.0
}

/// Returns the header in the directory at the end, for an entry whose local header is at `at`.
pub(super) fn central(entry: &ArchiveEntry, at: u64) -> Vec<u8> {
    let size = entry.size();
    let mut wide = Header::default();
    if is_wide(size) {
        wide.u64(size).u64(size);
    }
    if is_wide(at) {
        wide.u64(at);
    }
    let mut extra = Header::default();
    if !wide.0.is_empty() {
        extra.u16(ZIP64_FIELD).u16(len_16(&wide.0)).bytes(&wide.0);
    }
    extra.bytes(&time_field(entry));
    let is_64 = is_wide(size) || is_wide(at);
    let mut header = Header::default();
    header.u32(CENTRAL).u16(MADE_BY).u16(if is_64 { VERSION_64 } else { VERSION });
    common(&mut header, entry, &extra);
    // No comment, the first disk, no internal attributes.
    header.u16(0).u16(0).u16(0);
    header.u32(if entry.is_folder() { FOLDER_ATTRIBUTES } else { FILE_ATTRIBUTES });
    header.u32(narrow(at)).bytes(entry.name.as_bytes()).bytes(&extra.0);
    header.0
}

/// Returns the end of an archive whose directory with `entries` entries is at `at` and has `len` bytes.
pub(super) fn end(entries: u64, at: u64, len: u64) -> Vec<u8> {
    let mut end = Header::default();
    let is_64 = entries >= u64::from(ELSEWHERE_16) || is_wide(at) || is_wide(len);
    if is_64 {
        // The number of bytes that follow this field.
        end.u32(END_64).u64(44).u16(MADE_BY).u16(VERSION_64).u32(0).u32(0);
        end.u64(entries).u64(entries).u64(len).u64(at);
        end.u32(END_64_LOCATOR).u32(0).u64(at.saturating_add(len)).u32(1);
    }
    let entries = u16::try_from(entries).unwrap_or(ELSEWHERE_16);
    end.u32(END).u16(0).u16(0).u16(entries).u16(entries).u32(narrow(len)).u32(narrow(at)).u16(0);
    end.0
}

/// The part that both headers of an entry have in common.
fn common(header: &mut Header, entry: &ArchiveEntry, extra: &Header) {
    let (time, date) = dos_time(modified(entry));
    header.u16(FLAGS).u16(STORED).u16(time).u16(date).u32(entry.crc32);
    header.u32(narrow(entry.size())).u32(narrow(entry.size()));
    header.u16(len_16(entry.name.as_bytes())).u16(len_16(&extra.0));
}

/// Names have at most 8 KiB, and extra fields a few dozen bytes.
fn len_16(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

fn modified(entry: &ArchiveEntry) -> u64 {
    entry.version.version().modified().secs()
}

/// Returns the field with the time of the last change in UTC; empty after 2038, when it doesn't fit.
fn time_field(entry: &ArchiveEntry) -> Vec<u8> {
    let Ok(seconds) = i32::try_from(modified(entry)) else { return Vec::new() };
    let mut field = Header::default();
    // One flag: only the time of the last change follows.
    field.u16(TIME_FIELD).u16(5).bytes(&[1]).u32(seconds.cast_unsigned());
    field.0
}

/// Returns time and date as in DOS, in UTC: from 1980 to 2107, to two seconds.
fn dos_time(seconds: u64) -> (u16, u16) {
    let parsed =
        i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(at) = parsed.filter(|at| at.year() <= 2107) else {
        return ((23 << 11) | (59 << 5) | 29, (127 << 9) | (12 << 5) | 31);
    };
    if at.year() < 1980 {
        return (0, (1 << 5) | 1);
    }
    let year = u16::try_from(at.year() - 1980).unwrap_or(0);
    let date = (year << 9) | (u16::from(u8::from(at.month())) << 5) | u16::from(at.day());
    let time = (u16::from(at.hour()) << 11) | (u16::from(at.minute()) << 5) | (u16::from(at.second()) / 2);
    (time, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_dos_within_its_range() {
        for (seconds, expected) in [
            (0, (0, 0x0021)),
            // 2026-11-29 13:53:24
            (1_795_960_404, ((13 << 11) | (53 << 5) | 12, (46 << 9) | (11 << 5) | 29)),
            (u64::MAX, ((23 << 11) | (59 << 5) | 29, (127 << 9) | (12 << 5) | 31)),
        ] {
            assert_eq!(dos_time(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn the_end_is_wide_only_where_it_must_be() {
        assert_eq!(end(65_534, 1, 1).len(), 22);
        assert_eq!(end(65_535, 1, 1).len(), 98);
        assert_eq!(end(1, u64::from(u32::MAX), 1).len(), 98);
    }
}
