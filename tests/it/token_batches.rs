//! Signatures that are verified in batches get the verdicts that they get alone: good ones, forged ones, and those
//! that only the holder of a private key can make.

use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::signature::Ed25519KeyPair;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use oncelink::token::{KeyRing, PublicKey};
use proptest::prelude::*;

/// A private key whose signatures can be made by hand.
struct Signer {
    seed: [u8; 32],
    /// RFC 8032 section 5.1.5.
    scalar: Scalar,
    public: [u8; 32],
}

impl Signer {
    fn new(seed: u8) -> Signer {
        let seed = [seed; 32];
        let mut scalar: [u8; 32] = digest(&SHA512, &seed).as_ref()[..32].try_into().unwrap();
        scalar[0] &= 248;
        scalar[31] = scalar[31] & 127 | 64;
        let scalar = Scalar::from_bytes_mod_order(scalar);
        Signer { seed, scalar, public: EdwardsPoint::mul_base(&scalar).compress().0 }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let pair = Ed25519KeyPair::from_seed_and_public_key(&self.seed, &self.public).unwrap();
        pair.sign(message).as_ref().to_vec()
    }

    /// A signature with this R = r·B + `component`, which fulfills 8·(S·B - R - k·A) = 0.
    fn sign_with(&self, message: &[u8], r: u64, component: EdwardsPoint) -> Vec<u8> {
        let r = Scalar::from(r);
        let point = (EdwardsPoint::mul_base(&r) + component).compress().0;
        let hash = digest(&SHA512, &[&point[..], &self.public, message].concat());
        let k = Scalar::from_bytes_mod_order_wide(hash.as_ref().try_into().unwrap());
        [point, (r + k * self.scalar).to_bytes()].concat()
    }
}

fn signers() -> [(&'static str, Signer); 2] {
    [("one", Signer::new(1)), ("two", Signer::new(2))]
}

fn ring() -> KeyRing {
    signers().into_iter().fold(KeyRing::default(), |ring, (kid, signer)| {
        ring.with_key(kid, PublicKey::ed25519(signer.public).unwrap()).unwrap()
    })
}

/// S + L, where it fits: the same number modulo the order.
fn unreduced(s: &[u8]) -> Vec<u8> {
    let order = (-Scalar::ONE).to_bytes();
    let mut carry = 1_u16;
    let sums = s.iter().zip(order).map(|(a, b)| {
        carry += u16::from(*a) + u16::from(b);
        let byte = carry as u8;
        carry >>= 8;
        byte
    });
    sums.collect()
}

/// What is done to a signature.
#[derive(Clone, Debug)]
enum Made {
    Properly,
    BitFlipped(usize),
    OfAnotherMessage,
    ByAnotherKey,
    /// R gets a component of small order, and S stays.
    ComponentInR(usize),
    /// R is of small order, in either spelling of its sign.
    SmallR(usize, bool),
    /// R isn't canonical: p + n.
    LargeR(u8),
    LargeS,
    Random(Vec<u8>),
    /// R is one of 32 random bytes, half of which aren't on the curve.
    OffTheCurve([u8; 32]),
    /// By hand, and properly.
    ByHand(u64),
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        12 => Just(Made::Properly),
        1 => (0..512_usize).prop_map(Made::BitFlipped),
        1 => Just(Made::OfAnotherMessage),
        1 => Just(Made::ByAnotherKey),
        1 => (1..8_usize).prop_map(Made::ComponentInR),
        1 => (0..8_usize, any::<bool>()).prop_map(|(n, sign)| Made::SmallR(n, sign)),
        1 => (0..19_u8).prop_map(Made::LargeR),
        1 => Just(Made::LargeS),
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Made::Random),
        1 => any::<[u8; 32]>().prop_map(Made::OffTheCurve),
        1 => (1..u64::MAX).prop_map(Made::ByHand),
    ]
}

fn signature(how: &Made, signer: &Signer, other: &Signer, message: &[u8]) -> Vec<u8> {
    let mut proper = signer.sign(message);
    match how {
        Made::Properly => {}
        Made::BitFlipped(bit) => proper[bit / 8] ^= 1 << (bit % 8),
        Made::OfAnotherMessage => return signer.sign(&[message, b"."].concat()),
        Made::ByAnotherKey => return other.sign(message),
        Made::ComponentInR(n) => {
            let r = CompressedEdwardsY(proper[..32].try_into().unwrap()).decompress().unwrap();
            proper[..32].copy_from_slice(&(r + EIGHT_TORSION[*n]).compress().0);
        }
        Made::SmallR(n, sign) => {
            // S = k·a: with R of small order, eight times the equation holds.
            let mut small = signer.sign_with(message, 0, EIGHT_TORSION[*n]);
            small[31] ^= u8::from(*sign) << 7;
            return small;
        }
        Made::LargeR(n) => {
            proper[0] = 0xed + n.min(&18);
            proper[1..31].fill(0xff);
            proper[31] = 0x7f;
        }
        Made::LargeS => {
            let large = unreduced(&proper[32..]);
            proper[32..].copy_from_slice(&large);
        }
        Made::Random(bytes) => return bytes.clone(),
        Made::OffTheCurve(r) => proper[..32].copy_from_slice(r),
        Made::ByHand(r) => return signer.sign_with(message, *r, EIGHT_TORSION[0]),
    }
    proper
}

/// Checks that a batch has the verdicts of its signatures alone; returns how many are valid.
fn same_verdicts(ring: &KeyRing, signed: &[(&str, Vec<u8>, Vec<u8>)]) -> usize {
    let signed: Vec<(&str, &[u8], &[u8])> =
        signed.iter().map(|(kid, message, signature)| (*kid, &message[..], &signature[..])).collect();
    let alone: Vec<_> = signed
        .iter()
        .map(|(kid, message, signature)| ring.check_signature(kid, message, signature))
        .collect();
    assert_eq!(ring.check_signatures(&signed), alone);
    alone.iter().filter(|verdict| verdict.is_ok()).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_accepts_what_is_accepted_alone_and_nothing_else(
        made in prop::collection::vec((made(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 1..20),
        component in prop::option::of((any::<prop::sample::Index>(), 1..8_usize, 1..u64::MAX)),
    ) {
        let [(one, first), (two, second)] = signers();
        let mut signed: Vec<_> = made
            .iter()
            .map(|(how, by_second, message)| match by_second {
                false => (one, message.clone(), signature(how, &first, &second, message)),
                true => (two, message.clone(), signature(how, &second, &first, message)),
            })
            .collect();
        // One that only the holder of a private key can make, with a component of small order in R.
        if let Some((at, n, r)) = component {
            let (kid, message, signature) = at.get_mut(&mut signed);
            let signer = if *kid == one { &first } else { &second };
            *signature = signer.sign_with(message, r, EIGHT_TORSION[n]);
        }
        let valid = same_verdicts(&ring(), &signed);
        let proper = made.iter().filter(|(how, _, _)| matches!(how, Made::Properly | Made::ByHand(_))).count();
        prop_assert!(valid <= proper && valid + usize::from(component.is_some()) >= proper);
    }

    #[test]
    fn a_batch_of_good_signatures_is_valid_whatever_its_size(count in 0..=64_usize, seed in any::<u64>()) {
        let [(one, first), (two, second)] = signers();
        let signed: Vec<_> = (0..count)
            .map(|n| {
                let message = (seed ^ n as u64).to_le_bytes().to_vec();
                match n % 3 {
                    0 => (two, message.clone(), second.sign(&message)),
                    _ => (one, message.clone(), first.sign(&message)),
                }
            })
            .collect();
        prop_assert_eq!(same_verdicts(&ring(), &signed), count);
    }
}

/// Weights that are even would let every second such signature pass.
#[test]
fn a_component_of_small_order_in_r_never_passes_among_good_signatures() {
    let [(one, signer), _] = signers();
    let ring = ring();
    for component in &EIGHT_TORSION[1..] {
        for round in 1..40_u64 {
            let mut signed: Vec<_> = (0..4_u8).map(|n| (one, vec![n; 300], signer.sign(&[n; 300]))).collect();
            let message = round.to_le_bytes().to_vec();
            let odd = signer.sign_with(&message, round, *component);
            signed.push((one, message, odd));
            assert_eq!(same_verdicts(&ring, &signed), 4);
        }
    }
}

#[test]
fn a_key_with_a_component_of_small_order_is_refused() {
    let point = CompressedEdwardsY(Signer::new(1).public).decompress().unwrap();
    for component in &EIGHT_TORSION[1..] {
        assert!(PublicKey::ed25519((point + component).compress().0).is_err());
        assert!(PublicKey::ed25519(component.compress().0).is_err());
    }
    assert!(PublicKey::ed25519(point.compress().0).is_ok());
}
