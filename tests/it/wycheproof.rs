//! Project Wycheproof's vectors for JWS, JWK, Ed25519 and P-256, through the key ring and the signature
//! check. They are not in this repository, but in `../shared/vectors` or where `ONCELINK_VECTORS` says.

use std::io::Write;
use std::path::PathBuf;

use oncelink::token::parse::{TokenParts, decode};
use oncelink::token::{Algorithm, HmacSecret, KeyRing, TokenPart};
use serde_json::{Value, json};

use crate::token_vectors::keys::{b64, unhex};

const SIGNATURES: &str = "json_web_signature_test.json";

/// Marked valid although there is a `?` inside a part: no strict decoder accepts them.
const NOT_REALLY_VALID: [u64; 2] = [372, 373];

/// Marked invalid although they equal, byte for byte, the first of their group, which is valid.
const NOT_REALLY_INVALID: [u64; 2] = [367, 370];

/// The results for the cases of one file.
#[derive(Debug, Default, PartialEq)]
struct Count {
    accepted: usize,
    refused: usize,
    /// Valid, but with an algorithm that is not used here: the key ring refuses the key.
    foreign: usize,
}

/// The test groups of a file; `None`, with a printed note, if the vectors are missing.
#[expect(clippy::disallowed_methods, reason = "the environment says where the vectors are")]
fn groups(file: &str) -> Option<Vec<Value>> {
    let folder = std::env::var_os("ONCELINK_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors")),
        PathBuf::from,
    );
    let path = folder.join("wycheproof").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        let missing = format!("NOT RUN: {} is absent; set ONCELINK_VECTORS", path.display());
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        // Printed past the test harness, which would hide it.
        std::io::stderr().write_all(format!("\n*** {missing} ***\n").as_bytes()).unwrap();
        return None;
    };
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    match whole["testGroups"].take() {
        Value::Array(groups) => Some(groups),
        _ => panic!("{file} has no groups"),
    }
}

fn tests(group: &Value) -> &Vec<Value> {
    group["tests"].as_array().unwrap()
}

/// Signature cases: a key, and messages with signatures in hexadecimal.
fn bare_signatures(file: &str, alg: &str) -> Option<Count> {
    let mut count = Count::default();
    for group in groups(file)? {
        let mut jwk = match group["publicKey"]["pk"].as_str() {
            Some(point) => json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(unhex(point)) }),
            None => {
                // Uncompressed: 04, x, y.
                let point = unhex(group["publicKey"]["uncompressed"].as_str().unwrap());
                json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
            }
        };
        jwk["kid"] = json!("k");
        jwk["alg"] = json!(alg);
        let ring = KeyRing::from_jwks(&json!({ "keys": [jwk] }).to_string());
        if let Ok(ring) = &ring {
            same_in_batches(ring, &group);
        }
        for test in tests(&group) {
            let bytes = |member: &str| unhex(test[member].as_str().unwrap());
            let result = ring.as_ref().map_err(ToString::to_string).and_then(|ring| {
                ring.check_signature("k", &bytes("msg"), &bytes("sig")).map_err(|e| e.to_string())
            });
            let valid = test["result"] == "valid";
            assert_eq!(result.is_ok(), valid, "{file} {}: {result:?}", test["tcId"]);
            if valid { count.accepted += 1 } else { count.refused += 1 }
        }
    }
    Some(count)
}

/// Checks that the signatures of a group get the same verdicts in batches: the valid ones together, and each
/// other one among them.
fn same_in_batches(ring: &KeyRing, group: &Value) {
    let case = |test: &Value| ["msg", "sig"].map(|member| unhex(test[member].as_str().unwrap()));
    let (valid, others): (Vec<_>, Vec<_>) = tests(group).iter().partition(|test| test["result"] == "valid");
    let valid: Vec<_> = valid.into_iter().map(case).collect();
    let verdicts = |cases: &[[Vec<u8>; 2]]| {
        let signed: Vec<(&str, &[u8], &[u8])> =
            cases.iter().map(|[message, signature]| ("k", &message[..], &signature[..])).collect();
        ring.check_signatures(&signed)
    };
    for some in valid.chunks(64) {
        assert!(verdicts(some).iter().all(Result::is_ok));
    }
    for test in others {
        let mut cases: Vec<_> = valid.iter().take(4).cloned().collect();
        cases.push(case(test));
        let verdicts = verdicts(&cases);
        let (last, before) = verdicts.split_last().unwrap();
        assert!(last.is_err() && before.iter().all(Result::is_ok), "{}: {verdicts:?}", test["tcId"]);
    }
}

#[test]
fn ed25519_signatures_are_accepted_exactly_where_they_are_valid() {
    if let Some(count) = bare_signatures("ed25519_test.json", "EdDSA") {
        assert_eq!(count, Count { accepted: 88, refused: 63, foreign: 0 });
    }
}

#[test]
fn p256_signatures_are_accepted_exactly_where_they_are_valid() {
    if let Some(count) = bare_signatures("ecdsa_secp256r1_sha256_p1363_test.json", "ES256") {
        assert_eq!(count, Count { accepted: 173, refused: 89, foreign: 0 });
    }
}

/// The ring for a group's keys: shared secrets where all are symmetric, else a JWKS.
fn ring(group: &Value) -> Result<KeyRing, String> {
    let given = group.get("public").unwrap_or(&group["private"]);
    let set = if given.get("keys").is_some() { given.clone() } else { json!({ "keys": [given] }) };
    let keys = set["keys"].as_array().unwrap();
    if !keys.iter().all(|key| key["kty"] == "oct") {
        return KeyRing::from_jwks(&set.to_string()).map_err(|error| error.to_string());
    }
    keys.iter().try_fold(KeyRing::default(), |ring, key| {
        if key["alg"] != "HS256" {
            return Err("no HS256 secret".to_owned());
        }
        let bytes = decode(key["k"].as_str().unwrap(), TokenPart::Signature).map_err(|e| e.to_string())?;
        let secret = HmacSecret::new(key["kid"].as_str().unwrap(), &bytes).map_err(|e| e.to_string())?;
        ring.with_secret(secret).map_err(|error| error.to_string())
    })
}

/// Checks a JWS of these vectors: like a token, but without `typ` and with any payload.
fn check_jws(ring: &KeyRing, jws: &str) -> Result<(), String> {
    let text = |error: &dyn ToString| error.to_string();
    let parts = TokenParts::split(jws).map_err(|e| text(&e))?;
    let header = decode(parts.header, TokenPart::Header).map_err(|e| text(&e))?;
    decode(parts.claims, TokenPart::Claims).map_err(|e| text(&e))?;
    let signature = decode(parts.signature, TokenPart::Signature).map_err(|e| text(&e))?;
    let header: Value = serde_json::from_slice(&header).map_err(|e| text(&e))?;
    let members = header.as_object().ok_or("no object")?;
    if members.keys().any(|member| !["alg", "kid", "typ"].contains(&member.as_str())) {
        return Err("header member".to_owned());
    }
    let kid = header["kid"].as_str().ok_or("no kid")?;
    if header["alg"].as_str() != ring.algorithm(kid).map(Algorithm::name) {
        return Err("algorithm".to_owned());
    }
    ring.check_signature(kid, parts.signed.as_bytes(), &signature).map_err(|e| text(&e))
}

fn jws_cases(file: &str) -> Option<Count> {
    let mut count = Count::default();
    for group in groups(file)? {
        let ring = ring(&group);
        let given = group.get("public").unwrap_or(&group["private"]);
        let key = if given.get("keys").is_some() { &given["keys"][0] } else { given };
        let foreign = key["kty"] == "RSA"
            || key["crv"] == "P-521"
            || key["alg"].as_str().is_some_and(|alg| ["HS384", "HS512"].contains(&alg));
        for test in tests(&group) {
            let id = test["tcId"].as_u64().unwrap();
            let result = ring.clone().and_then(|ring| check_jws(&ring, test["jws"].as_str().unwrap()));
            let mut valid = test["result"] == "valid";
            if file == SIGNATURES && NOT_REALLY_VALID.contains(&id) {
                assert!(valid && test["jws"].as_str().unwrap().contains('?'), "{id} changed");
                valid = false;
            }
            if file == SIGNATURES && NOT_REALLY_INVALID.contains(&id) {
                assert!(!valid && test["jws"] == tests(&group)[0]["jws"], "{id} changed");
                valid = true;
            }
            if valid && foreign {
                assert!(ring.is_err(), "{file} {id}: the key's algorithm is not used here");
                count.foreign += 1;
                continue;
            }
            assert_eq!(result.is_ok(), valid, "{file} {id} ({}): {result:?}", test["comment"]);
            if valid { count.accepted += 1 } else { count.refused += 1 }
        }
    }
    Some(count)
}

#[test]
fn json_web_signatures_are_accepted_exactly_where_they_are_valid() {
    if let Some(count) = jws_cases(SIGNATURES) {
        assert_eq!(count, Count { accepted: 12, refused: 355, foreign: 34 });
    }
}

#[test]
fn json_web_keys_are_accepted_exactly_where_they_are_valid() {
    if let Some(count) = jws_cases("json_web_key_test.json") {
        assert_eq!(count, Count { accepted: 2, refused: 21, foreign: 3 });
    }
}
