//! The settings of tokens and links.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// `[token]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// How long a token that the web app issues can be redeemed.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub lifetime: Duration,
    /// Tokens whose `exp - iat` exceeds this are refused.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub max_lifetime: Duration,
    /// Allowed clock skew for `nbf` and `exp`.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub leeway: Duration,
    /// Shared secrets of programs that the operator trusts to sign tokens (HS256); usually none.
    #[serde(rename = "shared_secret")]
    pub shared_secrets: Vec<SharedSecret>,
}

/// `[[token.shared_secret]]`: an HS256 secret, in a file of at least 32 bytes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSecret {
    /// The key id in the token's header.
    pub kid: String,
    /// The file that contains the secret; a final line break is ignored.
    pub file: PathBuf,
}
