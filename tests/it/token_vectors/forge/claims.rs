//! Vectors that attack the claims.

use crate::token_vectors::forge::{AUDIENCE, Claims, FENCE, Forge, LEEWAY, MAX_LIFETIME, NOW, good_token};

pub(super) fn claims_as_json(forge: &mut Forge) {
    let plain = Claims::download();
    for claim in ["iss", "aud", "sub", "jti", "iat", "exp", "file"] {
        let value = plain.0.iter().find(|(name, _)| name == claim).unwrap().1.clone();
        forge.claiming(format!("{claim} twice"), &plain.clone().and(claim, &value), "claims-duplicate");
        forge.claiming(
            format!("{claim} missing"),
            &plain.clone().without(claim),
            &format!("claim-missing:{claim}"),
        );
    }
    forge.claiming(
        "file twice, one escaped",
        &plain.clone().and("\\u0066ile", r#""/books/b.pdf""#),
        "claims-duplicate",
    );
    forge.claiming(
        "confirm twice",
        &plain.clone().and("confirm", "true").and("confirm", "false"),
        "claims-duplicate",
    );
    forge.claiming(
        "again twice",
        &plain.clone().and("again", "false").and("again", "true"),
        "claims-duplicate",
    );
    forge.claiming(
        "again twice, one escaped",
        &plain.clone().and("again", "false").and("\\u0061gain", "true"),
        "claims-duplicate",
    );
    forge.claiming("an unknown claim twice", &plain.clone().and("x", "1").and("x", "1"), "claims-duplicate");
    forge.claiming(
        "twice within an unknown claim",
        &plain.clone().and("x", r#"{"a":1,"a":2}"#),
        "claims-duplicate",
    );
    forge.claiming(
        "twice, three levels deep",
        &plain.clone().and("x", r#"{"a":[{"b":1,"b":1}]}"#),
        "claims-duplicate",
    );
    forge.claiming("five levels", &plain.clone().and("x", "[[[[]]]]"), "claims-depth");
    forge.claiming(
        "five levels of objects",
        &plain.clone().and("x", r#"{"a":{"a":{"a":{}}}}"#),
        "claims-depth",
    );
    forge.claiming(
        "a thousand levels",
        &plain.clone().and("x", &format!("{}{}", "[".repeat(1000), "]".repeat(1000))),
        "claims-depth",
    );
    let json = plain.json();
    for (name, text, reason) in [
        ("nothing", String::new(), "claims-json"),
        ("an empty object", "{}".to_owned(), "claim-missing:iss"),
        ("a list", format!("[{json}]"), "claims-json"),
        ("a text", "\"x\"".to_owned(), "claims-json"),
        ("null", "null".to_owned(), "claims-json"),
        ("two objects", format!("{json}{json}"), "claims-json"),
        ("not closed", json.trim_end_matches('}').to_owned(), "claims-json"),
        ("a byte order mark", format!("\u{feff}{json}"), "claims-json"),
        ("NUL after them", format!("{json}\0"), "claims-json"),
        ("a token within", good_token(), "claims-json"),
        ("NaN", plain.clone().with("exp", "NaN").json(), "claims-json"),
        ("infinity", plain.clone().with("exp", "1e999").json(), "claims-json"),
        ("a leading zero", plain.clone().with("exp", "01800000110").json(), "claims-json"),
        ("a plus sign", plain.clone().with("exp", "+1800000110").json(), "claims-json"),
        ("hexadecimal", plain.clone().with("exp", "0x6b49d26e").json(), "claims-json"),
        ("half a surrogate pair", plain.clone().with("file", r#""/books/\ud800.pdf""#).json(), "claims-json"),
        (
            "a raw line break in a text",
            plain.clone().with("file", "\"/books/a\n.pdf\"").json(),
            "claims-json",
        ),
    ] {
        forge.raw_claims(&format!("claims: {name}"), text, reason);
    }
    let mut bytes = json.clone().into_bytes();
    let at = json.find("a.pdf").unwrap();
    bytes[at] = 0xff;
    forge.raw_claims("claims: invalid UTF-8", &bytes, "claims-json");
    bytes.splice(at..=at, [0xc0, 0xaf]);
    forge.raw_claims("claims: a slash in overlong UTF-8", &bytes, "claims-json");
    let unknown = plain.clone().and("x", "\"?\"").json().into_bytes();
    let unknown: Vec<u8> = unknown.into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
    forge.raw_claims("claims: invalid UTF-8 in an unknown one", unknown, "claims-json");
}

pub(super) fn claims_by_type(forge: &mut Forge) {
    for claim in ["iss", "aud", "sub", "jti", "file", "name", "link", "version", "digest"] {
        for raw in ["null", "5", "true", "{}", r#"["x"]"#] {
            forge.claiming(
                format!("{claim} is {raw}"),
                &Claims::download().with(claim, raw),
                &format!("claim-type:{claim}"),
            );
        }
    }
    for claim in ["iat", "exp", "nbf", "size"] {
        for raw in [
            "null",
            r#""1800000000""#,
            "1800000000.0",
            "1.8e9",
            "-1",
            "-0",
            "true",
            "[1800000000]",
            "{}",
            "9007199254740992",
            "18446744073709551616",
        ] {
            forge.claiming(
                format!("{claim} is {raw}"),
                &Claims::download().with(claim, raw),
                &format!("claim-type:{claim}"),
            );
        }
    }
    for claim in ["confirm", "again"] {
        for raw in ["null", "1", "0", r#""true""#, "[]", "{}", "1.0"] {
            forge.claiming(
                format!("{claim} is {raw}"),
                &Claims::download().with(claim, raw),
                &format!("claim-type:{claim}"),
            );
        }
    }
    for jti in [
        "",
        "AAECAwQFBgcICQoLDA0OD",
        "AAECAwQFBgcICQoLDA0ODwA",
        "AAECAwQFBgcICQoLDA0ODx",
        "AAECAwQFBgcICQoLDA0ODw==",
        "AAECAwQFBgcICQoLDA0O/w",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "../../x",
    ] {
        forge.claiming(
            format!("jti `{jti}`"),
            &Claims::download().with("jti", &format!("\"{jti}\"")),
            "claim-value:jti",
        );
    }
    for digest in [
        "",
        "AAAA",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, x=:AAAA",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        forge.claiming(
            format!("digest `{digest}`"),
            &Claims::download().with("digest", &format!("\"{digest}\"")),
            "claim-value:digest",
        );
    }
    for claim in ["sub", "link", "version", "name"] {
        forge.claiming(
            format!("{claim} empty"),
            &Claims::download().with(claim, "\"\""),
            &format!("claim-value:{claim}"),
        );
        let long = format!("\"{}\"", "x".repeat(256));
        forge.claiming(
            format!("{claim} of 256 bytes"),
            &Claims::download().with(claim, &long),
            &format!("claim-value:{claim}"),
        );
    }
}

pub(super) fn issuer_and_audience(forge: &mut Forge) {
    for iss in [
        "",
        "https://evil.example",
        "https://app.example/",
        "HTTPS://app.example",
        "https://app.example.evil.example",
        "https://app.exampl",
        "https://dl.example",
        "https://app.example\\u0000",
    ] {
        forge.claiming(
            format!("iss `{iss}`"),
            &Claims::download().with("iss", &format!("\"{iss}\"")),
            "wrong-issuer",
        );
    }
    for aud in [
        "",
        "https://other.example",
        "https://dl.example/",
        "https://DL.example",
        "https://dl.exampl",
        "*",
        "https://app.example",
        "https://dl.example,https://other.example",
    ] {
        forge.claiming(
            format!("aud `{aud}`"),
            &Claims::download().with("aud", &format!("\"{aud}\"")),
            "wrong-audience",
        );
    }
    forge.claiming(
        "aud a list of the right one",
        &Claims::download().with("aud", &format!("[\"{AUDIENCE}\"]")),
        "claim-type:aud",
    );
    forge.claiming(
        "aud a list of two",
        &Claims::download().with("aud", &format!("[\"{AUDIENCE}\",\"x\"]")),
        "claim-type:aud",
    );
    forge.claiming("aud an empty list", &Claims::download().with("aud", "[]"), "claim-type:aud");
    forge.claiming(
        "aud wrong and expired",
        &Claims::download().with("aud", "\"x\"").with("exp", &(NOW - 9).to_string()),
        "wrong-audience",
    );
}

pub(super) fn times(forge: &mut Forge) {
    let at =
        |iat: u64, exp: u64| Claims::download().with("iat", &iat.to_string()).with("exp", &exp.to_string());
    forge.claiming("ends with the leeway in this second", &at(NOW - 100, NOW - LEEWAY), "expired");
    forge.claiming("has one second of leeway left", &at(NOW - 100, NOW - LEEWAY + 1), "good");
    forge.claiming("expired an hour ago", &at(NOW - 7200, NOW - 3600), "expired");
    forge.claiming("expired long ago, in times before the fence", &at(1, 2), "expired");
    forge.claiming("times zero", &at(0, 0), "ends-before-start");
    forge.claiming("exp is iat", &at(NOW, NOW), "ends-before-start");
    forge.claiming("exp before iat", &at(NOW, NOW - 1), "ends-before-start");
    forge.claiming("the longest lifetime", &at(NOW, NOW + MAX_LIFETIME), "good");
    forge.claiming(
        "a second more than the longest lifetime",
        &at(NOW, NOW + MAX_LIFETIME + 1),
        "lives-too-long",
    );
    forge.claiming("exp in milliseconds", &at(NOW, (NOW + 120) * 1000), "lives-too-long");
    forge.claiming(
        "exp in nanoseconds, as far as they fit",
        &at(NOW, 9_007_199_254_740_991),
        "lives-too-long",
    );
    forge.claiming("iat and exp in milliseconds", &at(NOW * 1000, (NOW + 120) * 1000), "not-yet-valid");
    forge.claiming("issued as far ahead as the leeway", &at(NOW + LEEWAY, NOW + 120), "good");
    forge.claiming("issued a second beyond the leeway", &at(NOW + LEEWAY + 1, NOW + 120), "not-yet-valid");
    forge.claiming("nbf at the leeway", &Claims::download().with("nbf", &(NOW + LEEWAY).to_string()), "good");
    forge.claiming(
        "nbf beyond the leeway",
        &Claims::download().with("nbf", &(NOW + LEEWAY + 1).to_string()),
        "not-yet-valid",
    );
    forge.claiming(
        "nbf in milliseconds",
        &Claims::download().with("nbf", &(NOW * 1000).to_string()),
        "not-yet-valid",
    );
    forge.claiming("issued at the fence", &at(FENCE, NOW + 120), "good");
    forge.claiming("issued a second before the fence", &at(FENCE - 1, NOW + 120), "before-fence");
}

pub(super) fn files_and_names(forge: &mut Forge) {
    for file in [
        "",
        "/",
        "books/a.pdf",
        "/books/",
        "/books//a.pdf",
        "//books/a.pdf",
        "/books/../../etc/passwd",
        "/books/..",
        "/./books/a.pdf",
        "/books/a\\u0000.pdf",
        "C:\\\\a",
        "file:///etc/passwd",
    ] {
        forge.claiming(
            format!("file `{file}`"),
            &Claims::download().with("file", &format!("\"{file}\"")),
            "claim-value:file",
        );
    }
    let long = format!("\"/books/{}\"", "x".repeat(256));
    forge.claiming(
        "file with a name of 256 bytes",
        &Claims::download().with("file", &long),
        "claim-value:file",
    );
    forge.claiming(
        "file wrong and expired",
        &Claims::download().with("file", "\"x\"").with("exp", &(NOW - 9).to_string()),
        "expired",
    );
    for name in [".", "..", "../a.pdf", "/etc/passwd", "a/b", "a\\u0000b", "a\\/b"] {
        forge.claiming(
            format!("name `{name}`"),
            &Claims::download().with("name", &format!("\"{name}\"")),
            "claim-value:name",
        );
    }
}
