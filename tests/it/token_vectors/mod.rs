//! Hostile tokens as data: `tests/vectors/tokens.json` has the expected result for each.

pub(crate) mod forge;
pub(crate) mod keys;

use std::collections::HashSet;
use std::time::Duration;

use oncelink::clock::Timestamp;
use oncelink::token::{
    HmacSecret, KeyRing, SignedDownload, TokenError, TokenRules, verify_action, verify_command,
    verify_download, verify_view,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use forge::Vector;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tokens.json");

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    about: String,
    issuer: String,
    audience: String,
    now: u64,
    fence: u64,
    leeway: u64,
    max_lifetime: u64,
    jwks: Value,
    /// For making more vectors by hand.
    private: Value,
    vectors: Vec<Vector>,
}

fn vectors() -> Vectors {
    serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap()
}

fn rules(vectors: &Vectors, audience: &str) -> TokenRules {
    TokenRules {
        issuer: vectors.issuer.clone(),
        audience: audience.to_owned(),
        leeway: Duration::from_secs(vectors.leeway),
        max_lifetime: Duration::from_secs(vectors.max_lifetime),
    }
}

pub(crate) fn download_rules() -> TokenRules {
    TokenRules {
        issuer: forge::ISSUER.to_owned(),
        audience: forge::AUDIENCE.to_owned(),
        leeway: Duration::from_secs(forge::LEEWAY),
        max_lifetime: Duration::from_secs(forge::MAX_LIFETIME),
    }
}

fn outcome(vectors: &Vectors, ring: &KeyRing, vector: &Vector) -> Result<(), TokenError> {
    let (now, fence) = (Timestamp::from_secs(vectors.now), Timestamp::from_secs(vectors.fence));
    let token = vector.text.token();
    match vector.to.as_str() {
        "download" => {
            verify_download(&token, ring, &rules(vectors, &vectors.audience), now, fence).map(|_| ())
        }
        // The web app itself accepts action tokens.
        "action" => verify_action(&token, ring, &rules(vectors, &vectors.issuer), now, fence).map(|_| ()),
        "command" => verify_command(&token, ring, &rules(vectors, &vectors.audience), now).map(|_| ()),
        "view" => verify_view(&token, ring, &rules(vectors, &vectors.audience), now, fence).map(|_| ()),
        other => panic!("there is no verifier {other}"),
    }
}

#[test]
fn every_vector_gets_its_verdict_for_its_reason() {
    let vectors = vectors();
    let secret = vectors.private[keys::HS_KID]["secret"].as_str().unwrap().as_bytes();
    let ring = KeyRing::from_jwks(&vectors.jwks.to_string())
        .unwrap()
        .with_secret(HmacSecret::new(keys::HS_KID, secret).unwrap())
        .unwrap();
    let mut wrong = Vec::new();
    for vector in &vectors.vectors {
        let (verdict, reason) = match outcome(&vectors, &ring, vector) {
            Ok(()) => ("good", "good".to_owned()),
            Err(error) if error.is_expired() => ("expired-token", error.reason()),
            Err(error) => ("invalid-token", error.reason()),
        };
        if (verdict, &reason) != (vector.verdict.as_str(), &vector.reason) {
            wrong.push(format!(
                "{}: {verdict} ({reason}), not {} ({})",
                vector.name, vector.verdict, vector.reason
            ));
        }
    }
    assert!(wrong.is_empty(), "{} vectors:\n{}", wrong.len(), wrong.join("\n"));
    let hostile = vectors.vectors.iter().filter(|vector| vector.verdict != "good").count();
    assert!(hostile >= 120, "only {hostile} hostile vectors");
    let names: HashSet<_> = vectors.vectors.iter().map(|vector| (&vector.name, &vector.to)).collect();
    assert_eq!(names.len(), vectors.vectors.len(), "a name occurs twice");
}

/// Each vector in a thread of its own, because after a forged one a thread verifies each alone for a second.
#[test]
fn every_vector_gets_the_same_verdict_in_a_batch() {
    let vectors = vectors();
    let (ring, good) = (keys::ring(), forge::good_token());
    for vector in &vectors.vectors {
        let token = vector.text.token();
        let together = std::thread::scope(|scope| {
            let batch = scope.spawn(|| {
                let tokens = [&good, &good, &token, &good, &token];
                let verified = tokens.map(|token| SignedDownload::verify_in_batch(token, &ring));
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(futures_util::future::join_all(verified))
            });
            batch.join().unwrap()
        });
        let alone = [&good, &good, &token, &good, &token].map(|token| SignedDownload::verify(token, &ring));
        assert_eq!(together, alone, "{}", vector.name);
    }
}

/// For a token that was already redeemed, everything is checked except its end.
#[test]
fn a_redeemed_token_is_checked_as_strictly_except_for_its_end() {
    let vectors = vectors();
    let (now, fence) = (Timestamp::from_secs(vectors.now), Timestamp::from_secs(vectors.fence));
    let (ring, rules) = (keys::ring(), download_rules());
    let mut ended = 0;
    for vector in vectors.vectors.iter().filter(|vector| vector.to == "download") {
        let token = vector.text.token();
        let first = verify_download(&token, &ring, &rules, now, fence);
        let again =
            SignedDownload::verify(&token, &ring).and_then(|signed| signed.redeemed(&rules, now, fence));
        match first {
            Err(TokenError::Expired { .. }) => {
                assert!(!matches!(again, Err(TokenError::Expired { .. })), "{}", vector.name);
                ended += usize::from(again.is_ok());
            }
            first => assert_eq!(again, first, "{}", vector.name),
        }
    }
    assert!(ended >= 2, "only {ended} expired tokens are otherwise good");
}

/// With `ONCELINK_WRITE_VECTORS` set, writes the file instead of comparing it.
#[test]
#[expect(clippy::disallowed_methods, reason = "set by hand to write a new file after a change")]
fn the_file_contains_what_the_forge_makes() {
    let made = Vectors {
        about: "Tokens and what must become of them. The keys are published here: use them nowhere else."
            .to_owned(),
        issuer: forge::ISSUER.to_owned(),
        audience: forge::AUDIENCE.to_owned(),
        now: forge::NOW,
        fence: forge::FENCE,
        leeway: forge::LEEWAY,
        max_lifetime: forge::MAX_LIFETIME,
        jwks: serde_json::from_str(&keys::jwks()).unwrap(),
        private: keys::private(),
        vectors: forge::vectors(),
    };
    if std::env::var_os("ONCELINK_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, format!("{}\n", serde_json::to_string_pretty(&made).unwrap())).unwrap();
    }
    let kept = vectors().vectors;
    assert_eq!(kept.len(), made.vectors.len());
    for (kept, made) in kept.iter().zip(&made.vectors) {
        // An ECDSA signature is different each time.
        if !made.name.contains("ES256") {
            assert_eq!(kept, made);
        }
    }
}

fn library_accepts(token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let key = jsonwebtoken::DecodingKey::from_ed_der(&keys::ed_public());
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap()
}

/// The check against points of small order is necessary: the library accepts this one.
#[test]
fn the_library_accepts_the_signature_with_a_point_of_small_order() {
    let good = forge::good_token();
    let (message, _) = good.rsplit_once('.').unwrap();
    assert!(library_accepts(&format!("{message}.{}", forge::SMALL_ORDER_SIGNATURE)));
}

/// Two checks refuse a number S that is too large: ours and the library's.
#[test]
fn the_library_refuses_a_malleable_signature() {
    let vectors = vectors().vectors;
    let malleable: Vec<_> = vectors.iter().filter(|vector| vector.name.contains("malleable")).collect();
    assert_eq!(malleable.len(), 2);
    for vector in malleable {
        assert!(!library_accepts(&vector.text.token()), "{}", vector.name);
    }
    assert!(library_accepts(&forge::good_token()));
}
