//! Rules that the type of a single value can't express.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use super::listen::is_socket_path;
use super::{
    InvalidBrand, LogSettings, MailSettings, MailTls, Settings, StoreAddress, StoreKind, is_address,
};
use crate::id::FilePath;

/// What is wrong with a setting: its key, the problem, and how to fix it.
pub(super) struct InvalidSetting {
    pub(super) key: String,
    pub(super) problem: String,
    pub(super) remedy: String,
}

/// Maximum clock skew that can be allowed; more would hide a broken clock.
const LEEWAY_MAX: Duration = Duration::from_secs(60);

/// Maximum for the minimum password length; a higher value is probably a mistake.
const PASSWORD_MIN_RANGE: std::ops::RangeInclusive<usize> = 8..=128;

/// Every form except the one for links fits into this.
const FORM_LEAST: u64 = 16 * 1024;
/// Forms offer no shorter lifetime of a link.
const LINK_LEAST: Duration = Duration::from_secs(60 * 60);
/// Maximum weight of a node; much smaller numbers are sufficient.
const MAX_WEIGHT: u32 = 1000;

pub(super) fn check(settings: &Settings) -> Result<(), InvalidSetting> {
    if settings.data_dir.as_os_str().is_empty() {
        return fault("data_dir", "it is empty".to_owned(), "name a folder, as in `data_dir = \"data\"`");
    }
    web(settings)?;
    download(settings)?;
    token(settings)?;
    links(settings)?;
    mail(settings)?;
    brand(settings)?;
    log_level(&settings.log)?;
    nodes(settings)?;
    shares(settings)
}

fn web(settings: &Settings) -> Result<(), InvalidSetting> {
    let web = &settings.web;
    public_url("web.public_url", &web.public_url)?;
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| web.database.starts_with(scheme));
    if web.database.as_str() != "sqlite" && !is_postgres {
        let remedy = "write `sqlite` or `postgres://user:password@host/database`";
        return fault("web.database", format!("`{}` is not a database", web.database), remedy);
    }
    for (key, lifetime) in [
        ("web.activation_lifetime", web.activation_lifetime),
        ("web.reset_lifetime", web.reset_lifetime),
        ("web.invitation_lifetime", web.invitation_lifetime),
        ("web.unactivated_max", web.unactivated_max),
        ("web.upload_keep", web.upload_keep),
        ("web.trash_keep", web.trash_keep),
    ] {
        positive(key, lifetime)?;
    }
    let is_domain = |domain: &String| {
        let domain = domain.trim().trim_start_matches('@');
        !domain.is_empty() && !domain.contains(['@', '/', '*', ' ']) && domain.contains('.')
    };
    if let Some(wrong) = web.signup_domains.iter().find(|domain| !is_domain(domain)) {
        let problem = format!("`{}` is not a mail domain", wrong.escape_debug());
        return fault("web.signup_domains", problem, "write the part after the `@`, as in `example.org`");
    }
    positive("web.session_idle", web.session_idle)?;
    not_above("web.session_idle", web.session_idle, "web.session_max", web.session_max)?;
    if !PASSWORD_MIN_RANGE.contains(&web.password_min) {
        let (least, most) = (PASSWORD_MIN_RANGE.start(), PASSWORD_MIN_RANGE.end());
        let problem = format!("{} characters is not a sensible minimum length", web.password_min);
        return fault("web.password_min", problem, format!("choose {least} to {most}; 15 is recommended"));
    }
    if web.form_max < FORM_LEAST {
        let problem = format!("{} bytes are too few for some forms", web.form_max);
        return fault("web.form_max", problem, "choose at least `16KiB`; the default is `256KiB`");
    }
    if web.body_memory < web.form_max.saturating_mul(4) {
        let problem = format!("{} bytes are less than four forms of `web.form_max`", web.body_memory);
        return fault("web.body_memory", problem, "choose at least `1MiB`; the default is `64MiB`");
    }
    connections("web.max_connections", web.max_connections)
}

fn download(settings: &Settings) -> Result<(), InvalidSetting> {
    let download = &settings.download;
    if let Some(shared) = download.listen.shared_with(&settings.web.listen) {
        let problem = format!("`web.listen` is also {shared}");
        return fault("download.listen", problem, "give each service its own port or socket");
    }
    public_url("download.public_url", &download.public_url)?;
    if !download.inner_url.is_empty() {
        inner_url("download.inner_url", &download.inner_url)?;
    }
    keys(&download.keys)?;
    receipts(&download.receipts)?;
    match download.used_tokens.kind() {
        StoreKind::Embedded => {
            let servers = "`postgres://user:password@host/database` or `redis://:password@host/0`";
            embedded("download.used_tokens", &download.used_tokens, "sled", servers)?;
        }
        StoreKind::Postgres => {}
        StoreKind::Redis => redis("download.used_tokens", &download.used_tokens)?,
    }
    positive("download.lease", download.lease)?;
    not_above("download.lease", download.lease, "download.lease_max", download.lease_max)?;
    connections("download.max_connections", download.max_connections)
}

fn links(settings: &Settings) -> Result<(), InvalidSetting> {
    positive("retention.receipts", settings.retention.receipts)?;
    positive("retention.links", settings.retention.links)?;
    let longest = settings.links.longest;
    if !longest.is_zero() && longest < LINK_LEAST {
        let problem = format!("{}s is too short for people to use a link", longest.as_secs());
        return fault("links.longest", problem, "choose at least `1h`, or `0s` for no limit");
    }
    Ok(())
}

fn nodes(settings: &Settings) -> Result<(), InvalidSetting> {
    let (mut names, mut audiences) = (BTreeSet::new(), BTreeSet::new());
    for (index, node) in settings.nodes.iter().enumerate() {
        let key = |name: &str| format!("node[{index}].{name}");
        let is_plain = (1..=64).contains(&node.name.len())
            && node
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !is_plain {
            let problem = format!("`{}` is not a valid node name", node.name.escape_debug());
            return fault(&key("name"), problem, "choose up to 64 letters, digits, `-`, `_` and `.`");
        }
        if !names.insert(node.name.as_str()) {
            let problem = format!("another node is already called `{}`", node.name);
            return fault(&key("name"), problem, "give each node its own name");
        }
        public_url(&key("public_url"), &node.public_url)?;
        if !audiences.insert(node.public_url.as_str()) {
            let problem = format!("another node already has the address `{}`", node.public_url);
            let remedy = "give each node its own public address, because each token is for one node";
            return fault(&key("public_url"), problem, remedy);
        }
        if !node.inner_url.is_empty() {
            inner_url(&key("inner_url"), &node.inner_url)?;
        }
        if node.weight > MAX_WEIGHT {
            let problem = format!("{} is too large", node.weight);
            return fault(&key("weight"), problem, format!("choose 0 (no new tokens) to {MAX_WEIGHT}"));
        }
    }
    Ok(())
}

fn brand(settings: &Settings) -> Result<(), InvalidSetting> {
    settings.brand.check().map_err(|InvalidBrand { key, problem, remedy }| InvalidSetting {
        key: key.to_owned(),
        problem,
        remedy: remedy.to_owned(),
    })
}

fn mail(settings: &Settings) -> Result<(), InvalidSetting> {
    let mail = &settings.mail;
    if mail.from.parse::<lettre::message::Mailbox>().is_err() {
        let remedy = "write a name and an address, as in `Oncelink <noreply@example.org>`";
        return fault("mail.from", format!("`{}` is not a valid sender", mail.from.escape_debug()), remedy);
    }
    if !mail.bounces.is_empty() {
        let address = mail.bounces.replace("{id}", "0123456789abcdefghijkl");
        if mail.bounces.matches("{id}").count() > 1 || address.parse::<lettre::Address>().is_err() {
            let remedy = "write an address with `{id}` in it, as in `bounce+{id}@example.org`";
            return fault(
                "mail.bounces",
                format!("`{}` is not a valid address", mail.bounces.escape_debug()),
                remedy,
            );
        }
    }
    if mail.hello.contains(|c: char| !c.is_ascii_alphanumeric() && !"-.:[]".contains(c)) {
        let remedy = "write a host name, as in `files.example.org`";
        return fault(
            "mail.hello",
            format!("`{}` is not a valid host name", mail.hello.escape_debug()),
            remedy,
        );
    }
    if mail.send.as_str() == "outbox" {
        return Ok(());
    }
    let remedy = "write `outbox`, `smtps://host`, `smtp://host:587?tls=required` or `smtp://127.0.0.1`";
    let url = Url::parse(&mail.send).ok();
    let is_server = |url: &Url| matches!(url.scheme(), "smtp" | "smtps") && url.host_str().is_some();
    let Some(url) = url.filter(is_server) else {
        return fault("mail.send", format!("`{}` is not a valid mail server", mail.send), remedy);
    };
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = "put them into a file with two lines and name it in `mail.credentials`";
        return fault("mail.send", "it contains a user or a password".to_owned(), remedy);
    }
    let known = |(key, value): (Cow<'_, str>, Cow<'_, str>)| {
        key == "tls" && matches!(&*value, "required" | "opportunistic" | "none")
    };
    if !matches!(url.path(), "" | "/") || !url.query_pairs().all(known) {
        return fault("mail.send", format!("`{}` has more than a host, a port and `tls`", mail.send), remedy);
    }
    let is_safe = url.scheme() == "smtps" || mail.tls_for(&url) == MailTls::Required;
    let is_here = MailSettings::is_this_machine(&url);
    if !mail.credentials.as_os_str().is_empty() && !is_safe && !is_here {
        let problem = "the password could go over the network unencrypted".to_owned();
        return fault("mail.credentials", problem, "use `smtps://`, or add `?tls=required` to `mail.send`");
    }
    Ok(())
}

fn keys(keys: &str) -> Result<(), InvalidSetting> {
    let remedy = "write the path of a JWKS file, or its address as in `https://host/.well-known/jwks.json`";
    if keys.is_empty() {
        return fault("download.keys", "it is empty".to_owned(), remedy);
    }
    let is_good = Url::parse(keys)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty());
    if is_address(keys) && !is_good && !is_at_socket(keys) {
        return fault("download.keys", format!("`{keys}` is not an http or https address"), remedy);
    }
    Ok(())
}

/// The node key is sent to this address, so it must be a plain one.
fn receipts(address: &str) -> Result<(), InvalidSetting> {
    let is_good = Url::parse(address).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    });
    if !is_good && !is_at_socket(address) {
        let remedy = "write the web app's address, as in `https://host/receipts`";
        return fault("download.receipts", format!("`{address}` is not an http or https address"), remedy);
    }
    Ok(())
}

fn token(settings: &Settings) -> Result<(), InvalidSetting> {
    let token = &settings.token;
    positive("token.lifetime", token.lifetime)?;
    not_above("token.lifetime", token.lifetime, "token.max_lifetime", token.max_lifetime)?;
    not_above_limit("token.leeway", token.leeway, LEEWAY_MAX)?;
    let mut kids = BTreeSet::new();
    for (index, secret) in token.shared_secrets.iter().enumerate() {
        let key = format!("token.shared_secret[{index}].kid");
        let is_plain = !secret.kid.is_empty()
            && secret.kid.len() <= 64
            && secret
                .kid
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if !is_plain {
            let remedy = "choose up to 64 letters, digits, `-`, `_` and `.`";
            return fault(&key, format!("`{}` is not a valid key id", secret.kid.escape_debug()), remedy);
        }
        if !kids.insert(secret.kid.as_str()) {
            let problem = format!("another secret already has the key id `{}`", secret.kid);
            return fault(&key, problem, "give each secret its own key id");
        }
    }
    Ok(())
}

fn shares(settings: &Settings) -> Result<(), InvalidSetting> {
    let mut names = BTreeSet::new();
    let mut personal = None;
    for (index, share) in settings.shares.iter().enumerate() {
        let key = format!("share[{index}].name");
        let path = format!("/{}", share.name).parse::<FilePath>();
        let is_one_name = path.is_ok() && !share.name.contains('/') && !share.name.contains(char::is_control);
        if !is_one_name {
            let remedy =
                "choose a name of 1 to 255 bytes without `/` and control characters, and not `.` or `..`";
            return fault(&key, format!("`{}` is not a valid share name", share.name.escape_debug()), remedy);
        }
        if !names.insert(share.name.as_str()) {
            let problem = format!("another share is already called `{}`", share.name);
            return fault(&key, problem, "give each share its own name");
        }
        if share.path.as_os_str().is_empty() {
            let remedy = "name the folder, as in `path = \"/srv/books\"`";
            return fault(&format!("share[{index}].path"), "it is empty".to_owned(), remedy);
        }
        if share.personal {
            if let Some(other) = personal.replace(share.name.as_str()) {
                let remedy = "choose one share in which each account has its folder";
                return fault(
                    &format!("share[{index}].personal"),
                    format!("share `{other}` is personal already"),
                    remedy,
                );
            }
            for (list, members) in [("write", &share.write), ("manage", &share.manage)] {
                if !members.is_empty() {
                    let problem = "each account has all rights in its own folder, and nobody else has any";
                    let remedy = "remove it; `read` says who has a folder in a personal share";
                    return fault(&format!("share[{index}].{list}"), problem.to_owned(), remedy);
                }
            }
        }
        for (list, members) in [("read", &share.read), ("write", &share.write), ("manage", &share.manage)] {
            if members.iter().any(|member| member.trim().is_empty()) {
                let remedy = "write `everyone`, group names or account names; an empty list means nobody";
                return fault(&format!("share[{index}].{list}"), "it has an empty name".to_owned(), remedy);
            }
        }
    }
    Ok(())
}

/// A public address must be an origin in its canonical form, because the issuer and the audience of tokens
/// are compared with it byte by byte.
fn public_url(key: &str, text: &str) -> Result<(), InvalidSetting> {
    let remedy =
        "write scheme and host, and the port if it isn't the default, as in `https://files.example.org`";
    if text.is_empty() {
        let problem = "it is empty, and `listen` doesn't say at which address people reach the service";
        return fault(key, problem.to_owned(), remedy);
    }
    let url = Url::parse(text).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
        return fault(key, format!("`{text}` is not an http or https address"), remedy);
    };
    let origin = url.origin().ascii_serialization();
    if text != origin {
        let problem = format!("`{text}` has more than scheme, host and port, or is not in canonical form");
        return fault(key, problem, format!("write `{origin}`"));
    }
    Ok(())
}

/// The address at which our own services reach a node: an origin, or a Unix socket.
fn inner_url(key: &str, text: &str) -> Result<(), InvalidSetting> {
    match text.strip_prefix("unix:") {
        Some(path) if is_socket_path(path) => Ok(()),
        Some(_) => {
            let problem = format!("`{text}` is not the absolute path of a socket");
            fault(key, problem, "write it as in `unix:/run/oncelink/download.sock`")
        }
        None => public_url(key, text),
    }
}

/// Returns whether the text is an address at a Unix socket, such as `unix:/run/oncelink/web.sock:/receipts`.
fn is_at_socket(text: &str) -> bool {
    let parts = text.strip_prefix("unix:").and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(socket, path)| is_socket_path(socket) && path.starts_with('/'))
}

/// Accepts only the embedded store; `servers` are the others, for the error.
fn embedded(key: &str, address: &StoreAddress, only: &str, servers: &str) -> Result<(), InvalidSetting> {
    if address.as_str() == only {
        return Ok(());
    }
    fault(key, format!("`{address}` is unknown"), format!("write `{only}`, {servers}"))
}

/// The address may contain a password, so the error doesn't contain it.
fn redis(key: &str, address: &StoreAddress) -> Result<(), InvalidSetting> {
    let remedy = "write `redis://:password@host:6379/0`, or `rediss://…` for TLS, where \
                  `?sslrootcert=/path/to/ca.pem` names other certificates to trust than this machine's";
    let Some(url) = Url::parse(address).ok().filter(Url::has_host) else {
        return fault(key, format!("`{address}` is not a valid address"), remedy);
    };
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return fault(key, "the database after the host is not a number".to_owned(), remedy);
    }
    let is_known =
        |(name, _): (Cow<'_, str>, Cow<'_, str>)| url.scheme() == "rediss" && name == "sslrootcert";
    if url.fragment().is_some() || !url.query_pairs().all(is_known) {
        return fault(key, "there is something unknown after the database".to_owned(), remedy);
    }
    Ok(())
}

fn log_level(log: &LogSettings) -> Result<(), InvalidSetting> {
    if log.filter().is_none() {
        let remedy = format!(
            "write one of {}, or a filter such as `info,oncelink::download=debug`",
            LogSettings::LEVELS.join(", ")
        );
        return fault(
            "log.level",
            format!("`{}` is not a valid log level", log.level.escape_debug()),
            remedy,
        );
    }
    Ok(())
}

fn positive(key: &str, duration: Duration) -> Result<(), InvalidSetting> {
    if duration.is_zero() {
        return fault(key, "it is zero".to_owned(), "choose at least `1s`");
    }
    Ok(())
}

fn not_above(key: &str, duration: Duration, other: &str, most: Duration) -> Result<(), InvalidSetting> {
    if duration > most {
        let problem =
            format!("{}s is longer than `{other}`, which is {}s", duration.as_secs(), most.as_secs());
        return fault(key, problem, format!("shorten it or raise `{other}`"));
    }
    Ok(())
}

fn not_above_limit(key: &str, duration: Duration, most: Duration) -> Result<(), InvalidSetting> {
    if duration > most {
        let problem = format!("{}s is too long", duration.as_secs());
        let remedy = format!("choose at most {}s and set the clocks with NTP", most.as_secs());
        return fault(key, problem, remedy);
    }
    Ok(())
}

fn connections(key: &str, count: usize) -> Result<(), InvalidSetting> {
    if count == 0 {
        return fault(key, "it is zero, so nobody could connect".to_owned(), "choose at least 1");
    }
    Ok(())
}

fn fault(key: &str, problem: String, remedy: impl Into<String>) -> Result<(), InvalidSetting> {
    Err(InvalidSetting { key: key.to_owned(), problem, remedy: remedy.into() })
}
