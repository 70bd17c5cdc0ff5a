//! Tokens and key sets: a token is accepted only if it is signed and the `jsonwebtoken` library accepts it too.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use oncelink::clock::Timestamp;
use oncelink::token::{
    GrantContent, HmacSecret, KeyRing, MAX_KEYS, TokenRules, inspect, verify_action, verify_command,
    verify_download, verify_view,
};

/// The keys of `tests/vectors/tokens.json`.
const JWKS: &str = r#"{"keys":[
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"test-ed25519"},
    {"kty":"EC","crv":"P-256","kid":"test-p256","x":"YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
     "y":"eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk"}]}"#;

const SECRET: &[u8] = b"a shared secret for tests and for nothing else";

static PUBLISHED: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::from_jwks(JWKS).unwrap());

static SHARED: LazyLock<KeyRing> =
    LazyLock::new(|| KeyRing::default().with_secret(HmacSecret::new("k", SECRET).unwrap()).unwrap());

fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://app.example".to_owned(),
        audience: "https://dl.example".to_owned(),
        leeway: Duration::from_secs(5),
        max_lifetime: Duration::from_secs(604_800),
    }
}

/// Verifies any text as a token. It must be refused, because nobody signed it, and what `inspect` shows of it
/// must not contain control characters, which could manipulate a terminal.
pub fn token(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    // Long after the test vectors, so that a valid token among them has expired.
    let (rules, now) = (rules(), Timestamp::from_secs(2_000_000_000));
    assert!(verify_download(text, &PUBLISHED, &rules, now, Timestamp::EPOCH).is_err());
    assert!(verify_action(text, &PUBLISHED, &rules, now, Timestamp::EPOCH).is_err());
    assert!(verify_command(text, &PUBLISHED, &rules, now).is_err());
    assert!(verify_view(text, &PUBLISHED, &rules, now, Timestamp::EPOCH).is_err());
    if let Ok(unverified) = inspect(text) {
        let shown = unverified.to_string();
        assert!(shown.starts_with("NOT VERIFIED"));
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
}

/// Verifies any header and claims with a valid signature: `jsonwebtoken` must accept what we accept. The first
/// line is the header (if empty, the usual one), the rest the claims.
pub fn signed_token(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (first, claims) = data.split_at(end);
    let header: &[u8] = if first.is_empty() { br#"{"alg":"HS256","kid":"k","typ":"dl+jwt"}"# } else { first };
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    let token = format!("{message}.{signature}");
    let (rules, now) = (rules(), Timestamp::from_secs(1_800_000_000));
    let Ok(grant) = verify_download(&token, &SHARED, &rules, now, Timestamp::EPOCH) else { return };
    assert!(grant.issued_at <= now.plus(rules.leeway) && now < grant.expires_at.plus(rules.leeway));
    assert!(grant.expires_at.since(grant.issued_at) <= rules.max_lifetime);
    assert!(!grant.subject.is_empty());
    assert!(grant.name.is_none_or(|name| !name.is_empty() && !name.contains(['/', '\0'])));
    let mut validation = Validation::new(Algorithm::HS256);
    // The library would compare with the system clock.
    validation.validate_exp = false;
    validation.set_audience(&[&rules.audience]);
    validation.set_issuer(&[&rules.issuer]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let decoded =
        jsonwebtoken::decode::<serde_json::Value>(&token, &DecodingKey::from_secret(SECRET), &validation);
    let claims = decoded.unwrap().claims;
    match &grant.content {
        GrantContent::File(file) => assert_eq!(claims["file"], file.as_str()),
        GrantContent::Archive(digest) => {
            assert_eq!(claims["zip"], oncelink::archive::digest_text(digest));
            assert!(claims.get("file").is_none());
        }
    }
    assert_eq!(claims["jti"], grant.jti.to_string());
    assert_eq!(claims["exp"], grant.expires_at.secs());
}

/// Parses any text as a key set. An accepted set is serialized to an equal one without private members.
pub fn jwks(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(ring) = KeyRing::from_jwks(text) else { return };
    let written = ring.to_jwks();
    assert_eq!(KeyRing::from_jwks(&written).unwrap().to_jwks(), written);
    assert!((1..=MAX_KEYS).contains(&ring.kids().count()));
    for private in [",\"d\":", ",\"k\":", "{\"d\":", "{\"k\":"] {
        assert!(!written.contains(private), "{written}");
    }
}
