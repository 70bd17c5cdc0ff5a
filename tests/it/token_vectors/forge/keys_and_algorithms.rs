//! Vectors that attack the choice of key and algorithm.

use crate::token_vectors::forge::{Claims, Forge, ed, ed_header, header, hs};
use crate::token_vectors::keys::{EC_KID, ED_KID, HS_KID, b64, ed_public, ed_public_spellings, unhex};

pub(super) fn algorithms_and_keys(forge: &mut Forge) {
    let claims = Claims::download().json();
    for alg in ["none", "None", "NONE", "nOnE", "none ", "", "null", "n\\u006fne"] {
        let head = header(alg, ED_KID, "dl+jwt");
        forge.download(
            format!("alg `{alg}`, no signature"),
            format!("{}.{}.", b64(&head), b64(&claims)),
            "wrong-algorithm",
        );
        forge.headed(format!("alg `{alg}`, a good signature"), head, "wrong-algorithm");
    }
    for alg in [
        "HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES384", "ES256K", "Ed25519", "Ed448", "eddsa",
        "EDDSA", "EdDSA ", "dir",
    ] {
        forge.headed(
            format!("alg `{alg}` with the Ed25519 key"),
            header(alg, ED_KID, "dl+jwt"),
            "wrong-algorithm",
        );
    }
    for (spelling, secret) in ed_public_spellings() {
        forge.download(
            format!("HS256 keyed with the public key as {spelling}"),
            hs(header("HS256", ED_KID, "dl+jwt"), &claims, &secret),
            "wrong-algorithm",
        );
        forge.download(
            format!("HS256 under the secret's kid, keyed with the public key as {spelling}"),
            hs(header("HS256", HS_KID, "dl+jwt"), &claims, &secret),
            "bad-signature",
        );
    }
    forge.download(
        "EdDSA by the header, an HMAC by its length",
        hs(ed_header(), &claims, &ed_public()),
        "signature-length",
    );
    forge.download(
        "EdDSA under the P-256 key's kid",
        ed(header("EdDSA", EC_KID, "dl+jwt"), &claims),
        "wrong-algorithm",
    );
    forge.download(
        "EdDSA under the secret's kid",
        ed(header("EdDSA", HS_KID, "dl+jwt"), &claims),
        "wrong-algorithm",
    );
    forge.download(
        "EdDSA signature, ES256 header and key",
        ed(header("ES256", EC_KID, "dl+jwt"), &claims),
        "bad-signature",
    );
    forge.download(
        "ES256 signature, EdDSA header and key",
        {
            // In this fixed pair R is not a weak point and S is too large for Ed25519.
            let message = format!("{}.{}", b64(ed_header()), b64(&claims));
            let pair = format!("{}{}", "11".repeat(32), "f3".repeat(32));
            format!("{message}.{}", b64(unhex(&pair)))
        },
        "signature-range",
    );
    for kid in [
        "",
        "unknown",
        "TEST-ED25519",
        "test-ed25519 ",
        " test-ed25519",
        "test-ed25519\\u0000",
        "test-ed2551",
        "../../../../dev/null",
        "/dev/null",
        "..%2f..%2fetc%2fpasswd",
        "file:///proc/self/environ",
        "https://evil.example/jwks.json",
        "' OR '1'='1",
        "x' UNION SELECT 'key' --",
        "$(id)",
        "`id`",
        "*",
        "%s%n",
        "test-ed25519\\r\\nX-Injected: 1",
        "{\\\"$gt\\\":\\\"\\\"}",
        "тest-ed25519",
    ] {
        forge.headed(format!("kid `{kid}`"), header("EdDSA", kid, "dl+jwt"), "unknown-key");
    }
    forge.headed("kid of 2,000 characters", header("EdDSA", &"k".repeat(2000), "dl+jwt"), "unknown-key");
    forge.headed("kid unknown and alg none", header("none", "unknown", "dl+jwt"), "unknown-key");
}
