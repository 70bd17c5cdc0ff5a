//! Records packed into few bytes: many in a block of sled's database, or a single one in Redis.
//!
//! Integers are little-endian or of variable length, and times are relative. Each block has a CRC-32, so that a
//! flipped byte is detected and never read as another record.

use crate::clock::Timestamp;
use crate::files::identity::FileFingerprint;
use crate::files::{EdgeDigest, FileVersion};
use crate::id::Jti;
use crate::secret::Digest;
use crate::used_tokens::{Lease, Mark, UsedToken};

pub(super) const REDEEMED: u8 = 1;
/// A lease in the first format of sled's records; only read.
pub(super) const FIRST_LEASED: u8 = 2;
pub(super) const REVOKED: u8 = 3;
/// A slot of sled's journal that only records the time.
pub(super) const TIME: u8 = 4;
pub(super) const LEASED: u8 = 5;

pub(super) const fn kind(mark: Mark) -> u8 {
    match mark {
        Mark::Redeemed(None) => REDEEMED,
        Mark::Redeemed(Some(_)) => LEASED,
        Mark::Revoked => REVOKED,
    }
}

/// Packs records into a block. `number` is its key, which the CRC includes, so that a block with another key
/// is refused.
pub(super) fn pack_block(number: u32, records: &[UsedToken]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(records.len().saturating_mul(110).saturating_add(8));
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
            put_varint(&mut bytes, lease.reserved);
            put_varint(&mut bytes, distance(used.marked_at, lease.active_at));
            bytes.push(u8::from(lease.trace.is_some()));
            if let Some(trace) = &lease.trace {
                put_varint(&mut bytes, trace.inode);
                bytes.extend_from_slice(&trace.changed_ns.to_le_bytes());
                bytes.extend_from_slice(trace.edges.as_bytes());
            }
        }
    }
    let crc = block_crc(number, &bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Parses a block; `None` if it is damaged.
pub(super) fn unpack_block(number: u32, bytes: &[u8]) -> Option<Vec<UsedToken>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != block_crc(number, body) {
        return None;
    }
    let mut read = RecordReader(body);
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
            FIRST_LEASED | LEASED => {
                let resume_key = Digest::from_bytes(read.take()?);
                let until = read.time_from(marked_at)?;
                let version = FileVersion { len: read.varint()?, modified_ns: read.u64()? };
                let (mut reserved, mut active_at, mut trace) = (0, marked_at, None);
                if kind == LEASED {
                    (reserved, active_at) = (read.varint()?, read.time_from(marked_at)?);
                    if read.flag()? {
                        let (inode, changed_ns) = (read.varint()?, read.u64()?);
                        trace = Some(FileFingerprint { inode, changed_ns, edges: read.edges()? });
                    }
                }
                let lease = Lease { resume_key, until, version, trace, reserved, active_at };
                Mark::Redeemed(Some(lease))
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

/// Encodes the distance between two times, as a small number if they are close (zigzag).
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

/// Reads values from the start of a buffer; `None` if it is too short.
pub(super) struct RecordReader<'a>(pub(super) &'a [u8]);

impl RecordReader<'_> {
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

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.take()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    pub(super) fn edges(&mut self) -> Option<EdgeDigest> {
        self.take().map(EdgeDigest::from_bytes)
    }

    pub(super) fn time_from(&mut self, from: Timestamp) -> Option<Timestamp> {
        let zigzag = self.varint()?;
        let difference = (zigzag >> 1) ^ 0_u64.wrapping_sub(zigzag & 1);
        Some(Timestamp::from_secs(from.secs().wrapping_add(difference)))
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
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
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::used_tokens) fn any_used() -> impl Strategy<Value = UsedToken> {
        let trace = (any::<u64>(), any::<u64>(), any::<[u8; 8]>()).prop_map(|(inode, changed_ns, edges)| {
            FileFingerprint { inode, changed_ns, edges: EdgeDigest::from_bytes(edges) }
        });
        let lease = (any::<[u8; 32]>(), any::<[u64; 5]>(), proptest::option::of(trace)).prop_map(
            |(key, [until, len, modified_ns, reserved, active_at], trace)| Lease {
                resume_key: Digest::from_bytes(key),
                until: Timestamp::from_secs(until),
                version: FileVersion { len, modified_ns },
                trace,
                reserved,
                active_at: Timestamp::from_secs(active_at),
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

    #[test]
    fn a_block_of_the_first_format_is_read() {
        let (jti, key) = ([3; 16], [4; 32]);
        let mut bytes = vec![1, FIRST_LEASED];
        bytes.extend_from_slice(&jti);
        put_varint(&mut bytes, 1_000);
        put_varint(&mut bytes, distance(Timestamp::from_secs(1_000), Timestamp::from_secs(5_000)));
        bytes.extend_from_slice(&key);
        put_varint(&mut bytes, distance(Timestamp::from_secs(1_000), Timestamp::from_secs(4_000)));
        put_varint(&mut bytes, 77);
        bytes.extend_from_slice(&123_u64.to_le_bytes());
        let crc = block_crc(9, &bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let lease = Lease {
            resume_key: Digest::from_bytes(key),
            until: Timestamp::from_secs(4_000),
            version: FileVersion { len: 77, modified_ns: 123 },
            trace: None,
            reserved: 0,
            active_at: Timestamp::from_secs(1_000),
        };
        let used = UsedToken {
            jti: Jti::from_bytes(jti),
            marked_at: Timestamp::from_secs(1_000),
            forget_at: Timestamp::from_secs(5_000),
            mark: Mark::Redeemed(Some(lease)),
        };
        assert_eq!(unpack_block(9, &bytes), Some(vec![used]));
    }

    proptest! {
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
