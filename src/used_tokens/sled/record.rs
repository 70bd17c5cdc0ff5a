//! How a record lies on disk: in a journal slot of fixed size, and packed in a block of the database.
//!
//! Every slot and every block carries a CRC-32, so that a flipped byte is found and never read as
//! another record. Integers are little-endian.

use crate::clock::Timestamp;
use crate::files::FileVersion;
use crate::id::Jti;
use crate::secret::Digest;
use crate::used_tokens::{Lease, Mark, UsedToken};

/// Bytes of a journal slot. It divides a disk's sector, so that no slot lies across two.
pub(super) const SLOT: usize = 128;

/// Random bytes that tell one store from another.
pub(super) type StoreId = [u8; 16];

const REDEEMED: u8 = 1;
const LEASED: u8 = 2;
const REVOKED: u8 = 3;
const TIME: u8 = 4;

/// One journal slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The use of the segment that wrote it; grows with every use.
    pub(super) generation: u64,
    /// The group commit within that use.
    pub(super) group: u64,
    /// The high-water mark of time when it was written.
    pub(super) mark: Timestamp,
    /// The record; without one, the slot only keeps the time.
    pub(super) used: Option<UsedToken>,
}

/// What was found where a slot should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundSlot {
    /// Only zeros: never written.
    Empty,
    /// A slot as it was written.
    Written(Slot),
    /// Neither.
    Damaged,
}

impl Slot {
    /// Appends the slot's [`SLOT`] bytes.
    pub(super) fn append_to(&self, store: &StoreId, bytes: &mut Vec<u8>) {
        let mut body = [0_u8; SLOT - 4];
        let mut write = Writer(&mut body);
        write.put(&store_tag(store));
        write.put(&self.generation.to_le_bytes());
        write.put(&self.group.to_le_bytes());
        write.put(&self.mark.secs().to_le_bytes());
        match &self.used {
            None => write.put(&[TIME]),
            Some(used) => {
                write.put(&[kind(used.mark)]);
                write.put(used.jti.as_bytes());
                write.put(&used.marked_at.secs().to_le_bytes());
                write.put(&used.forget_at.secs().to_le_bytes());
                if let Mark::Redeemed(Some(lease)) = &used.mark {
                    write.put(lease.resume_key.as_bytes());
                    write.put(&lease.until.secs().to_le_bytes());
                    write.put(&lease.version.len.to_le_bytes());
                    write.put(&lease.version.modified_ns.to_le_bytes());
                }
            }
        }
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
    }

    /// Reads the [`SLOT`] bytes of a slot.
    pub(super) fn read(store: &StoreId, bytes: &[u8]) -> FoundSlot {
        if bytes.iter().all(|byte| *byte == 0) {
            return FoundSlot::Empty;
        }
        Slot::parse(store, bytes).map_or(FoundSlot::Damaged, FoundSlot::Written)
    }

    fn parse(store: &StoreId, bytes: &[u8]) -> Option<Slot> {
        let mut read = Reader(bytes);
        if u32::from_le_bytes(read.take()?) != crc32fast::hash(read.0) || read.take()? != store_tag(store) {
            return None;
        }
        let generation = read.u64()?;
        let group = read.u64()?;
        let mark = read.time()?;
        let [kind] = read.take()?;
        let used = match kind {
            TIME => None,
            kind => {
                let jti = Jti::from_bytes(read.take()?);
                let (marked_at, forget_at) = (read.time()?, read.time()?);
                let mark = match kind {
                    REDEEMED => Mark::Redeemed(None),
                    REVOKED => Mark::Revoked,
                    LEASED => {
                        let resume_key = Digest::from_bytes(read.take()?);
                        let until = read.time()?;
                        let version = FileVersion { len: read.u64()?, modified_ns: read.u64()? };
                        Mark::Redeemed(Some(Lease { resume_key, until, version }))
                    }
                    _ => return None,
                };
                Some(UsedToken { jti, marked_at, forget_at, mark })
            }
        };
        Some(Slot { generation, group, mark, used })
    }
}

fn store_tag(store: &StoreId) -> [u8; 4] {
    let [a, b, c, d, ..] = *store;
    [a, b, c, d]
}

const fn kind(mark: Mark) -> u8 {
    match mark {
        Mark::Redeemed(None) => REDEEMED,
        Mark::Redeemed(Some(_)) => LEASED,
        Mark::Revoked => REVOKED,
    }
}

/// Packs records into a block; `number` is its key, which the CRC covers too, so that a block
/// found under another key is refused.
pub(super) fn pack_block(number: u32, records: &[UsedToken]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.len().saturating_mul(80).saturating_add(8));
    put_varint(&mut bytes, records.len() as u64);
    for used in records {
        bytes.push(kind(used.mark));
        bytes.extend_from_slice(used.jti.as_bytes());
        put_varint(&mut bytes, used.marked_at.secs());
        put_varint(&mut bytes, distance(used.marked_at, used.forget_at));
        if let Mark::Redeemed(Some(lease)) = &used.mark {
            bytes.extend_from_slice(lease.resume_key.as_bytes());
            put_varint(&mut bytes, distance(used.marked_at, lease.until));
            put_varint(&mut bytes, lease.version.len);
            bytes.extend_from_slice(&lease.version.modified_ns.to_le_bytes());
        }
    }
    let crc = block_crc(number, &bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a block; `None` when it is damaged.
pub(super) fn unpack_block(number: u32, bytes: &[u8]) -> Option<Vec<UsedToken>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != block_crc(number, body) {
        return None;
    }
    let mut read = Reader(body);
    let count = read.varint()?;
    let mut records = Vec::new();
    for _ in 0..count {
        let [kind] = read.take()?;
        let jti = Jti::from_bytes(read.take()?);
        let marked_at = Timestamp::from_secs(read.varint()?);
        let forget_at = read.time_from(marked_at)?;
        let mark = match kind {
            REDEEMED => Mark::Redeemed(None),
            REVOKED => Mark::Revoked,
            LEASED => {
                let resume_key = Digest::from_bytes(read.take()?);
                let until = read.time_from(marked_at)?;
                let version = FileVersion { len: read.varint()?, modified_ns: read.u64()? };
                Mark::Redeemed(Some(Lease { resume_key, until, version }))
            }
            _ => return None,
        };
        records.push(UsedToken { jti, marked_at, forget_at, mark });
    }
    read.0.is_empty().then_some(records)
}

fn block_crc(number: u32, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(body);
    crc.finalize()
}

/// The distance between two moments as a small number when they are near (zigzag).
const fn distance(from: Timestamp, to: Timestamp) -> u64 {
    let difference = to.secs().wrapping_sub(from.secs()).cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Fills a buffer from its start; what does not fit is left out, which no caller lets happen.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some((head, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

/// Takes values from the start of a buffer; `None` when it is too short.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp::from_secs)
    }

    fn time_from(&mut self, from: Timestamp) -> Option<Timestamp> {
        let zigzag = self.varint()?;
        let difference = (zigzag >> 1) ^ 0_u64.wrapping_sub(zigzag & 1);
        Some(Timestamp::from_secs(from.secs().wrapping_add(difference)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_used() -> impl Strategy<Value = UsedToken> {
        let lease = (any::<[u8; 32]>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
            |(key, until, len, modified_ns)| Lease {
                resume_key: Digest::from_bytes(key),
                until: Timestamp::from_secs(until),
                version: FileVersion { len, modified_ns },
            },
        );
        let mark = prop_oneof![Just(Mark::Revoked), proptest::option::of(lease).prop_map(Mark::Redeemed),];
        (any::<[u8; 16]>(), any::<u64>(), any::<u64>(), mark).prop_map(|(jti, marked, forget, mark)| {
            UsedToken {
                jti: Jti::from_bytes(jti),
                marked_at: Timestamp::from_secs(marked),
                forget_at: Timestamp::from_secs(forget),
                mark,
            }
        })
    }

    proptest! {
        #[test]
        fn a_slot_is_read_as_it_was_written_and_no_flipped_bit_is_overlooked(
            used in proptest::option::of(any_used()), generation: u64, group: u64, mark: u64, bit in 0..SLOT * 8,
        ) {
            let store = [7; 16];
            let slot = Slot { generation, group, mark: Timestamp::from_secs(mark), used };
            let mut bytes = Vec::new();
            slot.append_to(&store, &mut bytes);
            prop_assert_eq!(bytes.len(), SLOT);
            prop_assert_eq!(Slot::read(&store, &bytes), FoundSlot::Written(slot));
            prop_assert_eq!(Slot::read(&[8; 16], &bytes), FoundSlot::Damaged);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Slot::read(&store, &bytes), FoundSlot::Damaged);
        }

        #[test]
        fn a_block_is_read_as_it_was_packed_and_no_flipped_bit_is_overlooked(
            records in proptest::collection::vec(any_used(), 1..9), number: u32, place: proptest::sample::Index,
        ) {
            let mut bytes = pack_block(number, &records);
            prop_assert_eq!(unpack_block(number, &bytes), Some(records));
            prop_assert_eq!(unpack_block(number.wrapping_add(1), &bytes), None);
            let bit = place.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unpack_block(number, &bytes), None);
        }
    }
}
