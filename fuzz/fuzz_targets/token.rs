//! Any text: the verifiers answer, and refuse what nobody signed.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use oncelink::clock::Timestamp;
use oncelink::token::{KeyRing, Rules, inspect, verify_action, verify_command, verify_download};

const JWKS: &str = r#"{"keys":[
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"test-ed25519"},
    {"kty":"EC","crv":"P-256","kid":"test-p256","x":"YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
     "y":"eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk"}]}"#;

static RING: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::from_jwks(JWKS).unwrap());

fuzz_target!(|text: &str| {
    let rules = Rules {
        issuer: "https://app.example".to_owned(),
        audience: "https://dl.example".to_owned(),
        leeway: Duration::from_secs(5),
        max_lifetime: Duration::from_secs(604_800),
    };
    // Long after every token that the vectors hold, so that a seed from there is expired.
    let now = Timestamp::from_secs(2_000_000_000);
    let _ = inspect(text);
    assert!(verify_download(text, &RING, &rules, now, Timestamp::EPOCH).is_err());
    assert!(verify_action(text, &RING, &rules, now, Timestamp::EPOCH).is_err());
    assert!(verify_command(text, &RING, &rules, now).is_err());
});
