//! Reads an archive from any byte: headers from the manifest, and for the data of a file which bytes of it.

use crate::archive::entry::ArchiveEntry;
use crate::archive::error::ArchiveError;
use crate::archive::headers;
use crate::archive::layout::{Layout, ManifestText, Placed};

/// What is at some byte of an archive.
#[derive(Debug)]
pub enum ArchivePiece<'r> {
    /// The rest of a header.
    Header(Vec<u8>),
    /// Data of a file.
    Data {
        /// The file's entry.
        entry: &'r ArchiveEntry,
        /// The position in the file.
        from: u64,
        /// How many bytes of the file follow.
        left: u64,
    },
    /// The archive ends here.
    End,
}

/// Reads one archive. Keeps one chunk of entries in memory.
#[derive(Debug, Default)]
pub struct ArchiveReader {
    chunk: Option<(usize, Vec<Placed>)>,
}

impl ArchiveReader {
    /// Returns what is at the byte `at`. May block on the disk, to read the manifest.
    ///
    /// # Errors
    /// If the manifest can't be read.
    pub fn piece(
        &mut self,
        layout: &Layout,
        text: &(impl ManifestText + ?Sized),
        at: u64,
    ) -> Result<ArchivePiece<'_>, ArchiveError> {
        let Some(number) = layout.chunk_at(at) else {
            let (end_at, end) = layout.end();
            let rest = rest_of(end, at - end_at);
            return Ok(if rest.is_empty() { ArchivePiece::End } else { ArchivePiece::Header(rest) });
        };
        if self.chunk.as_ref().is_none_or(|(read, _)| *read != number) {
            self.chunk = Some((number, layout.chunk(number, text)?));
        }
        let placed = self.chunk.iter().flat_map(|(_, placed)| placed);
        for placed in placed {
            let Placed { entry, at: header_at, data, central } = placed;
            if central.contains(&at) {
                return Ok(ArchivePiece::Header(rest_of(
                    headers::central(entry, *header_at),
                    at - central.start,
                )));
            }
            if (*header_at..data.start).contains(&at) {
                return Ok(ArchivePiece::Header(rest_of(headers::local(entry), at - header_at)));
            }
            if data.contains(&at) {
                return Ok(ArchivePiece::Data { entry, from: at - data.start, left: data.end - at });
            }
        }
        // Each byte before the end records belongs to an entry.
        Err(ArchiveError::Unknown)
    }
}

fn rest_of(mut header: Vec<u8>, from: u64) -> Vec<u8> {
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(header.len());
    header.drain(..from);
    header
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use proptest::prelude::*;

    use super::*;
    use crate::archive::manifest::ManifestBuilder;
    use crate::files::FileVersion;
    use crate::files::identity::ClaimedVersion;

    /// Content of a file: each byte tells file and position.
    fn content(name: &str, from: u64, buffer: &mut [u8]) {
        let seed = name.len() as u64;
        for (byte, at) in buffer.iter_mut().zip(from..) {
            *byte = (seed.wrapping_mul(31).wrapping_add(at) % 251) as u8;
        }
    }

    fn manifest(sizes: &[u64]) -> String {
        let mut builder = ManifestBuilder::default();
        for (number, size) in sizes.iter().enumerate() {
            let name = format!("more/{}{number}", "x".repeat(number % 40));
            let mut whole = vec![0; usize::try_from(*size).unwrap()];
            content(&name, 0, &mut whole);
            let version = FileVersion { len: *size, modified_ns: 1_700_000_000_000_000_000 };
            let entry = ArchiveEntry {
                path: format!("/books/{name}").parse().unwrap(),
                name,
                version: ClaimedVersion::of_time(version),
                crc32: crc32fast::hash(&whole),
            };
            builder.add(&entry).unwrap();
        }
        builder.add(&ArchiveEntry::folder("/books/e".parse().unwrap(), "e/".to_owned(), 0)).unwrap();
        builder.finish()
    }

    fn read(layout: &Layout, text: &str, from: u64, len: usize) -> Vec<u8> {
        let (mut reader, mut read) = (ArchiveReader::default(), Vec::new());
        while read.len() < len {
            let at = from + read.len() as u64;
            let left_to_read = len - read.len();
            match reader.piece(layout, text, at).unwrap() {
                ArchivePiece::Header(bytes) => {
                    assert!(!bytes.is_empty());
                    read.extend(bytes.into_iter().take(left_to_read));
                }
                ArchivePiece::Data { entry, from, left } => {
                    assert!(left > 0);
                    let count = left_to_read.min(usize::try_from(left).unwrap());
                    let mut buffer = vec![0; count];
                    content(&entry.name, from, &mut buffer);
                    read.extend(buffer);
                }
                ArchivePiece::End => break,
            }
        }
        read
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_split_gives_the_same_bytes_and_the_length_is_known_before(
            sizes in prop::collection::vec(prop_oneof![Just(0_u64), 0_u64..2_000], 0..100),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let text = manifest(&sizes);
            let layout = Layout::of(&text).unwrap();
            let whole = read(&layout, &text, 0, usize::MAX);
            prop_assert_eq!(whole.len() as u64, layout.version().len);
            prop_assert_eq!(layout.files(), sizes.len());
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                let part = read(&layout, &text, pair[0] as u64, pair[1] - pair[0]);
                prop_assert_eq!(&part[..], &whole[pair[0]..pair[1]]);
            }
            let mut seen = Vec::new();
            let all = layout.entries_in(0..whole.len() as u64, text.as_str(), |entry| {
                seen.push(entry.name.clone());
                Ok::<_, ArchiveError>(ControlFlow::Continue(()))
            });
            all.unwrap();
            prop_assert_eq!(seen.len(), sizes.len() + 1);
        }
    }

    #[test]
    fn what_is_not_a_manifest_is_refused() {
        let good = manifest(&[1]);
        assert!(Layout::of(&good).is_ok());
        for wrong in
            ["".to_owned(), good.replace("zip-1", "zip-2"), good.trim_end().to_owned(), format!("{good}\n")]
        {
            assert!(Layout::of(&wrong).is_err(), "{wrong:?}");
        }
        let long = good.replace(",1,", ",9007199254740991,").replace("-1\"", "-1fffffffffffff\"");
        assert!(matches!(Layout::of(&long), Err(ArchiveError::TooLong)), "{long}");
        assert!(Layout::of("oncelink-zip-1\n").unwrap().version().len == 22, "an empty archive is one");
    }
}
