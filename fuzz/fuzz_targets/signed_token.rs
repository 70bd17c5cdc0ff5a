//! Any header and claims, properly signed with the shared secret: what we accept, the
//! `jsonwebtoken` library accepts too. The input's first line is the header, the rest the claims.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use libfuzzer_sys::fuzz_target;
use oncelink::clock::Timestamp;
use oncelink::token::{KeyRing, Rules, SharedSecret, verify_download};

const SECRET: &[u8] = b"a shared secret for tests and for nothing else";

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::default().with_secret(SharedSecret::new("k", SECRET).unwrap()).unwrap()
});

fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (first, claims) = data.split_at(end);
    let header: &[u8] = if first.is_empty() { br#"{"alg":"HS256","kid":"k","typ":"dl+jwt"}"# } else { first };
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    let token = format!("{message}.{signature}");
    let rules = Rules {
        issuer: "https://app.example".to_owned(),
        audience: "https://dl.example".to_owned(),
        leeway: Duration::from_secs(5),
        max_lifetime: Duration::from_secs(604_800),
    };
    let now = Timestamp::from_secs(1_800_000_000);
    if verify_download(&token, &RING, &rules, now, Timestamp::EPOCH).is_ok() {
        let mut validation = Validation::new(Algorithm::HS256);
        // The library reads the machine's clock, which is not ours here.
        validation.validate_exp = false;
        validation.set_audience(&[&rules.audience]);
        validation.set_issuer(&[&rules.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        let key = DecodingKey::from_secret(SECRET);
        assert!(jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).is_ok());
    }
});
