//! Creates the token vectors: valid tokens, and hostile variants of them.

mod claims;
mod form;
mod keys_and_algorithms;
mod kinds;
mod signatures;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde::{Deserialize, Serialize};

use super::keys::{EC_KID, ED_KID, HS_KID, SECRET, ec_signing, ed_signing, signed};

pub(crate) use signatures::SMALL_ORDER_SIGNATURE;

pub(crate) const ISSUER: &str = "https://app.example";
pub(crate) const AUDIENCE: &str = "https://dl.example";
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const FENCE: u64 = NOW - 86_400;
pub(crate) const LEEWAY: u64 = 5;
pub(crate) const MAX_LIFETIME: u64 = 604_800;

/// A token and the expected result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) name: String,
    /// The verifier that gets it: `download`, `action`, `command` or `view`.
    pub(crate) to: String,
    #[serde(flatten)]
    pub(crate) text: Text,
    /// `good`, `invalid-token` or `expired-token`.
    pub(crate) verdict: String,
    /// The check that refuses it, or `good`.
    pub(crate) reason: String,
}

/// The token, in full or as a repetition.
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

/// Claims as raw JSON, in order; a name may occur twice.
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

    fn view() -> Claims {
        Claims::download()
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

/// A token as an insider could sign it: any header, any claims, the right Ed25519 key.
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
    form::outer_form(&mut forge);
    form::headers(&mut forge);
    keys_and_algorithms::algorithms_and_keys(&mut forge);
    signatures::signatures(&mut forge);
    signatures::ecdsa_signatures(&mut forge);
    claims::claims_as_json(&mut forge);
    claims::claims_by_type(&mut forge);
    claims::issuer_and_audience(&mut forge);
    claims::times(&mut forge);
    claims::files_and_names(&mut forge);
    kinds::other_kinds(&mut forge);
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
            .with("version", r#""v1""#)
            .with("digest", r#""47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=""#),
        "good",
    );
    forge.claiming(
        "a file name in Chinese",
        &Claims::download().with("file", r#""/books/我这一辈子.pdf""#),
        "good",
    );
    for raw in ["true", "false"] {
        forge.claiming(format!("again is {raw}"), &Claims::download().with("again", raw), "good");
    }
    forge.claiming("again in capitals is an unknown claim", &Claims::download().and("Again", "1"), "good");
    forge.claiming("an unknown claim", &Claims::download().and("azp", r#"["x",null,-1.5e3]"#), "good");
    forge.claiming("an unknown claim of four levels", &Claims::download().and("x", "[[[1]]]"), "good");
    forge.claiming("a claim of another kind", &Claims::download().and("purpose", "5"), "good");
    let fill = |count: usize| {
        ed(ed_header(), Claims::download().and("fill", &format!("\"{}\"", "x".repeat(count))).json())
    };
    let at_most = (0..4096).rev().map(fill).find(|token| token.len() <= 4096).unwrap();
    forge.download("as long as may be", at_most, "good");
}
