//! Verifies the tokens of views: the only place that creates a [`ViewGrant`].
//!
//! A view is not a download. It has a kind of its own, so that neither can pass for the other, and nothing of
//! it is used up: it may be sent any number of times within [`VIEW_LIFETIME`].

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti};
use crate::token::claims::ParsedClaims;
use crate::token::error::TokenError;
use crate::token::json::{JsonInteger, JsonString};
use crate::token::key_ring::KeyRing;
use crate::token::kind::TokenKind;
use crate::token::signed::signed_claims;
use crate::token::verify::{Base, Expiry, TokenRules, required, short};

/// How long a view may begin, and the maximum `exp - iat` of its token. No setting changes it: that of
/// downloads allows days, and a view isn't used up by anything but time.
pub const VIEW_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A verified view token: signature, times, audience and claims were checked. Only [`verify_view`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::manual_non_exhaustive, reason = "not even this crate may build one elsewhere")]
pub struct ViewGrant {
    /// The id by which it is revoked.
    pub jti: Jti,
    /// What may be viewed.
    pub file: FilePath,
    /// The size that the file must have, in bytes.
    pub size: Option<u64>,
    /// The version that the file must have.
    pub version: Option<String>,
    /// The opaque id of the account whose right it depends on.
    pub subject: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires, without leeway.
    pub expires_at: Timestamp,
    checked: (), // private: no other module can build a ViewGrant
}

/// Verifies a view token. Tokens issued before `fence` are refused, because the store may have lost their
/// revocations.
///
/// # Errors
/// The first check that fails, in the order of [`TokenError`]'s variants.
pub fn verify_view(
    unverified: &str,
    ring: &KeyRing,
    rules: &TokenRules,
    now: Timestamp,
    fence: Timestamp,
) -> Result<ViewGrant, TokenError> {
    let bytes = signed_claims(unverified, ring, TokenKind::View)?;
    let mut found = ParsedClaims::parse(&bytes, TokenKind::View)?;
    let base = Base::take(&mut found)?;
    let subject = short(required("sub", found.sub)?, "sub")?;
    let JsonString(file) = required("file", found.file)?;
    let version = found.version.map(|version| short(version, "version")).transpose()?;
    base.check_within(rules, VIEW_LIFETIME, now, fence, Expiry::Counts)?;
    Ok(ViewGrant {
        jti: base.jti,
        file: file.parse().map_err(|_| TokenError::ClaimValue("file"))?,
        size: found.size.map(|JsonInteger(size)| size),
        version,
        subject,
        issued_at: base.issued_at,
        expires_at: base.expires_at,
        checked: (),
    })
}
