//! A private key: creating it, reading and writing PEM, and signing.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use zeroize::Zeroizing;

use crate::token::{Algorithm, PublicKey};
use crate::web::tokens::signer::error::SignerError;

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyType {
    /// Ed25519, for EdDSA signatures.
    #[default]
    Ed25519,
    /// P-256, for ES256 signatures.
    P256,
}

/// The text is not a supported signing algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing algorithm is `EdDSA` or `ES256`")]
pub struct UnknownKeyType;

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(text: &str) -> Result<KeyType, UnknownKeyType> {
        match text {
            "EdDSA" => Ok(KeyType::Ed25519),
            "ES256" => Ok(KeyType::P256),
            _ => Err(UnknownKeyType),
        }
    }
}

/// A private key, with its public key and its id.
pub(crate) struct PrivateKey {
    public: PublicKey,
    kid: String,
    pkcs8: Zeroizing<Vec<u8>>,
    signing: EncodingKey,
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

impl PrivateKey {
    pub(crate) fn make(key_type: KeyType) -> Result<PrivateKey, SignerError> {
        let random = SystemRandom::new();
        let document = match key_type {
            KeyType::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random),
            KeyType::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        };
        let document = document.map_err(|_| SignerError::Library("create a key"))?;
        PrivateKey::from_pkcs8(Zeroizing::new(document.as_ref().to_vec()))
            .ok_or(SignerError::Library("read the key that was just created"))
    }

    /// Returns `None` if it is neither an Ed25519 nor a P-256 key.
    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Option<PrivateKey> {
        let (public, signing) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8(&pkcs8) {
            let point = pair.public_key().as_ref().try_into().ok()?;
            (PublicKey::ed25519(point).ok()?, EncodingKey::from_ed_der(&pkcs8))
        } else {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).ok()?;
            // Uncompressed: 4, x, y (SEC 1 section 2.3.3).
            let ([x, y], []) = pair.public_key().as_ref().split_first()?.1.as_chunks() else { return None };
            (PublicKey::p256(*x, *y).ok()?, EncodingKey::from_ec_der(&pkcs8))
        };
        Some(PrivateKey { kid: public.thumbprint(), public, pkcs8, signing })
    }

    /// Returns `None` if it is not the PEM of a supported key.
    pub(crate) fn from_pem(text: &str) -> Option<PrivateKey> {
        let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
        let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
        PrivateKey::from_pkcs8(Zeroizing::new(STANDARD.decode(body.as_str()).ok()?))
    }

    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(STANDARD.encode(self.pkcs8.as_slice()));
        let mut pem = Zeroizing::new(format!("{BEGIN}\n"));
        // 64 characters per line (RFC 7468 section 2).
        for (position, character) in body.chars().enumerate() {
            if position > 0 && position % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push('\n');
        pem.push_str(END);
        pem.push('\n');
        pem
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) const fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    pub(crate) const fn key_type(&self) -> KeyType {
        match self.algorithm() {
            Algorithm::Es256 => KeyType::P256,
            _ => KeyType::Ed25519,
        }
    }

    /// Returns the signature of `message`, the first two parts of a token, in base64url; `None` if the
    /// library fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<String> {
        let algorithm = match self.algorithm() {
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            _ => jsonwebtoken::Algorithm::ES256,
        };
        jsonwebtoken::crypto::sign(message, &self.signing, algorithm).ok()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, ..)", self.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_pem_and_is_not_shown_by_debug() {
        for key_type in [KeyType::Ed25519, KeyType::P256] {
            let key = PrivateKey::make(key_type).unwrap();
            let pem = key.to_pem();
            assert!(pem.lines().all(|line| line.len() <= 64), "{key_type:?}");
            assert_eq!(PrivateKey::from_pem(&pem).unwrap().kid(), key.kid());
            assert_eq!(format!("{key:?}"), format!("PrivateKey({}, ..)", key.kid()));
        }
        assert!(
            PrivateKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").is_none()
        );
        assert!(PrivateKey::from_pem("").is_none());
    }
}
