//! Checks which 32 bytes may be a point of an Ed25519 key or signature (RFC 8032 section 5.1.3).
//!
//! The signature library decides whether a signature is valid. Before that, this refuses points with which
//! one signature is valid for many messages or keys, and encodings that aren't canonical. All inputs are
//! public, so constant time isn't necessary.

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

/// Returns whether a point of the curve has this ordinate: (y² - 1) / (d y² + 1) is a square.
pub(super) fn is_on_curve(encoded: &[u8; 32]) -> bool {
    let y = Element::from_bytes(encoded);
    let y_squared = y.times(y);
    let numerator = y_squared.minus_one();
    let denominator = y_squared.times(D).plus_one();
    // u/v is a square exactly if u·v is; v is never zero, because -1/d is not a square.
    !numerator.times(denominator).is_non_square()
}

/// d = -121665/121666.
const D: Element = Element([
    929_955_233_495_203,
    466_365_720_129_213,
    1_662_059_464_998_953,
    2_033_849_074_728_123,
    1_442_794_654_840_575,
]);

const MASK: u64 = (1 << 51) - 1;

/// A number modulo p in five limbs of 51 bits, least first; limbs may exceed 51 bits by a little.
#[derive(Clone, Copy)]
struct Element([u64; 5]);

impl Element {
    fn from_bytes(bytes: &[u8; 32]) -> Element {
        let mut limbs = [0_u64; 5];
        for (position, byte) in bytes.iter().enumerate() {
            for bit in 0..8 {
                let at = position * 8 + bit;
                // Bit 255 is the sign: there is no limb for it.
                if let Some(limb) = limbs.get_mut(at / 51) {
                    *limb |= u64::from(byte >> bit & 1) << (at % 51);
                }
            }
        }
        Element(limbs)
    }

    fn times(self, other: Element) -> Element {
        let wide = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let Element([a0, a1, a2, a3, a4]) = self;
        let Element([b0, b1, b2, b3, b4]) = other;
        // 2²⁵⁵ = 19, so what overflows the top limb comes back times 19.
        let (c1, c2, c3, c4) = (b1 * 19, b2 * 19, b3 * 19, b4 * 19);
        Element::carried([
            wide(a0, b0) + wide(a1, c4) + wide(a2, c3) + wide(a3, c2) + wide(a4, c1),
            wide(a0, b1) + wide(a1, b0) + wide(a2, c4) + wide(a3, c3) + wide(a4, c2),
            wide(a0, b2) + wide(a1, b1) + wide(a2, b0) + wide(a3, c4) + wide(a4, c3),
            wide(a0, b3) + wide(a1, b2) + wide(a2, b1) + wide(a3, b0) + wide(a4, c4),
            wide(a0, b4) + wide(a1, b3) + wide(a2, b2) + wide(a3, b1) + wide(a4, b0),
        ])
    }

    fn carried(mut limbs: [u128; 5]) -> Element {
        // Three rounds bring every limb below 2^51, whatever came in.
        for _ in 0..3 {
            let mut carry = 0;
            for limb in &mut limbs {
                let sum = *limb + carry;
                *limb = sum & u128::from(MASK);
                carry = sum >> 51;
            }
            if let Some(first) = limbs.first_mut() {
                *first += carry * 19;
            }
        }
        Element(limbs.map(|limb| u64::try_from(limb).unwrap_or(u64::MAX)))
    }

    fn plus_one(self) -> Element {
        let Element([first, rest @ ..]) = self;
        let [a, b, c, d] = rest;
        Element::carried([first + 1, a, b, c, d].map(u128::from))
    }

    fn minus_one(self) -> Element {
        // Adds p - 1, so that no result is negative.
        let Element([a, b, c, d, e]) = self;
        Element::carried([a + MASK - 19, b + MASK, c + MASK, d + MASK, e + MASK].map(u128::from))
    }

    /// Returns whether this is zero: carried limbs are then 0 or p.
    fn is_zero(self) -> bool {
        self.0 == [0; 5] || self.0 == [MASK - 18, MASK, MASK, MASK, MASK]
    }

    /// Euler's criterion: x^((p-1)/2) is -1.
    fn is_non_square(self) -> bool {
        let mut power = Element([1, 0, 0, 0, 0]);
        // (p - 1) / 2 = 2²⁵⁴ - 10: all of its 254 bits are ones, except bits 3 and 0.
        for bit in (0..254).rev() {
            power = power.times(power);
            if bit != 3 && bit != 0 {
                power = power.times(self);
            }
        }
        power.plus_one().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 section 5.1: the base point's ordinate is 4/5.
    const BASE: [u8; 32] = {
        let mut bytes = [0x66; 32];
        bytes[0] = 0x58;
        bytes
    };

    #[test]
    fn d_is_minus_121665_over_121666() {
        let mut sum = D.times(Element([121_666, 0, 0, 0, 0]));
        sum.0[0] += 121_665;
        assert!(Element::carried(sum.0.map(u128::from)).is_zero());
    }

    /// The public keys of RFC 8032 section 7.1.
    const KEYS: [&str; 5] = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    ];

    #[test]
    fn real_keys_are_on_the_curve_and_half_of_all_ordinates_are_not() {
        assert!(is_on_curve(&BASE) && !is_weak(&BASE));
        for key in KEYS {
            let mut point = [0; 32];
            for (at, byte) in point.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap();
            }
            assert!(is_on_curve(&point) && !is_weak(&point), "{key}");
        }
        let off = (0..64).filter(|byte| !is_on_curve(&[*byte; 32])).count();
        assert!((16..=48).contains(&off), "{off} of 64 are off the curve");
    }

    #[test]
    fn points_of_small_order_and_other_spellings_are_weak() {
        for mut point in SMALL_ORDER {
            assert!(is_on_curve(&point), "{point:x?}");
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
