//! Checks which 32 bytes may be a point of an Ed25519 key or signature (RFC 8032 section 5.1.3).
//!
//! The signature library decides whether a signature is valid. Before that, this refuses points with which
//! one signature is valid for many messages or keys, and encodings that aren't canonical. All inputs are
//! public, so constant time isn't necessary.

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::edwards::CompressedEdwardsY;

/// The ordinates of the eight points of small order, little-endian and canonical.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Returns whether an encoded point is of small order or not canonical.
pub(super) fn is_weak(encoded: &[u8; 32]) -> bool {
    let mut ordinate = *encoded;
    // The highest bit is the sign of the abscissa.
    if let Some(last) = ordinate.last_mut() {
        *last &= 0x7f;
    }
    SMALL_ORDER.contains(&ordinate) || !is_canonical(&ordinate)
}

/// Returns whether an ordinate without its sign bit is below p = 2²⁵⁵ - 19.
fn is_canonical(ordinate: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = ordinate;
    *last != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *first < 0xed
}

/// A point that may be a key: encoded canonically, on the curve, and a multiple of the base point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyPoint {
    encoded: [u8; 32],
    point: EdwardsPoint,
}

impl KeyPoint {
    /// Decodes a key. Takes as long as verifying a signature, so it is done once for each key.
    ///
    /// A key with a component of small order is refused, too: its holder could make signatures that are valid in
    /// a batch and not alone.
    pub(super) fn decode(encoded: [u8; 32]) -> Option<KeyPoint> {
        if is_weak(&encoded) {
            return None;
        }
        let point = decode(encoded)?;
        point.is_torsion_free().then_some(KeyPoint { encoded, point })
    }

    pub(super) const fn encoded(&self) -> &[u8; 32] {
        &self.encoded
    }

    pub(super) const fn point(&self) -> &EdwardsPoint {
        &self.point
    }
}

/// Returns the point of the curve with this encoding, if there is one.
pub(super) fn decode(encoded: [u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(encoded).decompress()
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::Scalar;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    use super::*;

    /// The public keys of RFC 8032 section 7.1.
    const KEYS: [&str; 5] = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    ];

    #[test]
    fn real_keys_are_keys_and_half_of_all_ordinates_are_not_on_the_curve() {
        for key in KEYS {
            let mut point = [0; 32];
            for (at, byte) in point.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap();
            }
            assert!(KeyPoint::decode(point).is_some_and(|key| *key.encoded() == point), "{key}");
        }
        let off = (0..64).filter(|byte| decode([*byte; 32]).is_none()).count();
        assert!((16..=48).contains(&off), "{off} of 64 are off the curve");
    }

    #[test]
    fn a_key_with_a_component_of_small_order_is_no_key() {
        for multiple in 1..20_u64 {
            let key = ED25519_BASEPOINT_POINT * Scalar::from(multiple);
            assert!(KeyPoint::decode(key.compress().0).is_some());
            for component in &EIGHT_TORSION[1..] {
                let mixed = (key + component).compress().0;
                assert!(!is_weak(&mixed) && decode(mixed).is_some());
                assert_eq!(KeyPoint::decode(mixed), None, "{multiple}");
            }
        }
    }

    #[test]
    fn points_of_small_order_and_other_spellings_are_weak() {
        for mut point in SMALL_ORDER {
            assert!(decode(point).is_some_and(|point| point.is_small_order()), "{point:x?}");
            assert!(is_weak(&point));
            point[31] |= 0x80;
            assert!(is_weak(&point));
        }
        let mut other = [0xff; 32];
        other[31] = 0x7f;
        for first in 0xed..=0xff {
            other[0] = first;
            assert!(is_weak(&other), "{first:x}");
        }
        other[0] = 0xeb;
        assert!(!is_weak(&other));
    }
}
