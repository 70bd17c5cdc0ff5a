//! Makes the vectors: good tokens, and what hostile hands make of them.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde::{Deserialize, Serialize};

use super::keys::{
    EC_KID, ED_KID, HS_KID, SECRET, b64, ec_signing, ed_public_spellings, ed_signing, ed_signing_with,
    signed, unhex,
};

pub(crate) const ISSUER: &str = "https://app.example";
pub(crate) const AUDIENCE: &str = "https://dl.example";
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const FENCE: u64 = NOW - 86_400;
pub(crate) const LEEWAY: u64 = 5;
pub(crate) const MAX_LIFETIME: u64 = 604_800;

/// One token and what must become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) name: String,
    /// Whom it is shown to: `download`, `action` or `command`.
    pub(crate) to: String,
    #[serde(flatten)]
    pub(crate) text: Text,
    /// `good`, `invalid-token` or `expired-token`.
    pub(crate) verdict: String,
    /// The check that refuses, or `good`.
    pub(crate) reason: String,
}

/// The token, spelled out or repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Text {
    Token(String),
    Repeat { before: String, text: String, count: usize, after: String },
}

impl Text {
    pub(crate) fn token(&self) -> String {
        match self {
            Text::Token(token) => token.clone(),
            Text::Repeat { before, text, count, after } => format!("{before}{}{after}", text.repeat(*count)),
        }
    }
}

/// Claims as raw JSON, in order; a name may stand twice.
#[derive(Clone)]
pub(crate) struct Claims(Vec<(String, String)>);

impl Claims {
    pub(crate) fn download() -> Claims {
        Claims::common().with("sub", r#""u1""#).with("file", r#""/books/a.pdf""#)
    }

    fn action() -> Claims {
        Claims::common()
            .with("aud", &format!("\"{ISSUER}\""))
            .with("sub", r#""u1""#)
            .with("purpose", r#""activate""#)
            .with("state", r#""s1""#)
    }

    fn command() -> Claims {
        Claims::common().with("revoke", r#"["AAECAwQFBgcICQoLDA0ODw"]"#)
    }

    fn common() -> Claims {
        Claims(Vec::new())
            .with("iss", &format!("\"{ISSUER}\""))
            .with("aud", &format!("\"{AUDIENCE}\""))
            .with("jti", r#""AAECAwQFBgcICQoLDA0ODw""#)
            .with("iat", &(NOW - 10).to_string())
            .with("exp", &(NOW + 110).to_string())
    }

    pub(crate) fn with(mut self, name: &str, raw: &str) -> Claims {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => raw.clone_into(value),
            None => self.0.push((name.to_owned(), raw.to_owned())),
        }
        self
    }

    fn without(mut self, name: &str) -> Claims {
        self.0.retain(|(known, _)| known != name);
        self
    }

    fn and(mut self, name: &str, raw: &str) -> Claims {
        self.0.push((name.to_owned(), raw.to_owned()));
        self
    }

    pub(crate) fn json(&self) -> String {
        let members: Vec<_> = self.0.iter().map(|(name, raw)| format!("\"{name}\":{raw}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

pub(crate) fn header(alg: &str, kid: &str, typ: &str) -> String {
    format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#)
}

pub(crate) fn ed_header() -> String {
    header("EdDSA", ED_KID, "dl+jwt")
}

/// A token as an insider would sign it: any header, any claims, the right Ed25519 key.
pub(crate) fn ed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed(header, claims, &ed_signing(), Algorithm::EdDSA)
}

pub(crate) fn ec(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed(header, claims, &ec_signing(), Algorithm::ES256)
}

pub(crate) fn hs(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>, secret: &[u8]) -> String {
    signed(header, claims, &EncodingKey::from_secret(secret), Algorithm::HS256)
}

#[derive(Default)]
struct Forge {
    vectors: Vec<Vector>,
}

impl Forge {
    fn add(&mut self, name: impl Into<String>, to: &str, token: String, reason: &str) {
        let verdict = match reason {
            "good" => "good",
            "expired" | "before-fence" => "expired-token",
            _ => "invalid-token",
        };
        self.vectors.push(Vector {
            name: name.into(),
            to: to.to_owned(),
            text: Text::Token(token),
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn download(&mut self, name: impl Into<String>, token: String, reason: &str) {
        self.add(name, "download", token, reason);
    }

    fn headed(&mut self, name: impl Into<String>, header: impl AsRef<[u8]>, reason: &str) {
        self.download(name, ed(header, Claims::download().json()), reason);
    }

    fn claiming(&mut self, name: impl Into<String>, claims: &Claims, reason: &str) {
        self.download(name, ed(ed_header(), claims.json()), reason);
    }

    fn raw_claims(&mut self, name: &str, claims: impl AsRef<[u8]>, reason: &str) {
        self.download(name, ed(ed_header(), claims), reason);
    }
}

pub(crate) fn good_token() -> String {
    ed(ed_header(), Claims::download().json())
}

pub(crate) fn vectors() -> Vec<Vector> {
    let mut forge = Forge::default();
    good(&mut forge);
    outer_form(&mut forge);
    headers(&mut forge);
    algorithms_and_keys(&mut forge);
    signatures(&mut forge);
    ecdsa_signatures(&mut forge);
    claims_as_json(&mut forge);
    claims_by_type(&mut forge);
    issuer_and_audience(&mut forge);
    times(&mut forge);
    files_and_names(&mut forge);
    other_kinds(&mut forge);
    forge.vectors
}

fn good(forge: &mut Forge) {
    let plain = Claims::download().json();
    forge.download("plain, EdDSA", good_token(), "good");
    forge.download("plain, ES256", ec(header("ES256", EC_KID, "dl+jwt"), &plain), "good");
    forge.download("plain, HS256", hs(header("HS256", HS_KID, "dl+jwt"), &plain, SECRET), "good");
    forge.headed(
        "header in another order",
        format!(r#"{{"typ":"dl+jwt","alg":"EdDSA","kid":"{ED_KID}"}}"#),
        "good",
    );
    forge.headed(
        "header with white space",
        format!("{{ \"alg\" : \"EdDSA\",\r\n\t\"kid\":\"{ED_KID}\",\"typ\":\"dl+jwt\" }}\n"),
        "good",
    );
    forge.headed(
        "header with an escape",
        format!(r#"{{"\u0061lg":"EdDSA","kid":"{ED_KID}","typ":"dl\u002bjwt"}}"#),
        "good",
    );
    forge.claiming(
        "every optional claim",
        &Claims::download()
            .with("nbf", &(NOW - 10).to_string())
            .with("name", r#""my \"own\" name.pdf""#)
            .with("confirm", "true")
            .with("link", r#""l1""#)
            .with("size", "0")
            .with("version", r#""v1""#),
        "good",
    );
    forge.claiming(
        "a file name in Chinese",
        &Claims::download().with("file", r#""/books/我这一辈子.pdf""#),
        "good",
    );
    forge.claiming("an unknown claim", &Claims::download().and("azp", r#"["x",null,-1.5e3]"#), "good");
    forge.claiming("an unknown claim of four levels", &Claims::download().and("x", "[[[1]]]"), "good");
    forge.claiming("a claim of another kind", &Claims::download().and("purpose", "5"), "good");
    let fill = |count: usize| {
        ed(ed_header(), Claims::download().and("fill", &format!("\"{}\"", "x".repeat(count))).json())
    };
    let at_most = (0..4096).rev().map(fill).find(|token| token.len() <= 4096).unwrap();
    forge.download("as long as may be", at_most, "good");
}

fn outer_form(forge: &mut Forge) {
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
    // 64 bytes leave four spare bits in the last character: A, Q, g and w alone are canonical.
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

fn headers(forge: &mut Forge) {
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

fn algorithms_and_keys(forge: &mut Forge) {
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
        hs(ed_header(), &claims, &super::keys::ed_public()),
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
            // Of this fixed pair R is no weak point and S is too large for Ed25519.
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

/// Made once with R = the neutral point and S = h·a: it satisfies the equation of RFC 8032, so only
/// the rule against points of small order refuses it.
pub(crate) const SMALL_ORDER_SIGNATURE: &str =
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABQFCGhXuNKdwxNOsmHw3Mu3dp_K6tMPkbvGW4ECjzoBA";

fn signatures(forge: &mut Forge) {
    let good = good_token();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = decode(signature);
    let with = |bytes: &[u8]| format!("{message}.{}", b64(bytes));
    let flip = |at: usize, bit: u8| {
        let mut changed = bytes.clone();
        changed[at] ^= bit;
        with(&changed)
    };
    forge.download("signature: none", format!("{message}."), "signature-length");
    forge.download("signature: one byte", with(&bytes[..1]), "signature-length");
    forge.download("signature: R alone", with(&bytes[..32]), "signature-length");
    forge.download("signature: a byte short", with(&bytes[..63]), "signature-length");
    forge.download("signature: a byte long", with(&[&bytes[..], &[0]].concat()), "signature-length");
    forge.download("signature: twice", with(&[&bytes[..], &bytes[..]].concat()), "signature-length");
    forge.download(
        "signature: in hexadecimal",
        {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{message}.{hex}")
        },
        "signature-length",
    );
    forge.download("signature: first bit", flip(0, 1), "bad-signature");
    forge.download("signature: last bit of R", flip(31, 0x80), "bad-signature");
    forge.download("signature: first bit of S", flip(32, 1), "bad-signature");
    forge.download("signature: last bit of S", flip(63, 0x80), "signature-range");
    forge.download("signature: S above the order by its bits", flip(63, 0x20), "signature-range");
    forge.download(
        "signature: malleable, S + L",
        {
            let mut changed = bytes.clone();
            add_order(&mut changed[32..], 1);
            with(&changed)
        },
        "signature-range",
    );
    forge.download(
        "signature: malleable, S + 8 L",
        {
            let mut changed = bytes.clone();
            add_order(&mut changed[32..], 8);
            with(&changed)
        },
        "signature-range",
    );
    forge.download("signature: all zero", with(&[0; 64]), "signature-point");
    forge.download("signature: all ones", with(&[0xff; 64]), "signature-point");
    forge.download(
        "signature: R neutral, S zero",
        {
            let mut changed = [0; 64];
            changed[0] = 1;
            with(&changed)
        },
        "signature-point",
    );
    forge.download(
        "signature: R of small order, and the equation holds",
        format!("{message}.{SMALL_ORDER_SIGNATURE}"),
        "signature-point",
    );
    for (name, point) in [
        ("0", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("1 with the sign bit", "0100000000000000000000000000000000000000000000000000000000000080"),
        ("-1", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ("of order 8, other", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        ("p, not canonical", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("p + 1, not canonical", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("2^255 - 1", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ] {
        forge.download(
            format!("signature: R is {name}"),
            with(&[&unhex(point)[..], &bytes[32..]].concat()),
            "signature-point",
        );
    }
    let stranger = ed_signing_with(&[7; 32]);
    forge.download(
        "signed by a stranger",
        signed(ed_header(), Claims::download().json(), &stranger, Algorithm::EdDSA),
        "bad-signature",
    );
    let other = ed(ed_header(), Claims::download().with("file", r#""/books/b.pdf""#).json());
    let (_, others) = other.rsplit_once('.').unwrap();
    forge.download("signature of another token", format!("{message}.{others}"), "bad-signature");
    let head = message.split_once('.').unwrap().0;
    let claims = b64(Claims::download().with("file", r#""/books/secret.pdf""#).json());
    forge.download("claims changed", format!("{head}.{claims}.{signature}"), "bad-signature");
    forge.download(
        "claims that are no JSON, signature bad",
        format!("{head}.AAAA.{signature}"),
        "bad-signature",
    );
    let reordered = b64(format!(r#"{{"kid":"{ED_KID}","alg":"EdDSA","typ":"dl+jwt"}}"#));
    let payload = message.split_once('.').unwrap().1;
    forge.download("header reordered", format!("{reordered}.{payload}.{signature}"), "bad-signature");
    let hmac = hs(header("HS256", HS_KID, "dl+jwt"), Claims::download().json(), SECRET);
    let (message, signature) = hmac.rsplit_once('.').unwrap();
    let bytes = decode(signature);
    forge.download("HMAC: none", format!("{message}."), "signature-length");
    forge.download("HMAC: a byte short", format!("{message}.{}", b64(&bytes[..31])), "signature-length");
    forge.download(
        "HMAC: 64 bytes",
        format!("{message}.{}", b64([&bytes[..], &bytes[..]].concat())),
        "signature-length",
    );
    forge.download("HMAC: zero", format!("{message}.{}", b64([0; 32])), "bad-signature");
}

/// The order of P-256.
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

fn ecdsa_signatures(forge: &mut Forge) {
    let good = ec(header("ES256", EC_KID, "dl+jwt"), Claims::download().json());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = decode(signature);
    let (r, s) = bytes.split_at(32);
    let with = |parts: &[&[u8]]| format!("{message}.{}", b64(parts.concat()));
    let (n, zero) = (unhex(N), [0_u8; 32]);
    forge.download("ES256: r is 0", with(&[&zero, s]), "signature-range");
    forge.download("ES256: s is 0", with(&[r, &zero]), "signature-range");
    forge.download("ES256: both are 0", with(&[&zero, &zero]), "signature-range");
    forge.download("ES256: r is n", with(&[&n, s]), "signature-range");
    forge.download("ES256: s is n", with(&[r, &n]), "signature-range");
    forge.download("ES256: all ones", with(&[&[0xff; 64]]), "signature-range");
    forge.download("ES256: r and s swapped", with(&[s, r]), "bad-signature");
    forge.download(
        "ES256: as DER",
        {
            let integer = |number: &[u8]| [&[2, 33, 0][..], number].concat();
            with(&[&[0x30, 70], &integer(r), &integer(s)])
        },
        "signature-length",
    );
    forge.download("ES256: a byte short", with(&[&bytes[..63]]), "signature-length");
    forge.download("ES256: a zero before r", with(&[&[0], &bytes]), "signature-length");
    forge.download("ES256: P-384's length", with(&[&bytes, &zero]), "signature-length");
    // Of ECDSA both s and n - s hold. That opens nothing: the jti is what is used up.
    forge.download("ES256: n - s", with(&[r, &subtract(&n, s)]), "good");
}

fn claims_as_json(forge: &mut Forge) {
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

fn claims_by_type(forge: &mut Forge) {
    for claim in ["iss", "aud", "sub", "jti", "file", "name", "link", "version"] {
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
    for raw in ["null", "1", "0", r#""true""#, "[]"] {
        forge.claiming(
            format!("confirm is {raw}"),
            &Claims::download().with("confirm", raw),
            "claim-type:confirm",
        );
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

fn issuer_and_audience(forge: &mut Forge) {
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

fn times(forge: &mut Forge) {
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

fn files_and_names(forge: &mut Forge) {
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

fn other_kinds(forge: &mut Forge) {
    let kinds = [
        ("download", "dl+jwt", Claims::download()),
        ("action", "act+jwt", Claims::action()),
        ("command", "cmd+jwt", Claims::command()),
    ];
    for (of, typ, claims) in &kinds {
        let token = ed(header("EdDSA", ED_KID, typ), claims.json());
        for (to, _, _) in &kinds {
            forge.add(
                format!("{of} token shown to {to}"),
                to,
                token.clone(),
                if of == to { "good" } else { "wrong-kind" },
            );
        }
        let under = ed(ed_header(), claims.json());
        if *of != "download" {
            forge.download(
                format!("{of} claims under dl+jwt"),
                under,
                "claim-missing:sub".replace("sub", if *of == "command" { "sub" } else { "file" }).as_str(),
            );
        }
    }
    let action = |claims: Claims| ed(header("EdDSA", ED_KID, "act+jwt"), claims.json());
    for claim in ["purpose", "state", "sub"] {
        forge.add(
            format!("action: {claim} missing"),
            "action",
            action(Claims::action().without(claim)),
            &format!("claim-missing:{claim}"),
        );
        forge.add(
            format!("action: {claim} a number"),
            "action",
            action(Claims::action().with(claim, "1")),
            &format!("claim-type:{claim}"),
        );
        forge.add(
            format!("action: {claim} empty"),
            "action",
            action(Claims::action().with(claim, "\"\"")),
            &format!("claim-value:{claim}"),
        );
    }
    forge.add(
        "action: for the download service",
        "action",
        action(Claims::action().with("aud", &format!("\"{AUDIENCE}\""))),
        "wrong-audience",
    );
    forge.add(
        "action: expired",
        "action",
        action(Claims::action().with("iat", &(NOW - 100).to_string()).with("exp", &(NOW - 50).to_string())),
        "expired",
    );
    forge.add(
        "action: before the fence",
        "action",
        action(Claims::action().with("iat", &(FENCE - 1).to_string())),
        "before-fence",
    );
    let command = |claims: Claims| ed(header("EdDSA", ED_KID, "cmd+jwt"), claims.json());
    let jtis = |count: usize| format!("[{}]", vec!["\"AAECAwQFBgcICQoLDA0ODw\""; count].join(","));
    for (name, raw, reason) in [
        ("an empty list", "[]".to_owned(), "claim-value:revoke"),
        ("no list", r#""AAECAwQFBgcICQoLDA0ODw""#.to_owned(), "claim-type:revoke"),
        ("a number in it", "[1]".to_owned(), "claim-type:revoke"),
        ("no jti", r#"["*"]"#.to_owned(), "claim-value:revoke"),
        ("a hundred", jtis(100), "good"),
        ("a hundred and one", jtis(101), "claim-value:revoke"),
    ] {
        forge.add(
            format!("command: {name}"),
            "command",
            command(Claims::command().with("revoke", &raw)),
            reason,
        );
    }
    forge.add(
        "command: revoke missing",
        "command",
        command(Claims::command().without("revoke")),
        "claim-missing:revoke",
    );
    forge.add(
        "command: before the fence, which a repeated command may be",
        "command",
        command(Claims::command().with("iat", &(FENCE - 1).to_string())),
        "good",
    );
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Adds `times` the order of the Ed25519 base point to a little-endian number.
fn add_order(number: &mut [u8], times: u16) {
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (digit, add) in number.iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(add) * times + carry;
        *digit = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
}

/// `from - what`, big-endian.
fn subtract(from: &[u8], what: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits: Vec<u8> = from
        .iter()
        .zip(what)
        .rev()
        .map(|(from, what)| {
            let difference = i16::from(*from) - i16::from(*what) - borrow;
            borrow = i16::from(difference < 0);
            u8::try_from(difference & 0xff).unwrap()
        })
        .collect();
    digits.reverse();
    digits
}
