//! The address of a webhook, as its owner types it. What it says is checked here; where it leads is checked each
//! time that a message is sent.

use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use crate::http_client::address_rule::{AddressRefusal, AddressRule};

/// Maximum number of characters.
const MAX_LENGTH: usize = 2_000;

/// The text is not an address of a webhook. The message is a sentence without its full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhookUrl {
    /// It is not an address.
    #[error("enter an address that begins with https://")]
    Form,
    /// It isn't encrypted.
    #[error("the address must begin with https://, so that nobody can read along")]
    Plain,
    /// It has a user name or a password.
    #[error("the address can't contain a user name or a password")]
    Credentials,
    /// It has a fragment, which is never sent.
    #[error("the address can't contain a #")]
    Fragment,
    /// It is too long.
    #[error("the address can't have more than 2,000 characters")]
    TooLong,
    /// The host is a number in an unusual form.
    #[error("write the host as a name, or as four numbers with dots")]
    OddNumber,
    /// The host isn't public.
    #[error("the address must be one that the internet can reach; this one is {0}")]
    NotPublic(AddressRefusal),
    /// The host is a name for this machine or its network.
    #[error("the address must be one that the internet can reach")]
    LocalName,
}

/// The address of a webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// Parses an address. Names are resolved and checked when a message is sent.
    ///
    /// # Errors
    /// See [`InvalidWebhookUrl`].
    pub fn parse(text: &str, rule: AddressRule) -> Result<WebhookUrl, InvalidWebhookUrl> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(InvalidWebhookUrl::TooLong);
        }
        let has_odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        let url = Url::parse(text).map_err(|_| InvalidWebhookUrl::Form)?;
        if text.contains(has_odd) || !matches!(url.scheme(), "https" | "http") {
            return Err(InvalidWebhookUrl::Form);
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(InvalidWebhookUrl::Credentials);
        }
        if url.fragment().is_some() {
            return Err(InvalidWebhookUrl::Fragment);
        }
        let is_local = match url.host().ok_or(InvalidWebhookUrl::Form)? {
            Host::Ipv4(address) => {
                // The parser reads `0x7f.1` and `2130706433` as addresses, as browsers do.
                if host_in(text) != address.to_string() {
                    return Err(InvalidWebhookUrl::OddNumber);
                }
                public(address.into(), rule)?;
                address.is_loopback()
            }
            Host::Ipv6(address) => {
                public(address.into(), rule)?;
                address.is_loopback()
            }
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                let is_this_machine = name == "localhost" || name.ends_with(".localhost");
                let is_inside = is_this_machine || !name.contains('.') || ends_inside(name);
                if is_inside && !rule.allow_private {
                    return Err(InvalidWebhookUrl::LocalName);
                }
                is_this_machine
            }
        };
        match url.scheme() == "http" && !(rule.allow_private && is_local) {
            true => Err(InvalidWebhookUrl::Plain),
            false => Ok(WebhookUrl(url)),
        }
    }

    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the host, which unlike the path is no secret.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

/// The host alone, because some services accept a secret in the path.
impl std::fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookUrl({}, ..)", self.host())
    }
}

/// Returns the host of an address from the database; empty if it isn't valid.
pub fn host_of(url: &str) -> String {
    Url::from_str(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

fn public(address: IpAddr, rule: AddressRule) -> Result<(), InvalidWebhookUrl> {
    rule.refusal(address).map_or(Ok(()), |refusal| Err(InvalidWebhookUrl::NotPublic(refusal)))
}

/// Whether a name is of a zone that only exists inside networks (RFC 6762, RFC 8375, RFC 9476, ICANN's `.internal`).
fn ends_inside(name: &str) -> bool {
    [".local", ".internal", ".home.arpa", ".alt", ".onion", ".test", ".invalid"]
        .iter()
        .any(|zone| name.ends_with(zone))
}

/// Returns what stands between the scheme and the path, as it was typed.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Returns the host as it was typed.
fn host_in(text: &str) -> &str {
    let authority = authority(text);
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}
