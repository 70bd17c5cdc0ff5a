//! The claims of tokens: as the signer writes them, and the strict parser of the verifier.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti};
use crate::token::error::TokenError;
use crate::token::json::{JsonFault, JsonInteger, JsonString, StrictJson};
use crate::token::kind::TokenKind;

/// Maximum nesting depth of claims; the claims object itself is the first level.
const MAX_DEPTH: u8 = 4;

/// The claims that all tokens have.
#[derive(Clone, Debug, Serialize)]
pub struct CommonClaims<'a> {
    /// The issuer.
    pub iss: &'a str,
    /// The audience: one verifier.
    pub aud: &'a str,
    /// The token's unique id.
    pub jti: Jti,
    /// When it was issued.
    pub iat: Timestamp,
    /// When it expires.
    pub exp: Timestamp,
}

/// The claims of a download token.
#[derive(Clone, Debug, Serialize)]
pub struct DownloadClaims<'a> {
    /// The common claims.
    #[serde(flatten)]
    pub common: CommonClaims<'a>,
    /// The opaque id of the account that asked for it.
    pub sub: &'a str,
    /// The file that may be downloaded; `None` for an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<&'a FilePath>,
    /// The SHA-256 of the manifest of an archive in base64url, in place of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<&'a str>,
    /// The file name to save as, if it isn't the file's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// Whether a page with a button comes first.
    #[serde(skip_serializing_if = "is_false")]
    pub confirm: bool,
    /// Whether it is a continuation: it never redeems, and continues what its jti began.
    #[serde(skip_serializing_if = "is_false")]
    pub again: bool,
    /// The id of the link that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<&'a str>,
    /// The size of the file at the click, or of the archive, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The file's version at the click.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    /// The SHA-256 of that version, in base64, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<&'a str>,
}

/// The claims of a view token.
#[derive(Clone, Debug, Serialize)]
pub struct ViewClaims<'a> {
    /// The common claims.
    #[serde(flatten)]
    pub common: CommonClaims<'a>,
    /// The opaque id of the account whose right it depends on.
    pub sub: &'a str,
    /// What may be viewed.
    pub file: &'a FilePath,
    /// The file's size at the click, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The file's version at the click.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
}

/// The claims of an action token.
#[derive(Clone, Debug, Serialize)]
pub struct ActionClaims<'a> {
    /// The common claims.
    #[serde(flatten)]
    pub common: CommonClaims<'a>,
    /// The opaque id of the account.
    pub sub: &'a str,
    /// The action, such as `activate`.
    pub purpose: &'a str,
    /// The state that it is bound to: when it changes, the token becomes invalid.
    pub state: &'a str,
}

/// The claims of a command token.
#[derive(Clone, Debug, Serialize)]
pub struct CommandClaims<'a> {
    /// The common claims.
    #[serde(flatten)]
    pub common: CommonClaims<'a>,
    /// The jtis to revoke; at most [`MAX_REVOKED`].
    pub revoke: &'a [Jti],
}

/// Maximum number of jtis in one command, so that its token doesn't get too long.
pub const MAX_REVOKED: usize = 100;

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Parsed claims: each has its exact type, and none occurs twice. Unknown claims are skipped.
#[derive(Default)]
pub(super) struct ParsedClaims<'c> {
    pub(super) iss: Option<JsonString<'c>>,
    pub(super) aud: Option<JsonString<'c>>,
    pub(super) sub: Option<JsonString<'c>>,
    pub(super) jti: Option<JsonString<'c>>,
    pub(super) iat: Option<JsonInteger>,
    pub(super) exp: Option<JsonInteger>,
    pub(super) nbf: Option<JsonInteger>,
    pub(super) file: Option<JsonString<'c>>,
    pub(super) zip: Option<JsonString<'c>>,
    pub(super) name: Option<JsonString<'c>>,
    pub(super) confirm: Option<bool>,
    pub(super) again: Option<bool>,
    pub(super) link: Option<JsonString<'c>>,
    pub(super) size: Option<JsonInteger>,
    pub(super) version: Option<JsonString<'c>>,
    pub(super) digest: Option<JsonString<'c>>,
    pub(super) purpose: Option<JsonString<'c>>,
    pub(super) state: Option<JsonString<'c>>,
    pub(super) revoke: Option<Vec<JsonString<'c>>>,
}

impl<'c> ParsedClaims<'c> {
    /// Parses the claims of a token whose signature is valid. Claims of the other kinds are unknown here and
    /// skipped, too.
    pub(super) fn parse(bytes: &'c [u8], kind: TokenKind) -> Result<ParsedClaims<'c>, TokenError> {
        let text = str::from_utf8(bytes).map_err(|_| TokenError::ClaimsJson)?;
        let fault = Cell::new(TokenError::ClaimsJson);
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = match reader.deserialize_map(ClaimsVisitor { kind, fault: &fault }) {
            Ok(found) => found,
            Err(error) if error.is_data() => return Err(fault.get()),
            Err(_) => return Err(TokenError::ClaimsJson),
        };
        reader.end().map_err(|_| TokenError::ClaimsJson)?;
        Ok(found)
    }
}

struct ClaimsVisitor<'f> {
    kind: TokenKind,
    fault: &'f Cell<TokenError>,
}

impl ClaimsVisitor<'_> {
    fn fail<E: Error>(&self, fault: TokenError) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    fn read<'de, T, A>(&self, name: &'static str, slot: &mut Option<T>, map: &mut A) -> Result<(), A::Error>
    where
        T: Deserialize<'de>,
        A: MapAccess<'de>,
    {
        if slot.is_some() {
            return Err(self.fail(TokenError::ClaimsDuplicate));
        }
        self.fault.set(TokenError::ClaimType(name));
        *slot = Some(map.next_value()?);
        self.fault.set(TokenError::ClaimsJson);
        Ok(())
    }

    fn skip<'de, A: MapAccess<'de>>(
        &self,
        name: Cow<'de, str>,
        skipped: &mut Vec<Cow<'de, str>>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if skipped.contains(&name) {
            return Err(self.fail(TokenError::ClaimsDuplicate));
        }
        skipped.push(name);
        let fault = Cell::new(None);
        map.next_value_seed(StrictJson { depth: MAX_DEPTH - 1, fault: &fault }).inspect_err(|_| {
            self.fault.set(match fault.get() {
                Some(JsonFault::Duplicate) => TokenError::ClaimsDuplicate,
                Some(JsonFault::Depth) => TokenError::ClaimsDepth,
                Some(JsonFault::Syntax) | None => TokenError::ClaimsJson,
            });
        })
    }
}

impl<'de> Visitor<'de> for ClaimsVisitor<'_> {
    type Value = ParsedClaims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParsedClaims<'de>, A::Error> {
        use TokenKind::{Action, Command, Download, View};
        let mut found = ParsedClaims::default();
        let mut skipped = Vec::new();
        while let Some(JsonString(name)) = map.next_key()? {
            match (self.kind, &*name) {
                (_, "iss") => self.read("iss", &mut found.iss, &mut map)?,
                (_, "aud") => self.read("aud", &mut found.aud, &mut map)?,
                (_, "sub") => self.read("sub", &mut found.sub, &mut map)?,
                (_, "jti") => self.read("jti", &mut found.jti, &mut map)?,
                (_, "iat") => self.read("iat", &mut found.iat, &mut map)?,
                (_, "exp") => self.read("exp", &mut found.exp, &mut map)?,
                (_, "nbf") => self.read("nbf", &mut found.nbf, &mut map)?,
                (Download | View, "file") => self.read("file", &mut found.file, &mut map)?,
                (Download, "zip") => self.read("zip", &mut found.zip, &mut map)?,
                (Download, "name") => self.read("name", &mut found.name, &mut map)?,
                (Download, "confirm") => self.read("confirm", &mut found.confirm, &mut map)?,
                (Download, "again") => self.read("again", &mut found.again, &mut map)?,
                (Download, "link") => self.read("link", &mut found.link, &mut map)?,
                (Download | View, "size") => self.read("size", &mut found.size, &mut map)?,
                (Download | View, "version") => self.read("version", &mut found.version, &mut map)?,
                (Download, "digest") => self.read("digest", &mut found.digest, &mut map)?,
                (Action, "purpose") => self.read("purpose", &mut found.purpose, &mut map)?,
                (Action, "state") => self.read("state", &mut found.state, &mut map)?,
                (Command, "revoke") => self.read("revoke", &mut found.revoke, &mut map)?,
                _ => self.skip(name, &mut skipped, &mut map)?,
            }
        }
        Ok(found)
    }
}
