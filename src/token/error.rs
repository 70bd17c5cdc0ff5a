//! The reasons for refusing a token: one variant for each check, so that test vectors, log lines and `token
//! verify` can name it.

use std::fmt;

use crate::clock::Timestamp;
use crate::token::kind::MAX_TOKEN;

/// A token is refused. The message says nothing about the token's content except the names of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`MAX_TOKEN`] bytes.
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// It contains a byte that is neither base64url nor a dot.
    #[error("the token contains a character other than base64url and `.`")]
    Alphabet,
    /// Not three parts.
    #[error("the token does not have three parts")]
    PartCount,
    /// A part is not canonical base64url.
    #[error("the token's {0} is not canonical base64url")]
    Base64(TokenPart),
    /// The header is not a JSON object.
    #[error("the header is not a JSON object")]
    HeaderJson,
    /// The header has a member besides `alg`, `kid` and `typ`.
    #[error("the header has a member besides `alg`, `kid` and `typ`")]
    HeaderMember,
    /// The header has a member twice.
    #[error("the header has a member twice")]
    HeaderDuplicate,
    /// The header lacks this member.
    #[error("the header has no `{0}`")]
    HeaderMissing(&'static str),
    /// This member of the header is not a text.
    #[error("the header's `{0}` is not a text")]
    HeaderType(&'static str),
    /// The token is of another kind.
    #[error("the header's `typ` is that of another kind of token")]
    WrongKind,
    /// No key in the ring has this `kid`.
    #[error("the key ring has no key with the header's `kid`")]
    UnknownKey,
    /// The header's `alg` is not that of the key.
    #[error("the header's `alg` is not that of the key")]
    WrongAlgorithm,
    /// The signature has the wrong length for its algorithm.
    #[error("the signature has the wrong length")]
    SignatureLength,
    /// The signature's R is a point of small order, or not in canonical form.
    #[error("the signature's point is of small order or not canonical")]
    SignaturePoint,
    /// A number in the signature is zero or not below the group's order.
    #[error("a number in the signature is out of range")]
    SignatureRange,
    /// The signature doesn't match the key, the header and the claims.
    #[error("the signature is not valid")]
    BadSignature,
    /// The claims are not a JSON object.
    #[error("the claims are not a JSON object")]
    ClaimsJson,
    /// The claims are nested deeper than four levels.
    #[error("the claims are nested too deeply")]
    ClaimsDepth,
    /// A member occurs twice in the claims, at any level.
    #[error("the claims have a member twice")]
    ClaimsDuplicate,
    /// This claim is required and missing.
    #[error("the claim `{0}` is missing")]
    ClaimMissing(&'static str),
    /// This claim has the wrong JSON type, or is a number that is not a whole one from 0 to 2⁵³ - 1.
    #[error("the claim `{0}` has the wrong type")]
    ClaimType(&'static str),
    /// This claim has an invalid value.
    #[error("the claim `{0}` has an invalid value")]
    ClaimValue(&'static str),
    /// `iss` is someone else.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// `aud` is someone else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `exp` is not later than `iat`.
    #[error("the token expires before it is issued")]
    EndsBeforeStart,
    /// `exp - iat` exceeds the maximum.
    #[error("the token's lifetime is longer than allowed")]
    LivesTooLong,
    /// `iat` or `nbf` is in the future.
    #[error("the token is not valid before {from}")]
    NotYetValid {
        /// When it becomes valid.
        from: Timestamp,
    },
    /// Past `exp` and the leeway.
    #[error("the token expired at {ended}")]
    Expired {
        /// Its `exp`.
        ended: Timestamp,
    },
    /// Issued before the fence.
    #[error("the token was issued before {fence}, when this node's record of used tokens begins")]
    BeforeFence {
        /// The fence.
        fence: Timestamp,
    },
}

impl TokenError {
    /// Returns whether the token was valid once: properly signed, but expired or issued before the fence. Any
    /// other refusal means that it is invalid.
    pub const fn is_expired(&self) -> bool {
        matches!(self, TokenError::Expired { .. } | TokenError::BeforeFence { .. })
    }

    /// Returns the failed check as a short stable word for log fields, counters and test vectors, or
    /// `check:member` if it concerns a member.
    pub fn reason(&self) -> String {
        let (check, member) = self.check();
        member.map_or_else(|| check.to_owned(), |member| format!("{check}:{member}"))
    }

    const fn check(&self) -> (&'static str, Option<&'static str>) {
        match self {
            TokenError::TooLong => ("too-long", None),
            TokenError::Alphabet => ("alphabet", None),
            TokenError::PartCount => ("part-count", None),
            TokenError::Base64(part) => ("base64", Some(part.name())),
            TokenError::HeaderJson => ("header-json", None),
            TokenError::HeaderMember => ("header-member", None),
            TokenError::HeaderDuplicate => ("header-duplicate", None),
            TokenError::HeaderMissing(member) => ("header-missing", Some(member)),
            TokenError::HeaderType(member) => ("header-type", Some(member)),
            TokenError::WrongKind => ("wrong-kind", None),
            TokenError::UnknownKey => ("unknown-key", None),
            TokenError::WrongAlgorithm => ("wrong-algorithm", None),
            TokenError::SignatureLength => ("signature-length", None),
            TokenError::SignaturePoint => ("signature-point", None),
            TokenError::SignatureRange => ("signature-range", None),
            TokenError::BadSignature => ("bad-signature", None),
            TokenError::ClaimsJson => ("claims-json", None),
            TokenError::ClaimsDepth => ("claims-depth", None),
            TokenError::ClaimsDuplicate => ("claims-duplicate", None),
            TokenError::ClaimMissing(claim) => ("claim-missing", Some(claim)),
            TokenError::ClaimType(claim) => ("claim-type", Some(claim)),
            TokenError::ClaimValue(claim) => ("claim-value", Some(claim)),
            TokenError::WrongIssuer => ("wrong-issuer", None),
            TokenError::WrongAudience => ("wrong-audience", None),
            TokenError::EndsBeforeStart => ("ends-before-start", None),
            TokenError::LivesTooLong => ("lives-too-long", None),
            TokenError::NotYetValid { .. } => ("not-yet-valid", None),
            TokenError::Expired { .. } => ("expired", None),
            TokenError::BeforeFence { .. } => ("before-fence", None),
        }
    }
}

/// One of a token's three parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPart {
    /// The first.
    Header,
    /// The second.
    Claims,
    /// The third.
    Signature,
}

impl TokenPart {
    const fn name(self) -> &'static str {
        match self {
            TokenPart::Header => "header",
            TokenPart::Claims => "claims",
            TokenPart::Signature => "signature",
        }
    }
}

impl fmt::Display for TokenPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
