//! The settings of the API.

use serde::Deserialize;

/// `[api]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// How many requests one key may send in a minute; 0 = no limit.
    pub requests: u32,
}

impl Default for ApiSettings {
    fn default() -> ApiSettings {
        ApiSettings { requests: 600 }
    }
}
