//! Parses the outer format of a token: length, alphabet, three parts, canonical base64url, and the header
//! with its fixed members. Doesn't look at the claims.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::token::error::{TokenError, TokenPart};
use crate::token::json::JsonString;
use crate::token::kind::MAX_TOKEN;

/// A token's three parts, still encoded, with only base64url characters.
#[derive(Clone, Copy)]
pub struct TokenParts<'t> {
    /// The first part.
    pub header: &'t str,
    /// The second part.
    pub claims: &'t str,
    /// The third part.
    pub signature: &'t str,
    /// The signed text: the first two parts and the dot between them.
    pub signed: &'t str,
}

impl<'t> TokenParts<'t> {
    /// Splits a token.
    ///
    /// # Errors
    /// If it is too long, contains an invalid character or doesn't have three parts.
    pub fn split(unverified: &'t str) -> Result<TokenParts<'t>, TokenError> {
        if unverified.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        // No early exit, so that the compiler can compare many bytes at once.
        let foreign = unverified.bytes().fold(false, |found, b| {
            found | !(b.is_ascii_alphanumeric() | (b == b'-') | (b == b'_') | (b == b'.'))
        });
        if foreign {
            return Err(TokenError::Alphabet);
        }
        let (signed, signature) = unverified.rsplit_once('.').ok_or(TokenError::PartCount)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::PartCount)?;
        if claims.contains('.') {
            return Err(TokenError::PartCount);
        }
        Ok(TokenParts { header, claims, signature, signed })
    }
}

/// Decodes a part. Padding, invalid characters and spare bits that aren't zero are refused, so there is only
/// one encoding.
///
/// # Errors
/// [`TokenError::Base64`] with `part`.
pub fn decode(text: &str, part: TokenPart) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Base64(part))
}

/// The header: exactly these three members, all strings.
pub(super) struct TokenHeader<'h> {
    pub(super) alg: Cow<'h, str>,
    pub(super) kid: Cow<'h, str>,
    pub(super) typ: Cow<'h, str>,
}

impl<'h> TokenHeader<'h> {
    pub(super) fn parse(bytes: &'h [u8]) -> Result<TokenHeader<'h>, TokenError> {
        let text = str::from_utf8(bytes).map_err(|_| TokenError::HeaderJson)?;
        let fault = Cell::new(TokenError::HeaderJson);
        let mut reader = serde_json::Deserializer::from_str(text);
        let header = match reader.deserialize_map(HeaderVisitor { fault: &fault }) {
            Ok(header) => header,
            Err(error) if error.is_data() => return Err(fault.get()),
            Err(_) => return Err(TokenError::HeaderJson),
        };
        reader.end().map_err(|_| TokenError::HeaderJson)?;
        Ok(header)
    }
}

struct HeaderVisitor<'f> {
    fault: &'f Cell<TokenError>,
}

impl HeaderVisitor<'_> {
    fn fail<E: Error>(&self, fault: TokenError) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = TokenHeader<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TokenHeader<'de>, A::Error> {
        let (mut alg, mut kid, mut typ) = (None, None, None);
        while let Some(JsonString(name)) = map.next_key()? {
            let (slot, name) = match &*name {
                "alg" => (&mut alg, "alg"),
                "kid" => (&mut kid, "kid"),
                "typ" => (&mut typ, "typ"),
                _ => return Err(self.fail(TokenError::HeaderMember)),
            };
            if slot.is_some() {
                return Err(self.fail(TokenError::HeaderDuplicate));
            }
            self.fault.set(TokenError::HeaderType(name));
            let JsonString(value) = map.next_value()?;
            self.fault.set(TokenError::HeaderJson);
            *slot = Some(value);
        }
        Ok(TokenHeader {
            alg: alg.ok_or_else(|| self.fail(TokenError::HeaderMissing("alg")))?,
            kid: kid.ok_or_else(|| self.fail(TokenError::HeaderMissing("kid")))?,
            typ: typ.ok_or_else(|| self.fail(TokenError::HeaderMissing("typ")))?,
        })
    }
}
