//! The settings of the download service.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Listen, Network, ProxyHeader, StoreAddress};

/// `[download]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadSettings {
    /// Where to listen; port 0 picks a free one.
    pub listen: Listen,
    /// Scheme and host at which people reach it, without a trailing slash. Also the `aud` of tokens.
    /// Default: derived from `listen`.
    pub public_url: String,
    /// Where the web app reaches it: scheme, host and port, or a Unix socket; empty: derived from `listen`.
    pub inner_url: String,
    /// Where the public keys are: a JWKS file or an http(s) URL. Default: derived from `web.public_url`.
    pub keys: String,
    /// Where the web app accepts receipts if it runs in another process. Default: derived from
    /// `web.public_url`.
    pub receipts: String,
    /// The file with the key for these receipts; empty for `keys/node-key` in the data directory.
    pub node_key: PathBuf,
    /// The used-token store: `sled`, or the address of a shared one.
    pub used_tokens: StoreAddress,
    /// Who may resume a download.
    pub resume: Resume,
    /// The lease ends this long after the last byte was sent …
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub lease: Duration,
    /// … and at the latest this long after the redemption.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub lease_max: Duration,
    /// Trusted proxies in front of it: addresses or networks. Their `proxy_header` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which these proxies name the client.
    pub proxy_header: ProxyHeader,
    /// How many bytes may be sent again without the resume key through a trusted proxy, because its buffers
    /// may have held them.
    #[serde(deserialize_with = "super::size::deserialize")]
    pub resend_proxied: u64,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// How many invalid tokens one address (IPv6: one /64) may present in a minute before it has to wait;
    /// 0 = no limit.
    pub invalid_per_minute: u32,
    /// Whether EdDSA signatures that arrive at the same moment are verified in batches.
    pub batch_verification: bool,
    /// How long a stopping service waits for running transfers.
    #[serde(deserialize_with = "super::duration::deserialize")]
    pub stop_timeout: Duration,
}

/// Who may resume a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resume {
    /// A client with the resume key, or the same address without it.
    SameClient,
    /// Only a client with the resume key.
    ResumeKey,
    /// Nobody.
    Off,
}
