//! The keys whose tokens are accepted, each with its only algorithm.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use crate::token::batch::{self, BatchMember};
use crate::token::error::TokenError;
use crate::token::gathering;
use crate::token::json::{self, JsonFault};
use crate::token::jwk::PublicKey;
use crate::token::key_error::{KeyRingError, MAX_JWKS, MAX_KEYS};
use crate::token::kind::{Algorithm, TokenKind, header_part, is_key_id};
use crate::token::point;
use crate::token::shared_secret::HmacSecret;

/// The keys whose tokens are accepted. `Debug` shows key ids only.
#[derive(Clone, Default)]
pub struct KeyRing {
    /// Invariant: at most [`MAX_KEYS`] keys with unique kids.
    keys: Vec<RingKey>,
}

/// One key of the ring, with its algorithm.
#[derive(Clone)]
pub(super) struct RingKey {
    kid: String,
    /// The first part of this key's tokens as our signer writes it, for each kind of token.
    headers: [(TokenKind, String); 4],
    material: Material,
}

#[derive(Clone)]
enum Material {
    Public { key: PublicKey, decoding: DecodingKey },
    Shared(HmacSecret),
}

impl KeyRing {
    /// Creates a ring from the public keys in a JWKS (RFC 7517).
    ///
    /// # Errors
    /// See [`KeyRingError`].
    pub fn from_jwks(text: &str) -> Result<KeyRing, KeyRingError> {
        if text.len() > MAX_JWKS {
            return Err(KeyRingError::TooLong);
        }
        // The set, its list, a key, its key_ops: four levels.
        json::check(text, 4).map_err(|_: JsonFault| KeyRingError::Json)?;
        let set: Value = serde_json::from_str(text).map_err(|_| KeyRingError::Json)?;
        let set = set.as_object().ok_or(KeyRingError::Json)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeyRingError::Empty)?;
        if listed.is_empty() {
            return Err(KeyRingError::Empty);
        }
        // Counted before any point is checked, because those checks are expensive.
        if listed.len() > MAX_KEYS {
            return Err(KeyRingError::TooMany);
        }
        let mut ring = KeyRing::default();
        for jwk in listed {
            let (kid, key) = PublicKey::from_jwk(jwk.as_object().ok_or(KeyRingError::Json)?)?;
            ring = ring.with_key(&kid, key)?;
        }
        Ok(ring)
    }

    /// Returns this ring with another public key.
    ///
    /// # Errors
    /// If the ring is full, or the kid is taken or invalid.
    pub fn with_key(self, kid: &str, key: PublicKey) -> Result<KeyRing, KeyRingError> {
        let decoding = match key.algorithm() {
            Algorithm::EdDsa => DecodingKey::from_ed_der(&key.bytes()),
            _ => DecodingKey::from_ec_der(&key.bytes()),
        };
        self.with(kid, key.algorithm(), Material::Public { key, decoding })
    }

    /// Returns this ring with another shared secret.
    ///
    /// # Errors
    /// If the ring is full or the kid is taken.
    pub fn with_secret(self, secret: HmacSecret) -> Result<KeyRing, KeyRingError> {
        let kid = secret.kid().to_owned();
        self.with(&kid, secret.algorithm(), Material::Shared(secret))
    }

    fn with(mut self, kid: &str, algorithm: Algorithm, material: Material) -> Result<KeyRing, KeyRingError> {
        if !is_key_id(kid) {
            return Err(KeyRingError::KeyId);
        }
        if self.key(kid).is_some() {
            return Err(KeyRingError::DuplicateKid(kid.to_owned()));
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(KeyRingError::TooMany);
        }
        let headers = [TokenKind::Download, TokenKind::Action, TokenKind::Command, TokenKind::View]
            .map(|kind| (kind, header_part(algorithm, kid, kind)));
        self.keys.push(RingKey { kid: kid.to_owned(), headers, material });
        Ok(self)
    }

    /// Returns whether there are no keys, so that every token is refused.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the ids of all keys.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// Returns the algorithm of the key with this id.
    pub fn algorithm(&self, kid: &str) -> Option<Algorithm> {
        self.key(kid).map(RingKey::algorithm)
    }

    /// Returns the public keys as a JWKS (RFC 7517), without shared secrets.
    pub fn to_jwks(&self) -> String {
        let public = self.keys.iter().filter_map(|key| match &key.material {
            Material::Public { key: public, .. } => Some(public.to_jwk(&key.kid)),
            Material::Shared(_) => None,
        });
        json!({ "keys": public.collect::<Vec<_>>() }).to_string()
    }

    /// Checks a bare signature (64 bytes; HS256: 32) over `message` with the key `kid`.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], or why the signature isn't valid.
    pub fn check_signature(&self, kid: &str, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        let key = self.key(kid).ok_or(TokenError::UnknownKey)?;
        key.check(message, signature, &URL_SAFE_NO_PAD.encode(signature))
    }

    /// Checks bare signatures like [`KeyRing::check_signature`], but those of Ed25519 keys in a batch, if there are
    /// at most 64. Each has its kid, its message and its signature.
    pub fn check_signatures(&self, signed: &[(&str, &[u8], &[u8])]) -> Vec<Result<(), TokenError>> {
        let member = |(kid, message, signature): &(&str, &[u8], &[u8])| {
            self.key(kid).and_then(|key| key.batch_member(message, signature))
        };
        let members: Vec<Option<BatchMember>> = signed.iter().map(member).collect();
        let batch: Vec<&BatchMember> = members.iter().flatten().collect();
        let all_valid = batch::all_are_valid(&batch);
        let alone =
            |(kid, message, signature): &(&str, &[u8], &[u8])| self.check_signature(kid, message, signature);
        let verdicts = members.iter().zip(signed).map(|(member, signed)| match member {
            Some(_) if all_valid => Ok(()),
            _ => alone(signed),
        });
        verdicts.collect()
    }

    pub(super) fn key(&self, kid: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Returns the key whose tokens of this kind begin with exactly this part.
    pub(super) fn key_by_header(&self, part: &str, kind: TokenKind) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.headers.iter().any(|(of, header)| *of == kind && header == part))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kids()).finish()
    }
}

impl RingKey {
    pub(super) const fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Public { key, .. } => key.algorithm(),
            Material::Shared(secret) => secret.algorithm(),
        }
    }

    /// Checks like [`RingKey::check`], together with other signatures if the key is an Ed25519 key.
    pub(super) async fn check_in_batch(
        &self,
        message: &[u8],
        signature: &[u8],
        encoded: &str,
    ) -> Result<(), TokenError> {
        if let Some(member) = self.batch_member(message, signature)
            && gathering::is_in_a_valid_batch(member).await
        {
            return Ok(());
        }
        self.check(message, signature, encoded)
    }

    fn batch_member(&self, message: &[u8], signature: &[u8]) -> Option<BatchMember> {
        match &self.material {
            Material::Public { key, .. } => BatchMember::new(key.ed25519_point()?, message, signature),
            Material::Shared(_) => None,
        }
    }

    /// Returns whether `signature` (`encoded` in base64url) is this key's signature of `message`.
    pub(super) fn check(&self, message: &[u8], signature: &[u8], encoded: &str) -> Result<(), TokenError> {
        let (key, decoding) = match &self.material {
            Material::Shared(secret) => return secret.check(message, signature, encoded),
            Material::Public { key, decoding } => (key, decoding),
        };
        let (first, second) = halves(signature).ok_or(TokenError::SignatureLength)?;
        let algorithm = match key.algorithm() {
            Algorithm::EdDsa => {
                if point::is_weak(first) {
                    return Err(TokenError::SignaturePoint);
                }
                if !is_below_ed25519_order(second) {
                    return Err(TokenError::SignatureRange);
                }
                jsonwebtoken::Algorithm::EdDSA
            }
            _ => {
                if !is_p256_scalar(first) || !is_p256_scalar(second) {
                    return Err(TokenError::SignatureRange);
                }
                jsonwebtoken::Algorithm::ES256
            }
        };
        match jsonwebtoken::crypto::verify(encoded, message, decoding, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TokenError::BadSignature),
        }
    }
}

/// The two halves of a signature of 64 bytes.
fn halves(signature: &[u8]) -> Option<(&[u8; 32], &[u8; 32])> {
    match signature.as_chunks() {
        ([first, second], []) => Some((first, second)),
        _ => None,
    }
}

/// The order of the Ed25519 base point, big-endian (RFC 8032 section 5.1).
const ED25519_ORDER: [u8; 32] = [
    0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c, 0xd6, 0x58,
    0x12, 0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
];

/// The order of P-256, big-endian (SEC 2 section 2.4.2).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Returns whether S, little-endian, is in canonical form (RFC 8032 section 5.1.7).
fn is_below_ed25519_order(number: &[u8; 32]) -> bool {
    number.iter().rev().lt(&ED25519_ORDER)
}

/// Returns whether r or s, big-endian, is between 1 and the order minus 1 (FIPS 186-5 section 6.4.2).
fn is_p256_scalar(number: &[u8; 32]) -> bool {
    *number != [0; 32] && *number < P256_ORDER
}
