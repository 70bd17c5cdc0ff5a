//! The text format of public keys: JWK (RFC 7517, 7518, 8037) and its thumbprint (RFC 7638).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::secret::Digest;
use crate::token::key_error::{InvalidPoint, KeyRingError};
use crate::token::kind::Algorithm;
use crate::token::point::KeyPoint;

/// Members of private and secret keys (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key whose point is on its curve and in the group of prime order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ed25519(KeyPoint),
    P256 { x: [u8; 32], y: [u8; 32] },
}

impl PublicKey {
    /// Creates an Ed25519 key (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// If the point is not on the curve, has a component of small order or is not canonical.
    pub fn ed25519(point: [u8; 32]) -> Result<PublicKey, InvalidPoint> {
        KeyPoint::decode(point).map(|key| PublicKey(Kind::Ed25519(key))).ok_or(InvalidPoint)
    }

    /// Creates a P-256 key from its coordinates, big-endian.
    ///
    /// # Errors
    /// If the point is not on the curve.
    pub fn p256(x: [u8; 32], y: [u8; 32]) -> Result<PublicKey, InvalidPoint> {
        let key = PublicKey(Kind::P256 { x, y });
        let curve = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED;
        match aws_lc_rs::signature::ParsedPublicKey::new(curve, key.bytes()) {
            Ok(_) => Ok(key),
            Err(_) => Err(InvalidPoint),
        }
    }

    /// Returns the algorithm of its signatures.
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::Ed25519(_) => Algorithm::EdDsa,
            Kind::P256 { .. } => Algorithm::Es256,
        }
    }

    /// Returns the point of an Ed25519 key.
    pub(super) const fn ed25519_point(&self) -> Option<&KeyPoint> {
        match &self.0 {
            Kind::Ed25519(point) => Some(point),
            Kind::P256 { .. } => None,
        }
    }

    /// Returns the point in the format of the signature library: 32 bytes, or 65 uncompressed ones (SEC 1).
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self.0 {
            Kind::Ed25519(point) => point.encoded().to_vec(),
            Kind::P256 { x, y } => [&[4], x.as_slice(), y.as_slice()].concat(),
        }
    }

    /// Returns the SHA-256 thumbprint (RFC 7638) in base64url: the key id of keys created here.
    pub fn thumbprint(&self) -> String {
        // The members that RFC 7638 requires, in its order and without white space.
        let text = match self.0 {
            Kind::Ed25519(point) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(point.encoded()))
            }
            Kind::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(&x), encode(&y))
            }
        };
        URL_SAFE_NO_PAD.encode(Digest::of(text.as_bytes()).as_bytes())
    }

    /// Returns the key as a JWK with this key id.
    pub(super) fn to_jwk(self, kid: &str) -> Value {
        let alg = self.algorithm().name();
        match self.0 {
            Kind::Ed25519(point) => json!({
                "kty": "OKP", "crv": "Ed25519", "x": encode(point.encoded()), "kid": kid, "alg": alg,
                "use": "sig",
            }),
            Kind::P256 { x, y } => json!({
                "kty": "EC", "crv": "P-256", "x": encode(&x), "y": encode(&y), "kid": kid, "alg": alg,
                "use": "sig",
            }),
        }
    }

    /// Parses one JWK. Returns it with its key id.
    pub(super) fn from_jwk(jwk: &Map<String, Value>) -> Result<(String, PublicKey), KeyRingError> {
        if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
            return Err(KeyRingError::Private);
        }
        let kid = text(jwk, "kid")?.ok_or(KeyRingError::Missing("kid"))?;
        let kty = text(jwk, "kty")?.ok_or(KeyRingError::Missing("kty"))?;
        let crv = text(jwk, "crv")?.ok_or(KeyRingError::Missing("crv"))?;
        let x = coordinate(jwk, "x")?;
        let key = match (kty, crv) {
            ("OKP", "Ed25519") if jwk.contains_key("y") => return Err(KeyRingError::Disagrees("y")),
            ("OKP", "Ed25519") => PublicKey::ed25519(x),
            ("EC", "P-256") => PublicKey::p256(x, coordinate(jwk, "y")?),
            _ => return Err(KeyRingError::Unsupported),
        }
        .map_err(KeyRingError::Point)?;
        if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyRingError::Disagrees("use"));
        }
        if text(jwk, "alg")?.is_some_and(|alg| alg != key.algorithm().name()) {
            return Err(KeyRingError::Disagrees("alg"));
        }
        match jwk.get("key_ops") {
            None => {}
            Some(Value::Array(operations)) if operations.as_slice() == ["verify"] => {}
            Some(_) => return Err(KeyRingError::Disagrees("key_ops")),
        }
        Ok((kid.to_owned(), key))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn text<'j>(jwk: &'j Map<String, Value>, member: &'static str) -> Result<Option<&'j str>, KeyRingError> {
    match jwk.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyRingError::Disagrees(member)),
    }
}

fn coordinate(jwk: &Map<String, Value>, member: &'static str) -> Result<[u8; 32], KeyRingError> {
    let encoded = text(jwk, member)?.ok_or(KeyRingError::Missing(member))?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| KeyRingError::Disagrees(member))?;
    bytes.try_into().map_err(|_| KeyRingError::Disagrees(member))
}
