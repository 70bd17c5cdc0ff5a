//! Verifies many Ed25519 signatures with one equation, in a quarter of the time of verifying each.
//!
//! A signature (R, S) of a message by the key A is valid if S·B - R - k·A = 0, where k = SHA-512(R, A, message). A
//! batch is valid if the sum of these terms is zero, each times a random weight of 128 bits. The terms are in a
//! group of prime order, so a sum with an invalid one is zero with a probability of 2⁻¹²⁷. What isn't in that
//! group: keys with a component of small order are no keys ([`KeyPoint`]). R may have such a component. The
//! signature is then not valid alone. It isn't in a batch either, because the weights are odd, except if several
//! such signatures in one batch cancel each other out. Making one takes the private key, and who has that could
//! sign the same message properly.
//!
//! A batch only accepts. What it doesn't accept is verified alone, which says why it is refused.

use aws_lc_rs::digest::{Context, SHA512};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use curve25519_dalek::{EdwardsPoint, Scalar};

use crate::secret::random_bytes;
use crate::token::point::{self, KeyPoint};

/// Maximum number of signatures in a batch. More of them would hardly be cheaper, and hold up a worker for longer.
pub(super) const MAX_BATCH: usize = 64;

/// The bytes of a weight.
const WEIGHT: usize = 16;

/// A signature of strict form that is to be verified in a batch.
pub(super) struct BatchMember {
    key: KeyPoint,
    r: [u8; 32],
    s: Scalar,
    k: Scalar,
}

impl BatchMember {
    /// Reads a signature; `None` if its form isn't strict.
    pub(super) fn new(key: &KeyPoint, message: &[u8], signature: &[u8]) -> Option<BatchMember> {
        let ([r, s], []) = signature.as_chunks() else { return None };
        if point::is_weak(r) {
            return None;
        }
        let s = Option::from(Scalar::from_canonical_bytes(*s))?;
        let mut hash = Context::new(&SHA512);
        hash.update(r);
        hash.update(key.encoded());
        hash.update(message);
        let k = Scalar::from_bytes_mod_order_wide(hash.finish().as_ref().try_into().ok()?);
        Some(BatchMember { key: *key, r: *r, s, k })
    }
}

/// Returns whether all of at most [`MAX_BATCH`] signatures are valid. If not, any of them may be.
pub(super) fn all_are_valid(members: &[&BatchMember]) -> bool {
    let Ok(random) = random_bytes::<{ MAX_BATCH * WEIGHT }>() else { return false };
    let (weights, _) = random.as_chunks::<WEIGHT>();
    if members.len() > weights.len() {
        return false;
    }
    let mut scalars = Vec::with_capacity(members.len().saturating_add(2));
    let mut points = Vec::with_capacity(members.len().saturating_add(2));
    let (mut base, mut keys) = (Scalar::ZERO, Vec::<(KeyPoint, Scalar)>::new());
    for (member, weight) in members.iter().zip(weights) {
        let weight = Scalar::from(u128::from_le_bytes(*weight) | 1);
        base -= weight * member.s;
        let k = weight * member.k;
        // There is usually one key, so its multiples are added up.
        match keys.iter_mut().find(|(key, _)| *key == member.key) {
            Some((_, sum)) => *sum += k,
            None => keys.push((member.key, k)),
        }
        scalars.push(weight);
        points.push(point::decode(member.r));
    }
    scalars.push(base);
    points.push(Some(ED25519_BASEPOINT_POINT));
    for (key, k) in keys {
        scalars.push(k);
        points.push(Some(*key.point()));
    }
    EdwardsPoint::optional_multiscalar_mul(scalars, points).is_some_and(|sum| sum.is_identity())
}
