//! Settings: one TOML file, every key also as an environment variable, defaults for all.
//!
//! Everything that is read here arrives elsewhere as plain values; no other module reads the
//! environment or the settings file. `oncelink.example.toml` is the table of the keys: their
//! names, kinds and defaults; a test keeps it equal to [`Settings::default`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

mod duration;
mod error;
mod known;
mod load;
mod network;
mod validate;

pub use duration::{InvalidDuration, parse as parse_duration};
pub use error::{Origin, SettingsError};
pub use network::{InvalidNetwork, Network};

/// Where the web app shows its public keys, below its `public_url`.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Everything an operator can set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where keys, databases and the outbox live.
    pub data_dir: PathBuf,
    /// The web app.
    pub web: WebSettings,
    /// The download service.
    pub download: DownloadSettings,
    /// Tokens.
    pub token: TokenSettings,
    /// Mail to people with an account.
    pub mail: MailSettings,
    /// Log lines.
    pub log: LogSettings,
    /// The folders that are hosted, each under its own name.
    #[serde(rename = "share")]
    pub shares: Vec<ShareSettings>,
}

impl Settings {
    /// The folder of the private keys; only where the web app runs is there one.
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The folder of what the download service keeps for itself.
    pub fn download_dir(&self) -> PathBuf {
        self.data_dir.join("download")
    }

    /// The folder of the used-token store.
    pub fn used_tokens_dir(&self) -> PathBuf {
        self.download_dir().join("used-tokens")
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data_dir: "data".into(),
            web: WebSettings::default(),
            download: DownloadSettings::default(),
            token: TokenSettings::default(),
            mail: MailSettings::default(),
            log: LogSettings::default(),
            shares: vec![ShareSettings {
                name: "books".to_owned(),
                path: "storage/books".into(),
                read: vec!["everyone".to_owned()],
                write: vec!["staff".to_owned()],
            }],
        }
    }
}

/// `[web]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Scheme and host under which people reach it, without a trailing slash. Also the `iss` of
    /// tokens. Follows `listen` where it is not set.
    pub public_url: String,
    /// `sqlite` (a file under `data_dir`) or a `postgres://` address.
    pub database: StoreAddress,
    /// Who may sign up.
    pub signup: Signup,
    /// End of a session that is not used.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_idle: Duration,
    /// End of a session, however busy.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_max: Duration,
    /// Fewest characters of a password (NIST SP 800-63B-4).
    pub password_min: usize,
    /// Proxies whose `Forwarded` / `X-Forwarded-For` is believed: addresses or networks.
    pub trusted_proxies: Vec<Network>,
    /// Most connections at once.
    pub max_connections: usize,
}

impl Default for WebSettings {
    fn default() -> WebSettings {
        let listen = loopback(8080);
        WebSettings {
            listen,
            public_url: format!("http://{listen}"),
            database: StoreAddress::from("sqlite"),
            signup: Signup::Open,
            session_idle: minutes(30),
            session_max: hours(12),
            password_min: 15,
            trusted_proxies: Vec::new(),
            max_connections: 1000,
        }
    }
}

/// Who may make an account for himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signup {
    /// Anybody.
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody; an administrator makes accounts.
    Closed,
}

/// `[download]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Scheme and host under which people reach it, without a trailing slash. Also the `aud` of
    /// tokens. Follows `listen` where it is not set.
    pub public_url: String,
    /// Where the public keys are: a JWKS file or an http(s) URL. Follows `web.public_url` where it
    /// is not set.
    pub keys: String,
    /// The used-token store: `sled`, or the address of a shared one.
    pub used_tokens: StoreAddress,
    /// Who may come back for the rest.
    pub resume: Resume,
    /// The lease ends this long after the last byte was sent …
    #[serde(deserialize_with = "duration::deserialize")]
    pub lease: Duration,
    /// … and at the latest this long after the redemption.
    #[serde(deserialize_with = "duration::deserialize")]
    pub lease_max: Duration,
    /// Proxies whose `Forwarded` / `X-Forwarded-For` is believed: addresses or networks.
    pub trusted_proxies: Vec<Network>,
    /// Most connections at once.
    pub max_connections: usize,
    /// How many tokens that fail verification one address (IPv6: one /64) may show in a minute
    /// before it is told to wait; 0 = no limit.
    pub invalid_per_minute: u32,
    /// How long a stop waits for transfers under way.
    #[serde(deserialize_with = "duration::deserialize")]
    pub stop_timeout: Duration,
}

impl Default for DownloadSettings {
    fn default() -> DownloadSettings {
        let listen = loopback(8081);
        DownloadSettings {
            listen,
            public_url: format!("http://{listen}"),
            keys: format!("http://{}{JWKS_PATH}", loopback(8080)),
            used_tokens: StoreAddress::from("sled"),
            resume: Resume::SameClient,
            lease: hours(1),
            lease_max: hours(24),
            trusted_proxies: Vec::new(),
            max_connections: 4000,
            invalid_per_minute: 60,
            stop_timeout: Duration::from_secs(30),
        }
    }
}

/// Who may come back for the rest of a redeemed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resume {
    /// Whoever has the resume key, and the same address without it.
    SameClient,
    /// Only whoever has the resume key.
    ResumeKey,
    /// Nobody.
    Off,
}

/// `[token]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// How long a token that the web app issues can be redeemed.
    #[serde(deserialize_with = "duration::deserialize")]
    pub lifetime: Duration,
    /// A token whose `exp - iat` exceeds this is refused.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_lifetime: Duration,
    /// Clock skew allowed on `nbf` and `exp`.
    #[serde(deserialize_with = "duration::deserialize")]
    pub leeway: Duration,
    /// Shared secrets of nodes that the operator trusts to sign (HS256); usually none.
    #[serde(rename = "shared_secret")]
    pub shared_secrets: Vec<SharedSecret>,
}

impl Default for TokenSettings {
    fn default() -> TokenSettings {
        TokenSettings {
            lifetime: minutes(2),
            max_lifetime: hours(7 * 24),
            leeway: Duration::from_secs(5),
            shared_secrets: Vec::new(),
        }
    }
}

/// `[[token.shared_secret]]`: an HS256 secret, in a file of at least 32 bytes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSecret {
    /// The key id in the token's header.
    pub kid: String,
    /// The file whose bytes, less a final line break, are the secret.
    pub file: PathBuf,
}

/// `[mail]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// `outbox`: files under `data_dir`.
    pub send: StoreAddress,
    /// The sender, as in `Oncelink <noreply@localhost>`.
    pub from: String,
}

impl Default for MailSettings {
    fn default() -> MailSettings {
        MailSettings { send: StoreAddress::from("outbox"), from: "Oncelink <noreply@localhost>".to_owned() }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Least severity, or a filter such as `info,oncelink::download=debug`.
    pub level: String,
    /// Text or JSON lines.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[[share]]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSettings {
    /// First component of the file path.
    pub name: String,
    /// The folder on disk.
    pub path: PathBuf,
    /// Who may read: `everyone` (logged in), group names or account names.
    #[serde(default = "everyone")]
    pub read: Vec<String>,
    /// Who may write.
    #[serde(default)]
    pub write: Vec<String>,
}

fn everyone() -> Vec<String> {
    vec!["everyone".to_owned()]
}

/// The name of an embedded store or the address of a server; an address may hold a password,
/// which `Debug` and `Display` leave out.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StoreAddress(String);

impl StoreAddress {
    /// The whole address, password included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for StoreAddress {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for StoreAddress {
    fn from(text: &str) -> StoreAddress {
        StoreAddress(text.to_owned())
    }
}

impl From<String> for StoreAddress {
    fn from(text: String) -> StoreAddress {
        StoreAddress(text)
    }
}

/// The scheme alone, such as `postgres://…`, where there is one.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once("://") {
            Some((scheme, _)) => write!(f, "{scheme}://…"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreAddress({self})")
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}
