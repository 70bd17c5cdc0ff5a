//! The time to verify a token of about 300 bytes: ours compared with `jsonwebtoken::decode`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that meets the unexpected must end"
)]

#[path = "support/timing.rs"]
mod timing;

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use oncelink::clock::{Clock, Timestamp};
use oncelink::id::{FilePath, Jti};
use oncelink::token::claims::{CommonClaims, DownloadClaims};
use oncelink::token::{HmacSecret, KeyRing, SignedDownload, TokenKind, TokenRules, verify_download};
use oncelink::web::tokens::signer::{KeyType, Signer, rotate, sign_shared};
use serde_json::Value;

use crate::timing::{time, time_batches};

const ISSUER: &str = "https://app.example";
const AUDIENCE: &str = "https://dl.example";

struct Case {
    algorithm: Algorithm,
    token: String,
    ring: KeyRing,
    library_key: DecodingKey,
}

fn cases(now: Timestamp) -> Vec<Case> {
    let file: FilePath = "/books/我这一辈子.pdf".parse().unwrap();
    let common = CommonClaims {
        iss: ISSUER,
        aud: AUDIENCE,
        jti: Jti::from_bytes([7; 16]),
        iat: now,
        exp: now.plus(Duration::from_secs(3600)),
    };
    let claims = DownloadClaims {
        common,
        sub: "0d6cbd2a",
        file: Some(&file),
        zip: None,
        name: None,
        confirm: false,
        again: false,
        link: None,
        size: None,
        version: None,
        digest: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    for (key_type, algorithm) in [(KeyType::Ed25519, Algorithm::EdDSA), (KeyType::P256, Algorithm::ES256)] {
        let keys = folder.path().join(format!("{algorithm:?}"));
        rotate(&keys, key_type, now, Duration::from_secs(60)).unwrap();
        let signer = Signer::open(&keys, now).unwrap();
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&signer.jwks(now)).unwrap();
        cases.push(Case {
            algorithm,
            token: signer.sign(TokenKind::Download, &claims, now).unwrap(),
            ring: KeyRing::from_jwks(&signer.jwks(now)).unwrap(),
            library_key: DecodingKey::from_jwk(&set.keys[0]).unwrap(),
        });
    }
    let secret = b"a shared secret for benchmarks, of more than 32 bytes";
    let shared = HmacSecret::new("shared", secret).unwrap();
    cases.push(Case {
        algorithm: Algorithm::HS256,
        token: sign_shared(&shared, TokenKind::Download, &claims).unwrap(),
        ring: KeyRing::default().with_secret(shared).unwrap(),
        library_key: DecodingKey::from_secret(secret),
    });
    cases
}

fn main() {
    let now = Clock::wall().now();
    let rules = TokenRules {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        leeway: Duration::from_secs(5),
        max_lifetime: Duration::from_secs(604_800),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for case in cases(now) {
        let name = format!("verify {:?}, {} bytes", case.algorithm, case.token.len());
        time(&format!("{name}/ours"), || {
            verify_download(black_box(&case.token), &case.ring, &rules, now, Timestamp::EPOCH).unwrap()
        });
        if case.algorithm == Algorithm::EdDSA {
            for count in [1, 3, 8, 16, 64_u32] {
                let batch = || {
                    let verify = |_| SignedDownload::verify_in_batch(black_box(&case.token), &case.ring);
                    runtime.block_on(join_all((0..count).map(verify)))
                };
                time_batches(&format!("{name}/ours, {count} at once, each"), |tokens| {
                    let batches = tokens.div_ceil(u64::from(count));
                    let began = Instant::now();
                    for _ in 0..batches {
                        assert!(black_box(batch()).iter().all(Result::is_ok));
                    }
                    let verified = batches * u64::from(count);
                    began.elapsed().mul_f64(tokens as f64 / verified as f64)
                });
            }
        }
        let mut validation = Validation::new(case.algorithm);
        validation.leeway = 5;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        time(&format!("{name}/jsonwebtoken"), || {
            jsonwebtoken::decode::<Value>(black_box(&case.token), &case.library_key, &validation).unwrap()
        });
    }
}
