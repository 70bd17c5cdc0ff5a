//! How long records are kept.

use std::time::Duration;

use serde::Deserialize;

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// How long receipts of downloads are kept after they began.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub receipts: Duration,
    /// How long links are kept after they expired or were stopped.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub links: Duration,
}
