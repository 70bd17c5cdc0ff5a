//! Settings: one TOML file, with an environment variable and a default for every key.
//!
//! No other module reads the environment or the settings file; others get plain values.
//! `oncelink.example.toml` lists all keys with their defaults, and a test keeps it equal to
//! [`Settings::default`].

use std::path::PathBuf;

use serde::Deserialize;

mod address;
mod api;
mod brand;
mod defaults;
mod download;
mod duration;
mod error;
mod foreign;
mod known;
mod limits;
mod links;
mod listen;
mod load;
mod log;
mod log_filter;
mod mail;
mod network;
mod node_settings;
mod nodes;
mod proxy_header;
mod retention;
mod share;
mod size;
mod table;
mod token;
mod validate;
mod web;
mod webhooks;

pub use address::{StoreAddress, StoreKind};
pub use api::ApiSettings;
pub use brand::{BrandSettings, InvalidBrand, Rgb, Support};
pub use download::{DownloadSettings, Resume};
pub use duration::{InvalidDuration, parse as parse_duration};
pub use error::{SettingOrigin, SettingsError};
pub use limits::ConnectionLimits;
pub use links::LinkSettings;
pub use listen::{InvalidListen, Listen, ListenAddress};
pub use load::DEFAULT_FILE;
pub use log::{LogFormat, LogSettings, MetricsSettings};
pub use mail::{MailSettings, MailTls};
pub use network::{InvalidNetwork, Network};
pub use node_settings::NodeSettings;
pub use proxy_header::ProxyHeader;
pub use retention::RetentionSettings;
pub use share::{Identity, ShareSettings};
pub use size::{InvalidSize, parse as parse_size};
pub use table::{SettingLine, SettingsTable};
pub use token::{SharedSecret, TokenSettings};
pub use web::{ReceiptAddress, SecondFactorRule, Signup, WebSettings};
pub use webhooks::WebhookSettings;

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
    /// The API for programs.
    pub api: ApiSettings,
    /// How long records are kept.
    pub retention: RetentionSettings,
    /// Webhooks.
    pub webhooks: WebhookSettings,
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
    /// The names of the sockets that systemd passed to this process, in their order; not a key in the file.
    #[serde(skip)]
    pub socket_names: Vec<String>,
}

/// Returns whether the value of a setting such as `download.keys` is an address, and not the path of a file.
pub fn is_address(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:")
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
