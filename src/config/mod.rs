//! Settings: one TOML file, with an environment variable and a default for every key.
//!
//! No other module reads the environment or the settings file; others get plain values.
//! `oncelink.example.toml` lists all keys with their defaults, and a test keeps it equal to
//! [`Settings::default`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use url::Url;

mod address;
mod brand;
mod defaults;
mod duration;
mod error;
mod foreign;
mod known;
mod limits;
mod load;
mod log_filter;
mod network;
mod node_settings;
mod nodes;
mod size;
mod validate;

pub use address::{StoreAddress, StoreKind};
pub use brand::{BrandSettings, InvalidBrand, Rgb, Support};
pub use duration::{InvalidDuration, parse as parse_duration};
pub use error::{SettingOrigin, SettingsError};
pub use limits::ConnectionLimits;
pub use load::DEFAULT_FILE;
pub use network::{InvalidNetwork, Network};
pub use node_settings::NodeSettings;
pub use size::{InvalidSize, parse as parse_size};

/// The path of the web app's public keys, below its `public_url`.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// The path at which the web app accepts receipts, below its `public_url`.
pub const RECEIPTS_PATH: &str = "/receipts";

/// Everything an operator can set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder with the keys, databases and the outbox.
    pub data_dir: PathBuf,
    /// The web app.
    pub web: WebSettings,
    /// The download service.
    pub download: DownloadSettings,
    /// Tokens.
    pub token: TokenSettings,
    /// Links that people create for others.
    pub links: LinkSettings,
    /// Outgoing email.
    pub mail: MailSettings,
    /// The operator's own name, logo, color and support address.
    pub brand: BrandSettings,
    /// Log lines.
    pub log: LogSettings,
    /// Metrics.
    pub metrics: MetricsSettings,
    /// The download services, if there are several; without any there is the one of `[download]`.
    #[serde(rename = "node")]
    pub nodes: Vec<NodeSettings>,
    /// The hosted folders.
    #[serde(rename = "share")]
    pub shares: Vec<ShareSettings>,
    /// The deadlines of connections; not a key in the file.
    #[serde(skip)]
    pub connection_limits: ConnectionLimits,
}

impl Settings {
    /// The folder of the private keys; it exists only where the web app runs.
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The database file with accounts, links and receipts, if `web.database` is `sqlite`.
    pub fn database_file(&self) -> PathBuf {
        self.data_dir.join("web").join("oncelink.sqlite")
    }

    /// The file with the key by which a download service in another process authenticates itself to the web
    /// app.
    pub fn node_key_file(&self) -> PathBuf {
        match self.download.node_key.as_os_str().is_empty() {
            true => self.keys_dir().join("node-key"),
            false => self.download.node_key.clone(),
        }
    }

    /// Returns whether the first start creates the folder of a share: only those of the default settings. A
    /// missing folder of any other share may be a disk that isn't mounted, which must stay empty.
    pub fn creates_folder_of(share: &ShareSettings) -> bool {
        Settings::default().shares.iter().any(|default| default.path == share.path)
    }

    /// The folder of emails that are written to files instead of sent (`mail.send = "outbox"`).
    pub fn outbox_dir(&self) -> PathBuf {
        self.data_dir.join("outbox")
    }

    /// The download service's own folder.
    pub fn download_dir(&self) -> PathBuf {
        self.data_dir.join("download")
    }

    /// The folder of the used-token store.
    pub fn used_tokens_dir(&self) -> PathBuf {
        self.download_dir().join("used-tokens")
    }
}

/// `[web]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSettings {
    /// Address and port to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
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
    #[serde(deserialize_with = "duration::deserialize")]
    pub activation_lifetime: Duration,
    /// How long a password reset link is valid.
    #[serde(deserialize_with = "duration::deserialize")]
    pub reset_lifetime: Duration,
    /// How long an invitation is valid.
    #[serde(deserialize_with = "duration::deserialize")]
    pub invitation_lifetime: Duration,
    /// When an account that isn't activated is deleted.
    #[serde(deserialize_with = "duration::deserialize")]
    pub unactivated_max: Duration,
    /// When an unused session ends.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_idle: Duration,
    /// When a session ends in any case.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_max: Duration,
    /// When a session on a remembered device ends, used or not; zero doesn't offer remembering.
    #[serde(deserialize_with = "duration::deserialize")]
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
    #[serde(deserialize_with = "size::deserialize")]
    pub body_memory: u64,
    /// Maximum size of a form, in bytes.
    #[serde(deserialize_with = "size::deserialize")]
    pub form_max: u64,
    /// Maximum size of an uploaded file, in bytes; 0 = no limit.
    #[serde(deserialize_with = "size::deserialize")]
    pub upload_max: u64,
    /// Maximum total size of the files that one account uploaded, in bytes, across all shares; 0 = no limit.
    #[serde(deserialize_with = "size::deserialize")]
    pub account_quota: u64,
    /// When an interrupted upload is deleted.
    #[serde(deserialize_with = "duration::deserialize")]
    pub upload_keep: Duration,
    /// When trashed files are deleted permanently.
    #[serde(deserialize_with = "duration::deserialize")]
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

/// `[download]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadSettings {
    /// Address and port to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Scheme and host at which people reach it, without a trailing slash. Also the `aud` of tokens.
    /// Default: derived from `listen`.
    pub public_url: String,
    /// Scheme, host and port at which the web app reaches it; empty: derived from `listen`.
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
    #[serde(deserialize_with = "duration::deserialize")]
    pub lease: Duration,
    /// … and at the latest this long after the redemption.
    #[serde(deserialize_with = "duration::deserialize")]
    pub lease_max: Duration,
    /// Trusted proxies in front of it: addresses or networks. Their `proxy_header` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which these proxies name the client.
    pub proxy_header: ProxyHeader,
    /// How many bytes may be sent again without the resume key through a trusted proxy, because its buffers
    /// may have held them.
    #[serde(deserialize_with = "size::deserialize")]
    pub resend_proxied: u64,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// How many invalid tokens one address (IPv6: one /64) may present in a minute before it has to wait;
    /// 0 = no limit.
    pub invalid_per_minute: u32,
    /// Whether EdDSA signatures that arrive at the same moment are verified in batches.
    pub batch_verification: bool,
    /// How long a stopping service waits for running transfers.
    #[serde(deserialize_with = "duration::deserialize")]
    pub stop_timeout: Duration,
}

/// The header in which proxies name the client. The other one is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
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

/// `[token]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// How long a token that the web app issues can be redeemed.
    #[serde(deserialize_with = "duration::deserialize")]
    pub lifetime: Duration,
    /// Tokens whose `exp - iat` exceeds this are refused.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_lifetime: Duration,
    /// Allowed clock skew for `nbf` and `exp`.
    #[serde(deserialize_with = "duration::deserialize")]
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

/// `[links]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// How often one address (IPv6: one /64) may press the button of one link in a minute; 0 = no limit.
    pub presses: u32,
    /// How often a link's button may be pressed in a minute in total; 0 = no limit.
    pub presses_per_link: u32,
    /// How many links one account may have emailed to one mailbox in an hour; 0 = no limit.
    pub mails: u32,
    /// How many guesses at a link's password are accepted in an hour from clients that haven't entered it
    /// before; 0 = no limit.
    pub password_guesses: u32,
}

/// `[mail]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    /// `outbox`: files under `data_dir`; or the `smtp://` or `smtps://` address of a mail server.
    pub send: StoreAddress,
    /// The sender, as in `Oncelink <noreply@localhost>`.
    pub from: String,
    /// A file with two lines, user and password, for the mail server; empty if it needs none.
    pub credentials: PathBuf,
    /// A file with certificates (PEM) to trust in addition to the public ones; empty for none.
    pub certificates: PathBuf,
    /// Whether `smtp://` uses STARTTLS.
    pub tls: MailTls,
    /// The name with which this server greets the mail server; empty: the host of `web.public_url`.
    pub hello: String,
    /// Maximum number of emails per second; 0 = no limit.
    pub per_second: u32,
    /// The envelope sender, which gets bounces, with `{id}` for the email's id; empty: the address in `from`.
    pub bounces: String,
}

/// Whether a connection to a mail server is encrypted with STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Opportunistic for a server on this machine, required for any other.
    Auto,
    /// Always, with a valid certificate.
    Required,
    /// If the server offers it, with any certificate.
    Opportunistic,
    /// Never.
    None,
}

impl MailSettings {
    /// Returns the mode for a server: from its address, otherwise from the setting, otherwise by its
    /// location.
    pub fn tls_for(&self, url: &Url) -> MailTls {
        let in_address = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| match &*value {
            "opportunistic" => MailTls::Opportunistic,
            "none" => MailTls::None,
            _ => MailTls::Required,
        });
        let is_here = MailSettings::is_this_machine(url);
        let usual = if is_here { MailTls::Opportunistic } else { MailTls::Required };
        match in_address.unwrap_or(self.tls) {
            MailTls::Auto => usual,
            wanted => wanted,
        }
    }

    /// Returns whether the server is on this machine.
    pub fn is_this_machine(url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Minimum severity, or a filter such as `info,oncelink::download=debug`.
    pub level: String,
    /// Text or JSON lines.
    pub format: LogFormat,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address and port at which `/metrics` is served, to anyone who reaches it; `None`: nowhere.
    #[serde(deserialize_with = "listen_or_off")]
    pub listen: Option<SocketAddr>,
}

fn listen_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "off" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is neither `off` nor an address and port, as in `127.0.0.1:9464`"
            ))
        }),
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[[share]]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSettings {
    /// First component of the file path.
    pub name: String,
    /// The folder on disk.
    pub path: PathBuf,
    /// Whether each account has a folder of its own in it, *My files*, which nobody else sees.
    #[serde(default)]
    pub personal: bool,
    /// Who may read, or has a folder of their own in a personal share: `everyone` (logged in), group names or
    /// account names.
    #[serde(default = "everyone")]
    pub read: Vec<String>,
    /// Who may also upload files and create folders.
    #[serde(default)]
    pub write: Vec<String>,
    /// Who may also rename, move and delete; includes the right to write.
    #[serde(default)]
    pub manage: Vec<String>,
    /// Maximum total size of the files uploaded to this share, in bytes; 0 = no limit.
    #[serde(default, deserialize_with = "size::deserialize")]
    pub quota: u64,
    /// How to recognize that a file was replaced by another of the same name.
    #[serde(default)]
    pub identity: Identity,
}

/// How to recognize that a file of a share was replaced by another of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// By inode, size, and the times of the last change of the content and of the inode.
    #[default]
    Inode,
    /// Only by size and the time of the last change of the content: for file systems without stable inode
    /// numbers (some in user space), and for nodes that serve copies of the share.
    Time,
}

fn everyone() -> Vec<String> {
    vec!["everyone".to_owned()]
}
