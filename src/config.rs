//! Settings: one TOML file, every key also as an environment variable, defaults for all.
//!
//! Everything that is read here arrives elsewhere as plain values; no other module reads the
//! environment or the settings file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where keys, databases and the outbox live.
    pub data_dir: PathBuf,
    /// The web app.
    pub web: WebSettings,
    /// The download service.
    pub download: DownloadSettings,
    /// Tokens.
    pub token: TokenSettings,
    /// Log lines.
    pub log: LogSettings,
    /// The folders that are hosted, each under its own name.
    pub shares: Vec<ShareSettings>,
}

/// `[web]`
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Scheme and host under which people reach it, without a trailing slash. Also the `iss` of tokens.
    pub public_url: String,
    /// `sqlite` (a file under `data_dir`) or a `postgres://` address.
    pub database: String,
    /// Who may sign up.
    pub signup: Signup,
    /// End of a session that is not used.
    pub session_idle: Duration,
    /// End of a session, however busy.
    pub session_max: Duration,
    /// Fewest characters of a password (NIST SP 800-63B-4).
    pub password_min: usize,
    /// Proxies whose `Forwarded` / `X-Forwarded-For` is believed: addresses or networks.
    pub trusted_proxies: Vec<Network>,
    /// Most connections at once.
    pub max_connections: usize,
}

/// Who may make an account for himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signup {
    /// Anybody.
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody; an administrator makes accounts.
    Closed,
}

/// `[download]`
#[derive(Clone, Debug)]
pub struct DownloadSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Scheme and host under which people reach it, without a trailing slash. Also the `aud` of tokens.
    pub public_url: String,
    /// Where the public keys are: a JWKS file or an http(s) URL.
    pub keys: String,
    /// The used-token store: `sled`, or the address of a shared one.
    pub used_tokens: String,
    /// Who may come back for the rest.
    pub resume: Resume,
    /// The lease ends this long after the last byte was sent …
    pub lease: Duration,
    /// … and at the latest this long after the redemption.
    pub lease_max: Duration,
    /// Proxies whose `Forwarded` / `X-Forwarded-For` is believed: addresses or networks.
    pub trusted_proxies: Vec<Network>,
    /// Most connections at once.
    pub max_connections: usize,
    /// How many tokens that fail verification one address (IPv6: one /64) may show in a minute
    /// before it is told to wait; 0 = no limit.
    pub invalid_per_minute: u32,
    /// How long a stop waits for transfers under way.
    pub stop_timeout: Duration,
}

/// Who may come back for the rest of a redeemed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Whoever has the resume key, and the same address without it (DESIGN section 5).
    SameClient,
    /// Only whoever has the resume key.
    ResumeKey,
    /// Nobody.
    Off,
}

/// `[token]`
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// How long a token that the web app issues can be redeemed.
    pub lifetime: Duration,
    /// A token whose `exp - iat` exceeds this is refused.
    pub max_lifetime: Duration,
    /// Clock skew allowed on `nbf` and `exp`.
    pub leeway: Duration,
    /// Shared secrets of nodes that the operator trusts to sign (HS256); usually none.
    pub shared_secrets: Vec<SharedSecret>,
}

/// `[[token.shared_secret]]`: an HS256 secret, in a file of at least 32 bytes.
#[derive(Clone, Debug)]
pub struct SharedSecret {
    /// The key id in the token's header.
    pub kid: String,
    /// The file whose bytes, less a final line break, are the secret.
    pub file: PathBuf,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Least severity, or a filter such as `info,oncelink::download=debug`.
    pub level: String,
    /// Text or JSON lines.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[[share]]`
#[derive(Clone, Debug)]
pub struct ShareSettings {
    /// First component of the file path.
    pub name: String,
    /// The folder on disk.
    pub path: PathBuf,
    /// Who may read: `everyone` (logged in), group names or account names.
    pub read: Vec<String>,
    /// Who may write.
    pub write: Vec<String>,
}

/// An address or a network in CIDR notation, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network's address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}
