//! The outer part of verifying a token: everything up to and including its signature.

use crate::token::error::{TokenError, TokenPart};
use crate::token::key_ring::{KeyRing, RingKey};
use crate::token::kind::TokenKind;
use crate::token::parse::{TokenHeader, TokenParts, decode};

/// A token of the right form, with the key that should have signed it.
pub(super) struct Unchecked<'t, 'r> {
    key: &'r RingKey,
    parts: TokenParts<'t>,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

impl<'t, 'r> Unchecked<'t, 'r> {
    /// Reads a token of this kind. Doesn't look at the claims.
    pub(super) fn read(
        unverified: &'t str,
        ring: &'r KeyRing,
        kind: TokenKind,
    ) -> Result<Unchecked<'t, 'r>, TokenError> {
        let parts = TokenParts::split(unverified)?;
        // A header that is identical to what the signer writes for a key of the ring is valid; only others have
        // to be parsed.
        let known = ring.key_by_header(parts.header, kind);
        let header = match known {
            Some(_) => Vec::new(),
            None => decode(parts.header, TokenPart::Header)?,
        };
        let claims = decode(parts.claims, TokenPart::Claims)?;
        let signature = decode(parts.signature, TokenPart::Signature)?;
        let key = match known {
            Some(key) => key,
            None => {
                let header = TokenHeader::parse(&header)?;
                if header.typ != kind.typ() {
                    return Err(TokenError::WrongKind);
                }
                let key = ring.key(&header.kid).ok_or(TokenError::UnknownKey)?;
                if header.alg != key.algorithm().name() {
                    return Err(TokenError::WrongAlgorithm);
                }
                key
            }
        };
        Ok(Unchecked { key, parts, claims, signature })
    }

    /// Verifies the signature, and returns the bytes of the claims.
    pub(super) fn verify(self) -> Result<Vec<u8>, TokenError> {
        self.key.check(self.parts.signed.as_bytes(), &self.signature, self.parts.signature)?;
        Ok(self.claims)
    }

    /// The same together with other tokens that are verified on this thread at this moment.
    pub(super) async fn verify_in_batch(self) -> Result<Vec<u8>, TokenError> {
        self.key.check_in_batch(self.parts.signed.as_bytes(), &self.signature, self.parts.signature).await?;
        Ok(self.claims)
    }
}

/// Returns the bytes of the claims after verifying the signature.
pub(super) fn signed_claims(
    unverified: &str,
    ring: &KeyRing,
    kind: TokenKind,
) -> Result<Vec<u8>, TokenError> {
    Unchecked::read(unverified, ring, kind)?.verify()
}
