//! Vectors that attack signatures.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;

use crate::token_vectors::forge::{Claims, Forge, ec, ed, ed_header, good_token, header, hs};
use crate::token_vectors::keys::{EC_KID, ED_KID, HS_KID, SECRET, b64, ed_signing_with, signed, unhex};

/// Created once with R = the neutral point and S = h·a: it satisfies the equation of RFC 8032, so only the
/// check against points of small order refuses it.
pub(crate) const SMALL_ORDER_SIGNATURE: &str =
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQFCGhXuNKdwxNOsmHw3Mu3dp_K6tMPkbvGW4ECjzoBA";

pub(super) fn signatures(forge: &mut Forge) {
    let good = good_token();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = decode(signature);
    let with = |bytes: &[u8]| format!("{message}.{}", b64(bytes));
    let flip = |at: usize, bit: u8| {
        let mut changed = bytes.clone();
        changed[at] ^= bit;
        with(&changed)
    };
    forge.download("signature: none", format!("{message}."), "signature-length");
    forge.download("signature: one byte", with(&bytes[..1]), "signature-length");
    forge.download("signature: R alone", with(&bytes[..32]), "signature-length");
    forge.download("signature: a byte short", with(&bytes[..63]), "signature-length");
    forge.download("signature: a byte long", with(&[&bytes[..], &[0]].concat()), "signature-length");
    forge.download("signature: twice", with(&[&bytes[..], &bytes[..]].concat()), "signature-length");
    forge.download(
        "signature: in hexadecimal",
        {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{message}.{hex}")
        },
        "signature-length",
    );
    forge.download("signature: first bit", flip(0, 1), "bad-signature");
    forge.download("signature: last bit of R", flip(31, 0x80), "bad-signature");
    forge.download("signature: first bit of S", flip(32, 1), "bad-signature");
    forge.download("signature: last bit of S", flip(63, 0x80), "signature-range");
    forge.download("signature: S above the order by its bits", flip(63, 0x20), "signature-range");
    forge.download(
        "signature: malleable, S + L",
        {
            let mut changed = bytes.clone();
            add_order(&mut changed[32..], 1);
            with(&changed)
        },
        "signature-range",
    );
    forge.download(
        "signature: malleable, S + 8 L",
        {
            let mut changed = bytes.clone();
            add_order(&mut changed[32..], 8);
            with(&changed)
        },
        "signature-range",
    );
    forge.download("signature: all zero", with(&[0; 64]), "signature-point");
    forge.download("signature: all ones", with(&[0xff; 64]), "signature-point");
    forge.download(
        "signature: R neutral, S zero",
        {
            let mut changed = [0; 64];
            changed[0] = 1;
            with(&changed)
        },
        "signature-point",
    );
    forge.download(
        "signature: R of small order, and the equation holds",
        format!("{message}.{SMALL_ORDER_SIGNATURE}"),
        "signature-point",
    );
    for (name, point) in [
        ("0", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("1 with the sign bit", "0100000000000000000000000000000000000000000000000000000000000080"),
        ("-1", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ("of order 8, other", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        ("p, not canonical", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("p + 1, not canonical", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("2^255 - 1", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ] {
        forge.download(
            format!("signature: R is {name}"),
            with(&[&unhex(point)[..], &bytes[32..]].concat()),
            "signature-point",
        );
    }
    let stranger = ed_signing_with(&[7; 32]);
    forge.download(
        "signed by a stranger",
        signed(ed_header(), Claims::download().json(), &stranger, Algorithm::EdDSA),
        "bad-signature",
    );
    let other = ed(ed_header(), Claims::download().with("file", r#""/books/b.pdf""#).json());
    let (_, others) = other.rsplit_once('.').unwrap();
    forge.download("signature of another token", format!("{message}.{others}"), "bad-signature");
    let head = message.split_once('.').unwrap().0;
    let claims = b64(Claims::download().with("file", r#""/books/secret.pdf""#).json());
    forge.download("claims changed", format!("{head}.{claims}.{signature}"), "bad-signature");
    forge.download(
        "claims that are not JSON, bad signature",
        format!("{head}.AAAA.{signature}"),
        "bad-signature",
    );
    let reordered = b64(format!(r#"{{"kid":"{ED_KID}","alg":"EdDSA","typ":"dl+jwt"}}"#));
    let payload = message.split_once('.').unwrap().1;
    forge.download("header reordered", format!("{reordered}.{payload}.{signature}"), "bad-signature");
    let hmac = hs(header("HS256", HS_KID, "dl+jwt"), Claims::download().json(), SECRET);
    let (message, signature) = hmac.rsplit_once('.').unwrap();
    let bytes = decode(signature);
    forge.download("HMAC: none", format!("{message}."), "signature-length");
    forge.download("HMAC: a byte short", format!("{message}.{}", b64(&bytes[..31])), "signature-length");
    forge.download(
        "HMAC: 64 bytes",
        format!("{message}.{}", b64([&bytes[..], &bytes[..]].concat())),
        "signature-length",
    );
    forge.download("HMAC: zero", format!("{message}.{}", b64([0; 32])), "bad-signature");
}

/// The order of P-256.
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

pub(super) fn ecdsa_signatures(forge: &mut Forge) {
    let good = ec(header("ES256", EC_KID, "dl+jwt"), Claims::download().json());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = decode(signature);
    let (r, s) = bytes.split_at(32);
    let with = |parts: &[&[u8]]| format!("{message}.{}", b64(parts.concat()));
    let (n, zero) = (unhex(N), [0_u8; 32]);
    forge.download("ES256: r is 0", with(&[&zero, s]), "signature-range");
    forge.download("ES256: s is 0", with(&[r, &zero]), "signature-range");
    forge.download("ES256: both are 0", with(&[&zero, &zero]), "signature-range");
    forge.download("ES256: r is n", with(&[&n, s]), "signature-range");
    forge.download("ES256: s is n", with(&[r, &n]), "signature-range");
    forge.download("ES256: all ones", with(&[&[0xff; 64]]), "signature-range");
    forge.download("ES256: r and s swapped", with(&[s, r]), "bad-signature");
    forge.download(
        "ES256: as DER",
        {
            let integer = |number: &[u8]| [&[2, 33, 0][..], number].concat();
            with(&[&[0x30, 70], &integer(r), &integer(s)])
        },
        "signature-length",
    );
    forge.download("ES256: a byte short", with(&[&bytes[..63]]), "signature-length");
    forge.download("ES256: a zero before r", with(&[&[0], &bytes]), "signature-length");
    forge.download("ES256: P-384's length", with(&[&bytes, &zero]), "signature-length");
    // For ECDSA both s and n - s are valid. That lets nothing in twice, because the jti is what is used up.
    forge.download("ES256: n - s", with(&[r, &subtract(&n, s)]), "good");
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Adds `times` the order of the Ed25519 base point to a little-endian number.
fn add_order(number: &mut [u8], times: u16) {
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (digit, add) in number.iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(add) * times + carry;
        *digit = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
}

/// `from - what`, big-endian.
fn subtract(from: &[u8], what: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits: Vec<u8> = from
        .iter()
        .zip(what)
        .rev()
        .map(|(from, what)| {
            let difference = i16::from(*from) - i16::from(*what) - borrow;
            borrow = i16::from(difference < 0);
            u8::try_from(difference & 0xff).unwrap()
        })
        .collect();
    digits.reverse();
    digits
}
