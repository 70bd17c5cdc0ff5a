//! The settings of outgoing email.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::StoreAddress;

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
