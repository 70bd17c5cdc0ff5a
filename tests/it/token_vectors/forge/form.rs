//! Vectors that attack the encoding of a token, and its header.

use crate::token_vectors::forge::{Claims, Forge, Text, Vector, ed_header, good_token, header};
use crate::token_vectors::keys::{EC_KID, ED_KID, b64};

pub(super) fn outer_form(forge: &mut Forge) {
    let good = good_token();
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    for (name, token, reason) in [
        ("empty", String::new(), "part-count"),
        ("one dot", ".".to_owned(), "part-count"),
        ("two dots", "..".to_owned(), "header-json"),
        ("three dots", "...".to_owned(), "part-count"),
        ("header alone", head.to_owned(), "part-count"),
        ("no signature part", format!("{head}.{claims}"), "part-count"),
        ("a part too many", format!("{good}.{signature}"), "part-count"),
        ("a dot at the end", format!("{good}."), "part-count"),
        ("a dot at the start", format!(".{good}"), "part-count"),
        (
            "JWE of five parts",
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA".to_owned(),
            "part-count",
        ),
        ("empty header", format!(".{claims}.{signature}"), "header-json"),
        ("empty claims", format!("{head}..{signature}"), "bad-signature"),
        ("a space at the end", format!("{good} "), "alphabet"),
        ("a space at the start", format!(" {good}"), "alphabet"),
        ("a line break at the end", format!("{good}\n"), "alphabet"),
        ("a line break within", format!("{head}.\r\n{claims}.{signature}"), "alphabet"),
        ("a tab within", format!("{head}.{claims}\t.{signature}"), "alphabet"),
        ("NUL at the end", format!("{good}\0"), "alphabet"),
        ("NUL within", format!("{head}.\0{claims}.{signature}"), "alphabet"),
        ("padding of the header", format!("{head}=.{claims}.{signature}"), "alphabet"),
        ("padding of the claims", format!("{head}.{claims}==.{signature}"), "alphabet"),
        ("padding of the signature", format!("{good}=="), "alphabet"),
        ("the standard alphabet", format!("{head}.{claims}.+{}", &signature[1..]), "alphabet"),
        ("a slash in the signature", format!("{head}.{claims}./{}", &signature[1..]), "alphabet"),
        ("percent-encoded dots", good.replace('.', "%2E"), "alphabet"),
        ("a full-width dot", good.replacen('.', "．", 1), "alphabet"),
        ("a letter beyond ASCII", format!("{head}.{claims}é.{signature}"), "alphabet"),
        ("with its scheme", format!("Bearer {good}"), "alphabet"),
        ("two tokens", format!("{good},{good}"), "alphabet"),
        ("in quotes", format!("\"{good}\""), "alphabet"),
        (
            "JSON serialization, flattened",
            format!(r#"{{"protected":"{head}","payload":"{claims}","signature":"{signature}"}}"#),
            "alphabet",
        ),
        (
            "JSON serialization, general",
            format!(
                r#"{{"payload":"{claims}","signatures":[{{"protected":"{head}","signature":"{signature}"}}]}}"#
            ),
            "alphabet",
        ),
        ("header of a length that cannot be", format!("{head}A.{claims}.{signature}"), "base64:header"),
        ("signature of a length that cannot be", format!("{good}AAA"), "base64:signature"),
    ] {
        forge.download(name, token, reason);
    }
    let tail = |text: &str, spare: char| format!("{}{spare}", &text[..text.len() - 1]);
    // 64 bytes leave four spare bits in the last character: only A, Q, g and w are canonical.
    for spare in ['B', 'C', '_'] {
        forge.download(
            format!("spare bits in the signature ({spare})"),
            format!("{head}.{claims}.{}", tail(signature, spare)),
            "base64:signature",
        );
    }
    let spare_header = format!("{} ", ed_header());
    let spare_header =
        if spare_header.len().is_multiple_of(3) { format!("{spare_header} ") } else { spare_header };
    forge.download(
        "spare bits in the header",
        format!("{}.{claims}.{signature}", tail(&b64(spare_header), 'B')),
        "base64:header",
    );
    let mut spare_claims = Claims::download().json();
    while spare_claims.len().is_multiple_of(3) {
        spare_claims.push(' ');
    }
    forge.download(
        "spare bits in the claims",
        format!("{head}.{}.{signature}", tail(&b64(spare_claims), '_')),
        "base64:claims",
    );
    let (before, after) = (format!("{head}."), format!(".{signature}"));
    for (name, count) in [("1 MB", 1_000_000), ("a byte too long", 4097 - before.len() - after.len())] {
        let text = Text::Repeat { before: before.clone(), text: "A".to_owned(), count, after: after.clone() };
        forge.vectors.push(Vector {
            name: name.to_owned(),
            to: "download".to_owned(),
            text,
            verdict: "invalid-token".to_owned(),
            reason: "too-long".to_owned(),
        });
    }
}

pub(super) fn headers(forge: &mut Forge) {
    for (member, raw) in [
        ("crit", r#"["exp"]"#),
        ("crit", "[]"),
        ("crit", "null"),
        ("crit", r#"["b64"],"b64":false"#),
        ("b64", "false"),
        ("b64", "true"),
        ("jku", r#""https://evil.example/jwks.json""#),
        ("jwk", r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#),
        ("x5u", r#""https://evil.example/cert.pem""#),
        ("x5c", r#"["MIIB"]"#),
        ("x5t", r#""AAAA""#),
        ("x5t#S256", r#""AAAA""#),
        ("cty", r#""JWT""#),
        ("zip", r#""DEF""#),
        ("enc", r#""A128GCM""#),
        ("epk", "{}"),
        ("p2c", "2147483647"),
        ("iss", r#""https://app.example""#),
        ("ALG", r#""EdDSA""#),
        ("alg\\u0000", r#""EdDSA""#),
        ("", "0"),
        ("__proto__", "{}"),
    ] {
        let with = format!("{},\"{member}\":{raw}}}", ed_header().trim_end_matches('}'));
        forge.headed(format!("header with {member}: {raw}"), with, "header-member");
    }
    for (name, text, reason) in [
        (
            "alg twice",
            format!(r#"{{"alg":"EdDSA","alg":"EdDSA","kid":"{ED_KID}","typ":"dl+jwt"}}"#),
            "header-duplicate",
        ),
        (
            "alg twice, none last",
            format!(r#"{{"alg":"EdDSA","kid":"{ED_KID}","typ":"dl+jwt","alg":"none"}}"#),
            "header-duplicate",
        ),
        (
            "alg twice, one escaped",
            format!(r#"{{"alg":"EdDSA","\u0061lg":"none","kid":"{ED_KID}","typ":"dl+jwt"}}"#),
            "header-duplicate",
        ),
        (
            "kid twice",
            format!(r#"{{"alg":"EdDSA","kid":"{ED_KID}","kid":"{EC_KID}","typ":"dl+jwt"}}"#),
            "header-duplicate",
        ),
        (
            "typ twice",
            format!(r#"{{"alg":"EdDSA","kid":"{ED_KID}","typ":"act+jwt","typ":"dl+jwt"}}"#),
            "header-duplicate",
        ),
        ("no alg", format!(r#"{{"kid":"{ED_KID}","typ":"dl+jwt"}}"#), "header-missing:alg"),
        ("no kid", r#"{"alg":"EdDSA","typ":"dl+jwt"}"#.to_owned(), "header-missing:kid"),
        ("no typ", format!(r#"{{"alg":"EdDSA","kid":"{ED_KID}"}}"#), "header-missing:typ"),
        ("empty object", "{}".to_owned(), "header-missing:alg"),
        ("alg null", format!(r#"{{"alg":null,"kid":"{ED_KID}","typ":"dl+jwt"}}"#), "header-type:alg"),
        ("alg a list", format!(r#"{{"alg":["EdDSA"],"kid":"{ED_KID}","typ":"dl+jwt"}}"#), "header-type:alg"),
        ("alg a number", format!(r#"{{"alg":0,"kid":"{ED_KID}","typ":"dl+jwt"}}"#), "header-type:alg"),
        ("kid a number", r#"{"alg":"EdDSA","kid":1,"typ":"dl+jwt"}"#.to_owned(), "header-type:kid"),
        ("kid null", r#"{"alg":"EdDSA","kid":null,"typ":"dl+jwt"}"#.to_owned(), "header-type:kid"),
        ("kid an object", r#"{"alg":"EdDSA","kid":{"$ne":""},"typ":"dl+jwt"}"#.to_owned(), "header-type:kid"),
        ("typ true", format!(r#"{{"alg":"EdDSA","kid":"{ED_KID}","typ":true}}"#), "header-type:typ"),
        (
            "alg nested a thousand deep",
            format!(r#"{{"alg":{}1{}}}"#, "[".repeat(1000), "]".repeat(1000)),
            "header-type:alg",
        ),
        ("nested a thousand deep", format!("{}{}", "[".repeat(1000), "]".repeat(1000)), "header-json"),
        ("a list", format!("[{}]", ed_header()), "header-json"),
        ("a text", r#""EdDSA""#.to_owned(), "header-json"),
        ("null", "null".to_owned(), "header-json"),
        ("not closed", ed_header().trim_end_matches('}').to_owned(), "header-json"),
        ("a second object", format!("{}{{}}", ed_header()), "header-json"),
        ("a comma at the end", format!("{},}}", ed_header().trim_end_matches('}')), "header-json"),
        ("a comment", format!("{}/* */", ed_header()), "header-json"),
        ("single quotes", ed_header().replace('"', "'"), "header-json"),
        ("a byte order mark", format!("\u{feff}{}", ed_header()), "header-json"),
        ("NUL after it", format!("{}\0", ed_header()), "header-json"),
        (
            "half a surrogate pair",
            format!(r#"{{"alg":"EdDSA","kid":"{ED_KID}","typ":"\ud800"}}"#),
            "header-json",
        ),
        (
            "a raw line break in a text",
            format!("{{\"alg\":\"EdDSA\",\"kid\":\"{ED_KID}\",\"typ\":\"dl+jwt\n\"}}"),
            "header-json",
        ),
    ] {
        forge.headed(format!("header: {name}"), text, reason);
    }
    let mut bytes = ed_header().into_bytes();
    bytes[9] = 0xff;
    forge.headed("header: invalid UTF-8", &bytes, "header-json");
    let wide: Vec<u8> = ed_header().encode_utf16().flat_map(u16::to_le_bytes).collect();
    forge.headed("header: UTF-16", wide, "header-json");
    for typ in
        ["JWT", "jwt", "DL+JWT", "dl+JWT", "application/dl+jwt", "dl+jwt ", " dl+jwt", "", "dl jwt", "at+jwt"]
    {
        forge.headed(format!("typ `{typ}`"), header("EdDSA", ED_KID, typ), "wrong-kind");
    }
}
