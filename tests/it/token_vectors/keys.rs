//! The fixed keys of the token vectors. They are published here and must not be used for anything else.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use oncelink::token::{HmacSecret, KeyRing};

pub(crate) const ED_KID: &str = "test-ed25519";
pub(crate) const EC_KID: &str = "test-p256";
pub(crate) const HS_KID: &str = "test-shared";
pub(crate) const SECRET: &[u8] = b"a shared secret for tests and for nothing else";

/// RFC 8032 section 7.1, test 1.
const ED_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const ED_PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// RFC 6979 appendix A.2.5.
const EC_PRIVATE: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
const EC_X: &str = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
const EC_Y: &str = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn ed_public() -> Vec<u8> {
    unhex(ED_PUBLIC)
}

pub(crate) fn ed_signing() -> EncodingKey {
    ed_signing_with(&unhex(ED_SEED))
}

/// PKCS#8 of an Ed25519 seed (RFC 8410 section 7).
pub(crate) fn ed_signing_with(seed: &[u8]) -> EncodingKey {
    let mut pkcs8 = unhex("302e020100300506032b657004220420");
    pkcs8.extend_from_slice(seed);
    EncodingKey::from_ed_der(&pkcs8)
}

pub(crate) fn ec_signing() -> EncodingKey {
    let public = [vec![4], unhex(EC_X), unhex(EC_Y)].concat();
    let pair = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &unhex(EC_PRIVATE),
        &public,
    );
    EncodingKey::from_ec_der(pair.unwrap().to_pkcs8v1().unwrap().as_ref())
}

pub(crate) fn jwks() -> String {
    format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{}","kid":"{ED_KID}","alg":"EdDSA","use":"sig"}},{{"kty":"EC","crv":"P-256","x":"{}","y":"{}","kid":"{EC_KID}","alg":"ES256","use":"sig"}}]}}"#,
        b64(unhex(ED_PUBLIC)),
        b64(unhex(EC_X)),
        b64(unhex(EC_Y)),
    )
}

/// The private keys, for people who want to make more vectors by hand.
pub(crate) fn private() -> serde_json::Value {
    serde_json::json!({
        ED_KID: { "seed": ED_SEED }, EC_KID: { "d": EC_PRIVATE },
        HS_KID: { "secret": str::from_utf8(SECRET).unwrap() },
    })
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::from_jwks(&jwks()).unwrap().with_secret(HmacSecret::new(HS_KID, SECRET).unwrap()).unwrap()
}

/// What an attacker might use as an HMAC secret: the public key in every encoding.
pub(crate) fn ed_public_spellings() -> Vec<(&'static str, Vec<u8>)> {
    let der = [unhex("302a300506032b6570032100"), ed_public()].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(ed_public()));
    vec![
        ("PEM", pem.clone().into_bytes()),
        ("PEM without its last line break", pem.trim_end().as_bytes().to_vec()),
        ("DER", der),
        ("JWK", jwk.into_bytes()),
        ("JWKS", jwks().into_bytes()),
        ("raw bytes", ed_public()),
        ("base64url", b64(ed_public()).into_bytes()),
        ("nothing", Vec::new()),
    ]
}

/// Signs a token with this header and these claims.
pub(crate) fn signed(
    header: impl AsRef<[u8]>,
    claims: impl AsRef<[u8]>,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}
