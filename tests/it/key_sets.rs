//! Key sets: only those that our own web app could have made are accepted.

use oncelink::token::{KeyRing, KeyRingError, MAX_JWKS, PublicKey};
use serde_json::{Value, json};

fn ed() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "ed",
        "alg": "EdDSA", "use": "sig",
    })
}

fn ec() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "x": "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
        "y": "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk", "kid": "ec", "alg": "ES256", "use": "sig",
    })
}

fn ring(keys: &[Value]) -> Result<KeyRing, KeyRingError> {
    KeyRing::from_jwks(&json!({ "keys": keys }).to_string())
}

fn with(mut key: Value, member: &str, value: Value) -> Value {
    key[member] = value;
    key
}

fn without(mut key: Value, member: &str) -> Value {
    key.as_object_mut().unwrap().remove(member);
    key
}

#[test]
fn good_keys_are_accepted_and_written_back() {
    let taken = ring(&[ed(), ec()]).unwrap();
    assert_eq!(taken.kids().collect::<Vec<_>>(), ["ed", "ec"]);
    assert_eq!(serde_json::from_str::<Value>(&taken.to_jwks()).unwrap(), json!({ "keys": [ed(), ec()] }));
    assert_eq!(format!("{taken:?}"), r#"{"ed", "ec"}"#);
    let optional = without(without(ed(), "alg"), "use");
    for key in [optional, with(ed(), "key_ops", json!(["verify"])), with(ed(), "note", json!({ "a": 1 }))] {
        assert!(ring(std::slice::from_ref(&key)).is_ok(), "{key}");
    }
}

#[test]
fn private_and_secret_members_are_refused_whatever_their_value() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for key in [ed(), ec()] {
            for value in [json!("AAAA"), json!(null)] {
                assert_eq!(ring(&[with(key.clone(), member, value)]).unwrap_err(), KeyRingError::Private);
            }
        }
    }
    let secret = json!({ "kty": "oct", "k": "AAAA", "kid": "s", "alg": "HS256" });
    assert_eq!(ring(std::slice::from_ref(&secret)).unwrap_err(), KeyRingError::Private);
    assert_eq!(ring(&[ed(), without(secret, "k")]).unwrap_err(), KeyRingError::Missing("crv"));
}

#[test]
fn members_that_disagree_are_refused() {
    for (key, error) in [
        (with(ed(), "alg", json!("ES256")), KeyRingError::Disagrees("alg")),
        (with(ed(), "alg", json!("HS256")), KeyRingError::Disagrees("alg")),
        (with(ed(), "alg", json!("none")), KeyRingError::Disagrees("alg")),
        (with(ed(), "alg", json!(1)), KeyRingError::Disagrees("alg")),
        (with(ec(), "alg", json!("EdDSA")), KeyRingError::Disagrees("alg")),
        (with(ec(), "alg", json!("ES384")), KeyRingError::Disagrees("alg")),
        (with(ed(), "use", json!("enc")), KeyRingError::Disagrees("use")),
        (with(ed(), "use", json!(["sig"])), KeyRingError::Disagrees("use")),
        (with(ed(), "key_ops", json!(["sign"])), KeyRingError::Disagrees("key_ops")),
        (with(ed(), "key_ops", json!(["verify", "sign"])), KeyRingError::Disagrees("key_ops")),
        (with(ed(), "key_ops", json!("verify")), KeyRingError::Disagrees("key_ops")),
        (with(ed(), "key_ops", json!([])), KeyRingError::Disagrees("key_ops")),
        (with(ed(), "y", json!("AAAA")), KeyRingError::Disagrees("y")),
        (with(ed(), "kty", json!("EC")), KeyRingError::Unsupported),
        (with(ed(), "kty", json!("oct")), KeyRingError::Unsupported),
        (with(ed(), "crv", json!("X25519")), KeyRingError::Unsupported),
        (with(ed(), "crv", json!("P-256")), KeyRingError::Unsupported),
        (with(ec(), "crv", json!("P-384")), KeyRingError::Unsupported),
        (with(ec(), "crv", json!("secp256k1")), KeyRingError::Unsupported),
        (with(ec(), "kty", json!("RSA")), KeyRingError::Unsupported),
        (with(ec(), "kty", json!("OKP")), KeyRingError::Unsupported),
        (without(ed(), "kid"), KeyRingError::Missing("kid")),
        (without(ed(), "kty"), KeyRingError::Missing("kty")),
        (without(ed(), "crv"), KeyRingError::Missing("crv")),
        (without(ed(), "x"), KeyRingError::Missing("x")),
        (without(ec(), "y"), KeyRingError::Missing("y")),
        (with(ed(), "kid", json!("")), KeyRingError::KeyId),
        (with(ed(), "kid", json!("a b")), KeyRingError::KeyId),
        (with(ed(), "kid", json!("a\"b")), KeyRingError::KeyId),
        (with(ed(), "kid", json!("k".repeat(129))), KeyRingError::KeyId),
        (with(ed(), "kid", json!(5)), KeyRingError::Disagrees("kid")),
    ] {
        assert_eq!(ring(std::slice::from_ref(&key)).unwrap_err(), error, "{key}");
    }
}

#[test]
fn points_that_are_weak_or_off_the_curve_are_refused() {
    let encoded = |bytes: &[u8]| {
        use base64::Engine;
        json!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    };
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let mut not_canonical = minus_one;
    not_canonical[0] = 0xf0;
    let mut neutral = [0; 32];
    neutral[0] = 1;
    // No point has the y-coordinate 2.
    let mut off = [0; 32];
    off[0] = 2;
    for point in [[0; 32], neutral, minus_one, not_canonical, [0xff; 32], off] {
        let error = ring(&[with(ed(), "x", encoded(&point))]).unwrap_err();
        assert!(matches!(error, KeyRingError::Point(_)), "{point:x?}: {error}");
        assert!(PublicKey::ed25519(point).is_err());
    }
    for (member, bytes) in [("x", [0; 32]), ("y", [0; 32]), ("x", [0xff; 32]), ("y", [1; 32])] {
        let error = ring(&[with(ec(), member, encoded(&bytes))]).unwrap_err();
        assert!(matches!(error, KeyRingError::Point(_)), "{member}: {error}");
    }
    for (key, member) in [(ed(), "x"), (ec(), "x"), (ec(), "y")] {
        let good = key[member].as_str().unwrap().to_owned();
        // Padded, truncated, extended, with non-zero spare bits, and in the other alphabet.
        for wrong in [
            format!("{good}="),
            good[..42].to_owned(),
            format!("{good}AA"),
            format!("{}_", &good[..42]),
            format!("+{}", &good[1..]),
            String::new(),
        ] {
            let error = ring(&[with(key.clone(), member, json!(wrong))]).unwrap_err();
            assert!(matches!(error, KeyRingError::Disagrees(_)), "{wrong}: {error}");
        }
    }
}

#[test]
fn texts_that_are_not_key_sets_are_refused() {
    let twice = |text: &str| KeyRing::from_jwks(text).unwrap_err();
    let key = ed().to_string();
    for text in [
        "",
        "null",
        "[]",
        "5",
        "\"x\"",
        "{",
        "{\"keys\":[5]}",
        "{\"keys\":[null]}",
        &format!("{{\"keys\":[{key}]}} x"),
        &format!("\u{feff}{{\"keys\":[{key}]}}"),
        &format!("{{\"keys\":[{key}],\"keys\":[]}}"),
        &format!("{{\"keys\":[{}]}}", key.replacen('{', "{\"kid\":\"other\",", 1)),
        &format!("{{\"keys\":[{}]}}", key.replacen('{', "{\"\\u006bid\":\"other\",", 1)),
        &format!("{{\"keys\":[{key}],\"x\":{}{}}}", "[".repeat(500), "]".repeat(500)),
    ] {
        assert_eq!(twice(text), KeyRingError::Json, "{text}");
    }
    assert_eq!(twice("{}"), KeyRingError::Empty);
    assert_eq!(twice(r#"{"keys":[]}"#), KeyRingError::Empty);
    assert_eq!(twice(r#"{"keys":{}}"#), KeyRingError::Empty);
    assert_eq!(twice(&format!("{{\"keys\":[{key}]}}{}", " ".repeat(MAX_JWKS))), KeyRingError::TooLong);
    assert_eq!(
        ring(&[ed(), with(ec(), "kid", json!("ed"))]).unwrap_err(),
        KeyRingError::DuplicateKid("ed".into())
    );
    let many: Vec<_> = (0..9).map(|at| with(ed(), "kid", json!(format!("k{at}")))).collect();
    assert!(ring(&many[..8]).is_ok());
    assert_eq!(ring(&many).unwrap_err(), KeyRingError::TooMany);
}
