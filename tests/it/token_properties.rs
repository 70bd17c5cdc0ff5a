//! Properties of any token: the verifier returns, accepts only what was signed, and accepts nothing that the
//! `jsonwebtoken` library would refuse.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use oncelink::clock::{Clock, Timestamp};
use oncelink::token::{TokenRules, inspect, verify_action, verify_command, verify_download};
use proptest::prelude::*;

use crate::token_vectors::download_rules;
use crate::token_vectors::forge::{
    AUDIENCE, Claims, FENCE, ISSUER, NOW, ec, ed, ed_header, good_token, header, hs,
};
use crate::token_vectors::keys::{EC_KID, ED_KID, HS_KID, SECRET, b64, ed_public, ring};

fn is_good(token: &str) -> bool {
    let (now, fence) = (Timestamp::from_secs(NOW), Timestamp::from_secs(FENCE));
    let (ring, rules) = (ring(), download_rules());
    // None of these may panic.
    let _ = inspect(token);
    let action = verify_action(token, &ring, &rules, now, fence).is_ok();
    let command = verify_command(token, &ring, &rules, now).is_ok();
    action || command || verify_download(token, &ring, &rules, now, fence).is_ok()
}

/// A JSON value that is sometimes the right one and sometimes hostile.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        ".{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#"["x"]"#.to_owned()),
        Just("{}".to_owned()),
        ".{0,6}",
    ]
}

fn signers() -> impl Strategy<Value = fn(&str, &str) -> String> {
    let with_ed: fn(&str, &str) -> String = |header, claims| ed(header, claims);
    let with_ec: fn(&str, &str) -> String = |header, claims| ec(header, claims);
    let with_hs: fn(&str, &str) -> String = |header, claims| hs(header, claims, SECRET);
    prop_oneof![Just(with_ed), Just(with_ec), Just(with_hs)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_that_nobody_signed_is_refused(token in any::<String>()) {
        prop_assert!(!is_good(&token));
    }

    #[test]
    fn parts_that_nobody_signed_are_refused(head in value(), claims in value(), signature in any::<Vec<u8>>()) {
        let token = format!("{}.{}.{}", b64(head), b64(claims), b64(signature));
        prop_assert!(!is_good(&token));
    }

    #[test]
    fn a_changed_character_anywhere_is_refused(
        at in any::<prop::sample::Index>(),
        to in prop_oneof![prop::char::range('\0', '\u{7f}'), any::<char>()],
        which in 0..3,
    ) {
        let claims = Claims::download().json();
        let good = match which {
            0 => good_token(),
            1 => ec(header("ES256", EC_KID, "dl+jwt"), claims),
            _ => hs(header("HS256", HS_KID, "dl+jwt"), claims, SECRET),
        };
        prop_assert!(is_good(&good));
        let mut characters: Vec<char> = good.chars().collect();
        let at = at.index(characters.len());
        prop_assume!(characters[at] != to);
        characters[at] = to;
        prop_assert!(!is_good(&characters.into_iter().collect::<String>()));
    }

    #[test]
    fn a_missing_or_extra_character_is_refused(at in any::<prop::sample::Index>(), more in prop::char::range('-', 'z'), cut in any::<bool>()) {
        let good = good_token();
        let mut characters: Vec<char> = good.chars().collect();
        let at = at.index(characters.len());
        if cut {
            characters.remove(at);
        } else {
            characters.insert(at, more);
        }
        prop_assert!(!is_good(&characters.into_iter().collect::<String>()));
    }

    #[test]
    fn a_hostile_signer_gets_nothing_past_us_that_the_library_refuses(
        sign in signers(),
        alg in prop_oneof![3 => Just("EdDSA"), 2 => Just("ES256"), 2 => Just("HS256"), 1 => Just("none")],
        kid in prop_oneof![3 => Just(ED_KID), 2 => Just(EC_KID), 2 => Just(HS_KID), 1 => Just("x")],
        changes in prop::collection::vec((prop::sample::select(vec![
            "iss", "aud", "sub", "jti", "iat", "exp", "nbf", "file", "name", "confirm", "size", "other",
        ]), value()), 0..2),
        age in prop::sample::select(vec![-600_i64, -60, 0, 60, 600]),
        lifetime in prop::sample::select(vec![-60_i64, 0, 60, 300, 3600, 700_000]),
    ) {
        // The library reads the machine's clock, so this test does too; no case is near a limit.
        let now = Clock::wall().now();
        let issued_at = i64::try_from(now.secs()).unwrap() - age;
        let mut claims = Claims::download()
            .with("iat", &issued_at.to_string())
            .with("exp", &(issued_at + lifetime + 30).to_string());
        for (name, raw) in &changes {
            claims = claims.with(name, raw);
        }
        let token = sign(&header(alg, kid, "dl+jwt"), &claims.json());
        let rules = TokenRules { leeway: Duration::from_secs(5), ..download_rules() };
        if verify_download(&token, &ring(), &rules, now, Timestamp::EPOCH).is_ok() {
            let (algorithm, key) = library_key(kid);
            let mut validation = Validation::new(algorithm);
            validation.leeway = 5;
            validation.validate_nbf = true;
            validation.set_audience(&[AUDIENCE]);
            validation.set_issuer(&[ISSUER]);
            validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
            let decoded = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation);
            prop_assert!(decoded.is_ok(), "{:?} for {}", decoded, claims.json());
        }
    }
}

fn library_key(kid: &str) -> (Algorithm, DecodingKey) {
    match kid {
        ED_KID => (Algorithm::EdDSA, DecodingKey::from_ed_der(&ed_public())),
        EC_KID => {
            let set: serde_json::Value = serde_json::from_str(&crate::token_vectors::keys::jwks()).unwrap();
            let text = |member: &str| set["keys"][1][member].as_str().unwrap().to_owned();
            (Algorithm::ES256, DecodingKey::from_ec_components(&text("x"), &text("y")).unwrap())
        }
        _ => (Algorithm::HS256, DecodingKey::from_secret(SECRET)),
    }
}

/// The property above means something only if valid tokens occur in it.
#[test]
fn the_library_accepts_the_good_token_too() {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&[AUDIENCE]);
    let token = ed(ed_header(), Claims::download().json());
    let key = DecodingKey::from_ed_der(&ed_public());
    assert!(jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).is_ok());
    assert!(is_good(&token));
}
