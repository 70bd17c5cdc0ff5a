//! The on-disk format of records in journal slots of a fixed size. In the database they are
//! [packed](crate::used_tokens::packed).
//!
//! The slots of older journals are half as long, and their leases contain less about the file; both formats
//! are read. Every slot has a CRC-32, so that a flipped byte is detected and never read as another record.
//! Integers are little-endian.

use crate::clock::Timestamp;
use crate::files::FileVersion;
use crate::files::identity::FileFingerprint;
use crate::id::Jti;
use crate::secret::Digest;
use crate::used_tokens::packed::{FIRST_LEASED, LEASED, REDEEMED, REVOKED, RecordReader, TIME, kind};
use crate::used_tokens::{Lease, Mark, UsedToken};

/// Size of a journal slot, in bytes. It divides the sector size, so that no slot spans two sectors.
pub(super) const SLOT: usize = 256;
/// Size of a slot in the first format, in bytes.
pub(super) const FIRST_SLOT: usize = 128;

/// Length of the random id of a store.
pub(super) type StoreId = [u8; 16];

/// One journal slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The use of the segment that wrote it; increases with every use.
    pub(super) generation: u64,
    /// The group commit within that use.
    pub(super) group: u64,
    /// The high-water mark of time when it was written.
    pub(super) mark: Timestamp,
    /// The record; without one, the slot only records the time.
    pub(super) used: Option<UsedToken>,
}

/// What was found in place of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundSlot {
    /// Only zeros: never written.
    Empty,
    /// An intact slot.
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
                    write.put(&lease.reserved.to_le_bytes());
                    write.put(&lease.active_at.secs().to_le_bytes());
                    write.put(&[u8::from(lease.trace.is_some())]);
                    if let Some(trace) = &lease.trace {
                        write.put(&trace.inode.to_le_bytes());
                        write.put(&trace.changed_ns.to_le_bytes());
                        write.put(trace.edges.as_bytes());
                    }
                }
            }
        }
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
    }

    /// Parses the bytes of a slot in either format.
    pub(super) fn read(store: &StoreId, bytes: &[u8]) -> FoundSlot {
        if bytes.iter().all(|byte| *byte == 0) {
            return FoundSlot::Empty;
        }
        Slot::parse(store, bytes).map_or(FoundSlot::Damaged, FoundSlot::Written)
    }

    fn parse(store: &StoreId, bytes: &[u8]) -> Option<Slot> {
        let mut read = RecordReader(bytes);
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
                    FIRST_LEASED | LEASED => {
                        let resume_key = Digest::from_bytes(read.take()?);
                        let until = read.time()?;
                        let version = FileVersion { len: read.u64()?, modified_ns: read.u64()? };
                        let (mut reserved, mut active_at, mut trace) = (0, marked_at, None);
                        if kind == LEASED {
                            (reserved, active_at) = (read.u64()?, read.time()?);
                            if read.flag()? {
                                let (inode, changed_ns) = (read.u64()?, read.u64()?);
                                trace = Some(FileFingerprint { inode, changed_ns, edges: read.edges()? });
                            }
                        }
                        let lease = Lease { resume_key, until, version, trace, reserved, active_at };
                        Mark::Redeemed(Some(lease))
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

/// Writes to a buffer from its start. Data that doesn't fit is dropped, which no caller allows.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some((head, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::used_tokens::packed::tests::any_used;

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

        /// A slot as the first format had it: half as long, and of a lease without what came later.
        #[test]
        fn a_slot_of_the_first_format_is_read(used in any_used(), generation: u64, group: u64) {
            let store = [7; 16];
            let mut slot = Slot { generation, group, mark: used.marked_at, used: Some(used) };
            let mut bytes = Vec::new();
            slot.append_to(&store, &mut bytes);
            let mut body = bytes[4..FIRST_SLOT].to_vec();
            if let Mark::Redeemed(Some(lease)) = used.mark {
                body[28] = FIRST_LEASED;
                body[117..].fill(0);
                let lease = Lease { trace: None, reserved: 0, active_at: used.marked_at, ..lease };
                slot.used = Some(UsedToken { mark: Mark::Redeemed(Some(lease)), ..used });
            }
            let bytes = [&crc32fast::hash(&body).to_le_bytes()[..], &body].concat();
            prop_assert_eq!(Slot::read(&store, &bytes), FoundSlot::Written(slot));
        }
    }
}
