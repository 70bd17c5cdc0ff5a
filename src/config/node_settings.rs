//! The settings of a download service, as the web app needs them.

use serde::Deserialize;

/// `[[node]]`: a download service that the web app issues tokens for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSettings {
    /// Its name in commands and log lines.
    pub name: String,
    /// Scheme and host at which clients reach it. Also the `aud` of its tokens, so it must be unique.
    pub public_url: String,
    /// Where the web app reaches it: scheme, host and port, or a Unix socket; empty: `public_url`.
    #[serde(default)]
    pub inner_url: String,
    /// Its share of the tokens among nodes that are ready; 0 = no new ones.
    #[serde(default = "one")]
    pub weight: u32,
}

const fn one() -> u32 {
    1
}
