//! Verifies tokens: the only place that creates a [`Grant`], an [`ActionGrant`] or a [`CommandGrant`]. The
//! tokens of views are verified beside it, by the same checks.
//!
//! The order of the checks is part of the contract: the claims aren't read before the signature is verified,
//! and a token is called expired only if everything else about it is valid.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::id::{Jti, LinkId};
use crate::token::claims::{MAX_REVOKED, ParsedClaims};
use crate::token::content::{ClaimedContent, GrantContent};
use crate::token::error::TokenError;
use crate::token::json::{JsonInteger, JsonString};
use crate::token::key_ring::KeyRing;
use crate::token::kind::TokenKind;
use crate::token::signed::{Unchecked, signed_claims};

/// What a verifier requires of every token.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The only `iss` accepted.
    pub issuer: String,
    /// The only `aud` accepted.
    pub audience: String,
    /// Clock skew allowed on `iat`, `nbf` and `exp`. Purging uses the same value.
    pub leeway: Duration,
    /// Maximum `exp - iat`.
    pub max_lifetime: Duration,
}

/// A verified download token: signature, times, audience and claims were checked. Only a
/// [`SignedDownload`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::manual_non_exhaustive, reason = "not even this crate may build one elsewhere")]
pub struct Grant {
    /// The id that redeeming uses up.
    pub jti: Jti,
    /// What may be downloaded.
    pub content: GrantContent,
    /// The file name to save as, if it isn't the file's own.
    pub name: Option<String>,
    /// Whether a page with a button comes first.
    pub confirm: bool,
    /// Whether it is a continuation: it never redeems, and continues what its jti began.
    pub again: bool,
    /// The id of the link that it came from.
    pub link: Option<LinkId>,
    /// The size that the file or archive must have, in bytes.
    pub size: Option<u64>,
    /// The version that the file must have.
    pub version: Option<String>,
    /// The SHA-256 of that version, in base64.
    pub digest: Option<String>,
    /// The opaque id of the account that asked for it.
    pub subject: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires, without leeway.
    pub expires_at: Timestamp,
    checked: (), // private: no other module can build a Grant
}

/// A verified action token. Only [`verify_action`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::manual_non_exhaustive, reason = "not even this crate may build one elsewhere")]
pub struct ActionGrant {
    /// The id that the action uses up.
    pub jti: Jti,
    /// The action, such as `activate`.
    pub purpose: String,
    /// The opaque id of the account.
    pub subject: String,
    /// The state that it is bound to.
    pub state: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires, without leeway.
    pub expires_at: Timestamp,
    checked: (),
}

/// A verified command token. Only [`verify_command`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::manual_non_exhaustive, reason = "not even this crate may build one elsewhere")]
pub struct CommandGrant {
    /// The command's own id.
    pub jti: Jti,
    /// The jtis to revoke; at least one.
    pub revoke: Vec<Jti>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires, without leeway.
    pub expires_at: Timestamp,
    checked: (),
}

/// A download token whose signature was verified, and nothing else yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDownload {
    claims: Vec<u8>,
}

impl SignedDownload {
    /// Verifies the signature of a download token.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`TokenError`]'s variants.
    pub fn verify(unverified: &str, ring: &KeyRing) -> Result<SignedDownload, TokenError> {
        let claims = signed_claims(unverified, ring, TokenKind::Download)?;
        Ok(SignedDownload { claims })
    }

    /// The same in a batch with the others that are verified on this thread at this moment. That costs a worker
    /// under load much less; each result is the same.
    ///
    /// # Errors
    /// As [`SignedDownload::verify`].
    pub async fn verify_in_batch(unverified: &str, ring: &KeyRing) -> Result<SignedDownload, TokenError> {
        let claims = Unchecked::read(unverified, ring, TokenKind::Download)?.verify_in_batch().await?;
        Ok(SignedDownload { claims })
    }

    /// Verifies the rest. Tokens issued before `fence` are refused.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`TokenError`]'s variants.
    pub fn grant(&self, rules: &TokenRules, now: Timestamp, fence: Timestamp) -> Result<Grant, TokenError> {
        self.checked(rules, now, fence, Expiry::Counts)
    }

    /// Verifies the rest except that the token hasn't expired. `exp` limits the start of a download; this is for
    /// finishing one. The caller must know from the record that the token was redeemed, and must not redeem it.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`TokenError`]'s variants; never its expiry.
    pub fn redeemed(
        &self,
        rules: &TokenRules,
        now: Timestamp,
        fence: Timestamp,
    ) -> Result<Grant, TokenError> {
        self.checked(rules, now, fence, Expiry::IsPast)
    }

    fn checked(
        &self,
        rules: &TokenRules,
        now: Timestamp,
        fence: Timestamp,
        end: Expiry,
    ) -> Result<Grant, TokenError> {
        let mut found = ParsedClaims::parse(&self.claims, TokenKind::Download)?;
        let base = Base::take(&mut found)?;
        let subject = short(required("sub", found.sub)?, "sub")?;
        let content = ClaimedContent::of(found.file, found.zip)?;
        let name = found.name.map(file_name).transpose()?;
        let link =
            found.link.map(|link| short(link, "link")).transpose()?.map(|link| LinkId::from_store(&link));
        let version = found.version.map(|version| short(version, "version")).transpose()?;
        let digest = found.digest.map(sha256).transpose()?;
        base.check(rules, now, fence, end)?;
        Ok(Grant {
            jti: base.jti,
            content: content.parse()?,
            name,
            confirm: found.confirm.unwrap_or(false),
            again: found.again.unwrap_or(false),
            link,
            size: found.size.map(|JsonInteger(size)| size),
            version,
            digest,
            subject,
            issued_at: base.issued_at,
            expires_at: base.expires_at,
            checked: (),
        })
    }
}

/// Verifies a download token. Tokens issued before `fence` are refused.
///
/// # Errors
/// The first check that fails, in the order of [`TokenError`]'s variants.
pub fn verify_download(
    unverified: &str,
    ring: &KeyRing,
    rules: &TokenRules,
    now: Timestamp,
    fence: Timestamp,
) -> Result<Grant, TokenError> {
    SignedDownload::verify(unverified, ring)?.grant(rules, now, fence)
}

/// Whether expired tokens are refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    Counts,
    IsPast,
}

/// Verifies an action token. Tokens issued before `fence` are refused.
///
/// # Errors
/// The first check that fails, in the order of [`TokenError`]'s variants.
pub fn verify_action(
    unverified: &str,
    ring: &KeyRing,
    rules: &TokenRules,
    now: Timestamp,
    fence: Timestamp,
) -> Result<ActionGrant, TokenError> {
    action(unverified, ring, rules, now, fence, Expiry::Counts)
}

/// Verifies everything about an action token except that it hasn't expired: for offering a new one to the
/// holder of the old one. The caller must not act on it.
///
/// # Errors
/// The first check that fails, in the order of [`TokenError`]'s variants; never its expiry.
pub fn verify_ended_action(
    unverified: &str,
    ring: &KeyRing,
    rules: &TokenRules,
    now: Timestamp,
    fence: Timestamp,
) -> Result<ActionGrant, TokenError> {
    action(unverified, ring, rules, now, fence, Expiry::IsPast)
}

fn action(
    unverified: &str,
    ring: &KeyRing,
    rules: &TokenRules,
    now: Timestamp,
    fence: Timestamp,
    end: Expiry,
) -> Result<ActionGrant, TokenError> {
    let bytes = signed_claims(unverified, ring, TokenKind::Action)?;
    let mut found = ParsedClaims::parse(&bytes, TokenKind::Action)?;
    let base = Base::take(&mut found)?;
    let subject = short(required("sub", found.sub)?, "sub")?;
    let purpose = short(required("purpose", found.purpose)?, "purpose")?;
    let state = short(required("state", found.state)?, "state")?;
    base.check(rules, now, fence, end)?;
    Ok(ActionGrant {
        jti: base.jti,
        purpose,
        subject,
        state,
        issued_at: base.issued_at,
        expires_at: base.expires_at,
        checked: (),
    })
}

/// Verifies a command token. There is no fence, because executing a command twice is harmless.
///
/// # Errors
/// The first check that fails, in the order of [`TokenError`]'s variants.
pub fn verify_command(
    unverified: &str,
    ring: &KeyRing,
    rules: &TokenRules,
    now: Timestamp,
) -> Result<CommandGrant, TokenError> {
    let bytes = signed_claims(unverified, ring, TokenKind::Command)?;
    let mut found = ParsedClaims::parse(&bytes, TokenKind::Command)?;
    let base = Base::take(&mut found)?;
    let listed = required("revoke", found.revoke)?;
    if !(1..=MAX_REVOKED).contains(&listed.len()) {
        return Err(TokenError::ClaimValue("revoke"));
    }
    let revoke = listed.iter().map(|text| jti(text, "revoke")).collect::<Result<_, _>>()?;
    base.check(rules, now, Timestamp::EPOCH, Expiry::Counts)?;
    Ok(CommandGrant {
        jti: base.jti,
        revoke,
        issued_at: base.issued_at,
        expires_at: base.expires_at,
        checked: (),
    })
}

/// The claims that all tokens have, with valid types but not yet checked against the rules.
pub(super) struct Base<'c> {
    issuer: JsonString<'c>,
    audience: JsonString<'c>,
    pub(super) jti: Jti,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    not_before: Option<Timestamp>,
}

impl<'c> Base<'c> {
    pub(super) fn take(found: &mut ParsedClaims<'c>) -> Result<Base<'c>, TokenError> {
        Ok(Base {
            issuer: required("iss", found.iss.take())?,
            audience: required("aud", found.aud.take())?,
            jti: jti(&required("jti", found.jti.take())?, "jti")?,
            issued_at: moment(required("iat", found.iat.take())?),
            expires_at: moment(required("exp", found.exp.take())?),
            not_before: found.nbf.take().map(moment),
        })
    }

    /// Checks issuer, audience, times and fence.
    fn check(
        &self,
        rules: &TokenRules,
        now: Timestamp,
        fence: Timestamp,
        end: Expiry,
    ) -> Result<(), TokenError> {
        self.check_within(rules, rules.max_lifetime, now, fence, end)
    }

    /// The same with another maximum of `exp - iat`.
    pub(super) fn check_within(
        &self,
        rules: &TokenRules,
        max_lifetime: Duration,
        now: Timestamp,
        fence: Timestamp,
        end: Expiry,
    ) -> Result<(), TokenError> {
        if self.issuer.0 != rules.issuer {
            return Err(TokenError::WrongIssuer);
        }
        if self.audience.0 != rules.audience {
            return Err(TokenError::WrongAudience);
        }
        if self.expires_at <= self.issued_at {
            return Err(TokenError::EndsBeforeStart);
        }
        if self.expires_at.since(self.issued_at) > max_lifetime {
            return Err(TokenError::LivesTooLong);
        }
        let from = self.not_before.map_or(self.issued_at, |not_before| not_before.max(self.issued_at));
        if from > now.plus(rules.leeway) {
            return Err(TokenError::NotYetValid { from });
        }
        if end == Expiry::Counts && now >= self.expires_at.plus(rules.leeway) {
            return Err(TokenError::Expired { ended: self.expires_at });
        }
        if self.issued_at < fence {
            return Err(TokenError::BeforeFence { fence });
        }
        Ok(())
    }
}

pub(super) fn required<T>(name: &'static str, claim: Option<T>) -> Result<T, TokenError> {
    claim.ok_or(TokenError::ClaimMissing(name))
}

fn moment(JsonInteger(seconds): JsonInteger) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn jti(JsonString(text): &JsonString<'_>, claim: &'static str) -> Result<Jti, TokenError> {
    text.parse().map_err(|_| TokenError::ClaimValue(claim))
}

/// A text of 1 to 255 bytes.
pub(super) fn short(JsonString(text): JsonString<'_>, claim: &'static str) -> Result<String, TokenError> {
    match text.len() {
        1..=255 => Ok(text.into_owned()),
        _ => Err(TokenError::ClaimValue(claim)),
    }
}

/// 32 bytes in canonical base64.
fn sha256(JsonString(text): JsonString<'_>) -> Result<String, TokenError> {
    let mut bytes = [0; 32];
    match STANDARD.decode_slice(text.as_bytes(), &mut bytes) {
        Ok(32) => Ok(text.into_owned()),
        _ => Err(TokenError::ClaimValue("digest")),
    }
}

/// A valid file name.
fn file_name(text: JsonString<'_>) -> Result<String, TokenError> {
    let name = short(text, "name")?;
    match name.as_str() {
        "." | ".." => Err(TokenError::ClaimValue("name")),
        name if name.contains(['/', '\0']) => Err(TokenError::ClaimValue("name")),
        _ => Ok(name),
    }
}
