//! The default settings. `oncelink.example.toml` shows the same values.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{
    ApiSettings, BrandSettings, ConnectionLimits, DownloadSettings, Identity, JWKS_PATH, LinkSettings,
    LogFormat, LogSettings, MailSettings, MailTls, MetricsSettings, ProxyHeader, RECEIPTS_PATH,
    ReceiptAddress, Resume, RetentionSettings, SecondFactorRule, Settings, ShareSettings, Signup,
    StoreAddress, TokenSettings, WebSettings, WebhookSettings,
};

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data_dir: "data".into(),
            web: WebSettings::default(),
            download: DownloadSettings::default(),
            token: TokenSettings::default(),
            links: LinkSettings::default(),
            api: ApiSettings::default(),
            retention: RetentionSettings::default(),
            webhooks: WebhookSettings::default(),
            mail: MailSettings::default(),
            brand: BrandSettings::default(),
            log: LogSettings::default(),
            metrics: MetricsSettings::default(),
            nodes: Vec::new(),
            shares: default_shares(),
            connection_limits: ConnectionLimits::default(),
            socket_names: Vec::new(),
        }
    }
}

fn default_shares() -> Vec<ShareSettings> {
    let home = ShareSettings {
        name: "home".to_owned(),
        path: "storage/home".into(),
        personal: true,
        read: vec!["everyone".to_owned()],
        write: Vec::new(),
        manage: Vec::new(),
        quota: 0,
        identity: Identity::default(),
        replaced_only: false,
    };
    let books = ShareSettings {
        name: "books".to_owned(),
        path: "storage/books".into(),
        personal: false,
        write: vec!["staff".to_owned()],
        ..home.clone()
    };
    vec![home, books]
}

impl Default for WebSettings {
    fn default() -> WebSettings {
        let listen = loopback(8080);
        WebSettings {
            listen: listen.into(),
            public_url: format!("http://{listen}"),
            database: StoreAddress::from("sqlite"),
            signup: Signup::Open,
            signup_domains: Vec::new(),
            activation_lifetime: hours(24),
            reset_lifetime: minutes(30),
            invitation_lifetime: hours(7 * 24),
            unactivated_max: hours(7 * 24),
            session_idle: minutes(30),
            session_max: hours(12),
            session_remember: hours(30 * 24),
            password_min: 15,
            second_factor: SecondFactorRule::Optional,
            receipt_address: ReceiptAddress::Network,
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            max_connections: 1000,
            body_memory: 64 << 20,
            form_max: 256 << 10,
            upload_max: 0,
            account_quota: 5 << 30,
            upload_keep: hours(24),
            trash_keep: hours(30 * 24),
        }
    }
}

impl Default for DownloadSettings {
    fn default() -> DownloadSettings {
        let listen = loopback(8081);
        DownloadSettings {
            listen: listen.into(),
            public_url: format!("http://{listen}"),
            inner_url: String::new(),
            keys: format!("http://{}{JWKS_PATH}", loopback(8080)),
            receipts: format!("http://{}{RECEIPTS_PATH}", loopback(8080)),
            node_key: PathBuf::new(),
            used_tokens: StoreAddress::from("sled"),
            resume: Resume::SameClient,
            lease: hours(1),
            lease_max: hours(24),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            resend_proxied: 32 << 20,
            max_connections: 4000,
            invalid_per_minute: 6000,
            batch_verification: true,
            stop_timeout: Duration::from_secs(30),
        }
    }
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

impl Default for LinkSettings {
    fn default() -> LinkSettings {
        LinkSettings {
            longest: Duration::ZERO,
            most_downloads: 0,
            end_required: false,
            mails_per_day: 0,
            presses: 30,
            presses_per_link: 600,
            mails: 3,
            password_guesses: 50,
        }
    }
}

impl Default for RetentionSettings {
    fn default() -> RetentionSettings {
        RetentionSettings { receipts: hours(400 * 24), links: hours(90 * 24) }
    }
}

impl Default for MailSettings {
    fn default() -> MailSettings {
        MailSettings {
            send: StoreAddress::from("outbox"),
            from: "Oncelink <noreply@localhost>".to_owned(),
            credentials: PathBuf::new(),
            certificates: PathBuf::new(),
            tls: MailTls::Auto,
            hello: String::new(),
            per_second: 0,
            bounces: String::new(),
        }
    }
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { level: "info".to_owned(), format: LogFormat::Text }
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
