//! The settings of the web app.

use std::time::Duration;

use serde::Deserialize;

use super::{Listen, Network, ProxyHeader, StoreAddress};

/// `[web]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSettings {
    /// Where to listen; port 0 picks a free one.
    pub listen: Listen,
    /// Scheme and host at which people reach it, without a trailing slash. Also the `iss` of tokens.
    /// Default: derived from `listen`.
    pub public_url: String,
    /// `sqlite` (a file under `data_dir`) or a `postgres://` address.
    pub database: StoreAddress,
    /// Who may sign up.
    pub signup: Signup,
    /// The email domains that may sign up; empty means all.
    pub signup_domains: Vec<String>,
    /// How long a link for activating an account or confirming a new address is valid.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub activation_lifetime: Duration,
    /// How long a password reset link is valid.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub reset_lifetime: Duration,
    /// How long an invitation is valid.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub invitation_lifetime: Duration,
    /// When an account that isn't activated is deleted.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub unactivated_max: Duration,
    /// When an unused session ends.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub session_idle: Duration,
    /// When a session ends in any case.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub session_max: Duration,
    /// When a session on a remembered device ends, used or not; zero doesn't offer remembering.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub session_remember: Duration,
    /// Minimum length of a password in characters (NIST SP 800-63B-4).
    pub password_min: usize,
    /// Who needs a second factor.
    pub second_factor: SecondFactorRule,
    /// How much of the client's address a receipt keeps.
    pub receipt_address: ReceiptAddress,
    /// Trusted proxies in front of it: addresses or networks. Their `proxy_header` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which these proxies name the client.
    pub proxy_header: ProxyHeader,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Maximum memory held for clients, in bytes: request bodies, large request heads, pages that wait for
    /// slow readers.
    #[serde(deserialize_with = "super::size::deserialize")]
    pub body_memory: u64,
    /// Maximum size of a form, in bytes.
    #[serde(deserialize_with = "super::size::deserialize")]
    pub form_max: u64,
    /// Maximum size of an uploaded file, in bytes; 0 = no limit.
    #[serde(deserialize_with = "super::size::deserialize")]
    pub upload_max: u64,
    /// Maximum total size of the files that one account uploaded, in bytes, across all shares; 0 = no limit.
    #[serde(deserialize_with = "super::size::deserialize")]
    pub account_quota: u64,
    /// When an interrupted upload is deleted.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub upload_keep: Duration,
    /// When trashed files are deleted permanently.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub trash_keep: Duration,
}

/// Who needs a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondFactorRule {
    /// Nobody; everyone may turn one on.
    Optional,
    /// Administrators, for the pages of the administration.
    Administrators,
}

/// How much of an address a receipt keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptAddress {
    /// All of it.
    Full,
    /// Its network: the first 24 bits of an IPv4 address, the first 48 of an IPv6 address.
    Network,
    /// Nothing.
    None,
}

/// Who may create an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signup {
    /// Anyone.
    Open,
    /// People who were invited.
    Invite,
    /// Nobody; administrators create accounts.
    Closed,
}
