//! Settings: one TOML file, every key also as an environment variable, defaults for all.
//!
//! Everything that is read here arrives elsewhere as plain values; no other module reads the
//! environment or the settings file. `oncelink.example.toml` is the table of the keys: their
//! names, kinds and defaults; a test keeps it equal to [`Settings::default`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

mod address;
mod defaults;
mod duration;
mod error;
mod foreign;
mod known;
mod limits;
mod load;
mod network;
mod nodes;
mod size;
mod validate;

pub use address::StoreAddress;
pub use duration::{InvalidDuration, parse as parse_duration};
pub use error::{Origin, SettingsError};
pub use limits::ConnectionLimits;
pub use load::DEFAULT_FILE;
pub use network::{InvalidNetwork, Network};
pub use nodes::NodeSettings;
pub use size::{InvalidSize, parse as parse_size};

/// Where the web app shows its public keys, below its `public_url`.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Where the web app takes receipts, below its `public_url`.
pub const RECEIPTS_PATH: &str = "/receipts";

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
    /// Links that people make for others.
    pub links: LinkSettings,
    /// Mail to people with an account.
    pub mail: MailSettings,
    /// Log lines.
    pub log: LogSettings,
    /// The download services, where there are several; without any there is the one of `[download]`.
    #[serde(rename = "node")]
    pub nodes: Vec<NodeSettings>,
    /// The folders that are hosted, each under its own name.
    #[serde(rename = "share")]
    pub shares: Vec<ShareSettings>,
    /// How long a connection may take; no key of the file.
    #[serde(skip)]
    pub connection_limits: ConnectionLimits,
}

impl Settings {
    /// The folder of the private keys; only where the web app runs is there one.
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The file of accounts, links and receipts, where `web.database` is `sqlite`.
    pub fn database_file(&self) -> PathBuf {
        self.data_dir.join("web").join("oncelink.sqlite")
    }

    /// The file of the key by which a download service in another process shows the web app that it is
    /// one of ours.
    pub fn node_key_file(&self) -> PathBuf {
        match self.download.node_key.as_os_str().is_empty() {
            true => self.keys_dir().join("node-key"),
            false => self.download.node_key.clone(),
        }
    }

    /// The folder of mails that are only written down (`mail.send = "outbox"`).
    pub fn outbox_dir(&self) -> PathBuf {
        self.data_dir.join("outbox")
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
    /// The mail domains of which anybody may sign up; none means any.
    pub signup_domains: Vec<String>,
    /// How long the link in the mail after a sign-up works, and the one that confirms another address.
    #[serde(deserialize_with = "duration::deserialize")]
    pub activation_lifetime: Duration,
    /// How long a link for choosing another password works.
    #[serde(deserialize_with = "duration::deserialize")]
    pub reset_lifetime: Duration,
    /// How long an invitation works.
    #[serde(deserialize_with = "duration::deserialize")]
    pub invitation_lifetime: Duration,
    /// An account that nobody activates is forgotten after this long.
    #[serde(deserialize_with = "duration::deserialize")]
    pub unactivated_max: Duration,
    /// End of a session that is not used.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_idle: Duration,
    /// End of a session, however busy.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_max: Duration,
    /// End of a session on a device that the person asked to remember, whether used or not; zero
    /// when that is not offered.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_remember: Duration,
    /// Fewest characters of a password (NIST SP 800-63B-4).
    pub password_min: usize,
    /// How much of the address of whoever took a file is kept in its receipt.
    pub receipt_address: ReceiptAddress,
    /// Proxies in front of it: addresses or networks. What they write into `proxy_header` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they name the client.
    pub proxy_header: ProxyHeader,
    /// Most connections at once.
    pub max_connections: usize,
    /// Most bytes of memory that this process holds for clients: bodies of requests, large heads,
    /// pages that wait for slow readers.
    #[serde(deserialize_with = "size::deserialize")]
    pub body_memory: u64,
    /// Most bytes of a form.
    #[serde(deserialize_with = "size::deserialize")]
    pub form_max: u64,
    /// Most bytes of an uploaded file; 0 = no limit.
    #[serde(deserialize_with = "size::deserialize")]
    pub upload_max: u64,
    /// Most bytes that the files which one account put in may take up, all shares together; 0 = no
    /// limit.
    #[serde(deserialize_with = "size::deserialize")]
    pub account_quota: u64,
    /// An upload to which no byte comes is forgotten after this long.
    #[serde(deserialize_with = "duration::deserialize")]
    pub upload_keep: Duration,
    /// What was thrown away is gone for good after this long.
    #[serde(deserialize_with = "duration::deserialize")]
    pub trash_keep: Duration,
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
    /// Scheme, host and port under which the web app reaches it; empty where that follows `listen`.
    pub inner_url: String,
    /// Where the public keys are: a JWKS file or an http(s) URL. Follows `web.public_url` where it
    /// is not set.
    pub keys: String,
    /// Where the web app takes receipts, if it runs in another process. Follows `web.public_url` where
    /// it is not set.
    pub receipts: String,
    /// The file of the key that is shown there; empty for `keys/node-key` in the data directory.
    pub node_key: PathBuf,
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
    /// Proxies in front of it: addresses or networks. What they write into `proxy_header` is believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they name the client.
    pub proxy_header: ProxyHeader,
    /// How many bytes may be sent a second time without the resume key where a trusted proxy is in
    /// between: what its buffers may hold.
    #[serde(deserialize_with = "size::deserialize")]
    pub resend_proxied: u64,
    /// Most connections at once.
    pub max_connections: usize,
    /// How many tokens that fail verification one address (IPv6: one /64) may show in a minute
    /// before it is told to wait; 0 = no limit.
    pub invalid_per_minute: u32,
    /// How long a stop waits for transfers under way.
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

/// `[[token.shared_secret]]`: an HS256 secret, in a file of at least 32 bytes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSecret {
    /// The key id in the token's header.
    pub kid: String,
    /// The file whose bytes, less a final line break, are the secret.
    pub file: PathBuf,
}

/// `[links]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// How often one address (IPv6: one /64) may press the button of one link in a minute; 0 = no limit.
    pub presses: u32,
    /// How often a link's button may be pressed in a minute by all together; 0 = no limit.
    pub presses_per_link: u32,
    /// How many links one account may have mailed to one mailbox in an hour; 0 = no limit.
    pub mails: u32,
    /// How many guesses at a link's password are taken in an hour from those who have not shown it
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
    /// A file of two lines, user and password, for the mail server; empty when it asks for none.
    pub credentials: PathBuf,
    /// Certificates (PEM) to trust beside the public ones; empty when there are none.
    pub certificates: PathBuf,
    /// Whether `smtp://` uses STARTTLS.
    pub tls: MailTls,
    /// What this server calls itself to the mail server; empty: the host of `web.public_url`.
    pub hello: String,
    /// The maximum number of mails a second; 0: no limit.
    pub per_second: u32,
    /// The envelope sender, where bounces go, with `{id}` for the mail's id; empty: the address in `from`.
    pub bounces: String,
}

/// Whether a connection to a mail server is encrypted by STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Opportunistic to this machine, required to any other.
    Auto,
    /// Always, with a certificate that is valid.
    Required,
    /// Where the server offers it, with any certificate.
    Opportunistic,
    /// Never.
    None,
}

impl MailSettings {
    /// What holds for that server: the word in its address, else the setting, else by where it is.
    pub fn tls_for(&self, url: &reqwest::Url) -> MailTls {
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

    /// Whether the server is on this machine.
    pub fn is_this_machine(url: &reqwest::Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSettings {
    /// First component of the file path.
    pub name: String,
    /// The folder on disk.
    pub path: PathBuf,
    /// Who may read: `everyone` (logged in), group names or account names.
    #[serde(default = "everyone")]
    pub read: Vec<String>,
    /// Who may put files and folders in; they may read, too.
    #[serde(default)]
    pub write: Vec<String>,
    /// Who may rename, move and throw away; they may write, too.
    #[serde(default)]
    pub manage: Vec<String>,
    /// Most bytes that uploaded files may take up here; 0 = no limit.
    #[serde(default, deserialize_with = "size::deserialize")]
    pub quota: u64,
    /// What tells one file from another of the same name.
    #[serde(default)]
    pub identity: Identity,
}

/// What tells one file of a share from another of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// Inode, size, time of the last change of the content and of the inode.
    #[default]
    Inode,
    /// Size and time of the last change of the content only, for file systems whose inode numbers don't
    /// last (some in user space), and for nodes that serve copies of the share.
    Time,
}

fn everyone() -> Vec<String> {
    vec!["everyone".to_owned()]
}
