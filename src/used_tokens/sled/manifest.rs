//! The store's manifest, kept in the database and changed in the same atomic batch as the records that it
//! counts.

use crate::clock::Timestamp;
use crate::used_tokens::packed::RecordReader;
use crate::used_tokens::sled::record::StoreId;

/// The store's manifest, which also detects damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreManifest {
    pub(super) store: StoreId,
    /// How often the store was opened.
    pub(super) starts: u64,
    /// The last journal generation that is settled here.
    pub(super) generation: u64,
    /// The generation up to which the journal files contain nothing, because they were created later.
    pub(super) base: u64,
    pub(super) fence: Timestamp,
    /// The high-water mark of time.
    pub(super) mark: Timestamp,
    /// The number of the next block; lower numbers are never reused.
    pub(super) next_block: u32,
    pub(super) blocks: u64,
    pub(super) records: u64,
    /// Increases whenever the fence does; a later epoch than others remember began after that.
    pub(super) epoch: u64,
}

impl StoreManifest {
    pub(super) const fn new(store: StoreId, fence: Timestamp, mark: Timestamp) -> StoreManifest {
        StoreManifest {
            store,
            starts: 0,
            generation: 0,
            base: 0,
            fence,
            mark,
            next_block: 1,
            blocks: 0,
            records: 0,
            epoch: 0,
        }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![2];
        bytes.extend_from_slice(&self.store);
        let times = [self.fence.secs(), self.mark.secs()];
        for value in [self.starts, self.generation, self.base, self.blocks, self.records].iter().chain(&times)
        {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&self.next_block.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Parses the manifest; `None` if it is damaged.
    pub(super) fn read(bytes: &[u8]) -> Option<StoreManifest> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
            return None;
        }
        let mut read = RecordReader(body);
        // The first format had no epoch.
        let ([version @ 1..=2], store) = (read.take()?, read.take()?) else { return None };
        let (starts, generation, base) = (read.u64()?, read.u64()?, read.u64()?);
        let (blocks, records) = (read.u64()?, read.u64()?);
        let (fence, mark, next_block) = (read.time()?, read.time()?, read.u32()?);
        let epoch = if version == 1 { 0 } else { read.u64()? };
        Some(StoreManifest {
            store,
            starts,
            generation,
            base,
            fence,
            mark,
            next_block,
            blocks,
            records,
            epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_are_read_as_they_were_written_and_those_of_the_first_form_too() {
        let moment = Timestamp::from_secs;
        let manifest =
            StoreManifest { epoch: 7, records: 3, ..StoreManifest::new([9; 16], moment(5), moment(6)) };
        let bytes = manifest.to_bytes();
        assert_eq!(StoreManifest::read(&bytes), Some(manifest));
        let mut first = bytes[..bytes.len() - 12].to_vec();
        first[0] = 1;
        let crc = crc32fast::hash(&first);
        first.extend_from_slice(&crc.to_le_bytes());
        assert_eq!(StoreManifest::read(&first), Some(StoreManifest { epoch: 0, ..manifest }));
        first[3] ^= 1;
        assert_eq!(StoreManifest::read(&first), None);
    }
}
