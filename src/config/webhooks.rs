//! Webhooks.

use serde::Deserialize;

/// `[webhooks]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Whether webhooks may be at addresses that the internet can't reach, and on this machine without encryption.
    pub allow_private: bool,
}
