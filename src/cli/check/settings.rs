//! Warns of settings that are valid but rarely intended.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::check::findings::Findings;
use crate::config::{Listen, ListenAddress, Network, Settings};

pub(super) fn look(settings: &Settings, file: Option<&Path>, findings: &mut Findings) {
    match file.filter(|file| holds_password(settings, file) && is_open_to_others(file)) {
        Some(file) => {
            let shown = file.display();
            let text =
                format!("{shown} contains a database password, and users other than its owner can read it");
            findings.problem("settings", &text, &format!("run `chmod 600 {shown}`"));
        }
        None => findings.ok("settings", "read"),
    }
    let services = [
        ("web", &settings.web.listen, &settings.web.public_url, &settings.web.trusted_proxies),
        (
            "download",
            &settings.download.listen,
            &settings.download.public_url,
            &settings.download.trusted_proxies,
        ),
    ];
    for (name, listen, public_url, trusted_proxies) in services {
        address(name, listen, public_url, findings);
        proxies(name, listen, public_url, trusted_proxies, findings);
    }
    // Port 0: the actual ports aren't known yet.
    let is_open = settings.web.public_url.ends_with(":0");
    if settings.web.public_url == settings.download.public_url && !is_open {
        one_host(settings, findings);
    }
}

/// Both services have one public address, which a proxy must divide by path.
fn one_host(settings: &Settings, findings: &mut Findings) {
    let at = &settings.download.public_url;
    if settings.web.listen.tcp().any(|listen| is_own(listen, at)) {
        let text = format!("{at} leads to the web app alone, so nobody reaches the download service");
        let remedy = "put a proxy in front that passes `/d/` to the download service, or give each service its own address";
        return findings.problem("download.public_url", &text, remedy);
    }
    findings.ok(
        "download.public_url",
        "the web app has it, too: the proxy must pass `/d/` to the download service",
    );
    if settings.download.inner_address() == *at {
        findings.warning(
            "download.inner_url",
            "it is the public address, at which the proxy hides what the services say to each other",
            "set the address at which the download service listens",
        );
    }
}

fn address(name: &str, listen: &Listen, public_url: &str, findings: &mut Findings) {
    let key = format!("{name}.public_url");
    let host = public_url.split_once("://").map_or(public_url, |(_, host)| host);
    let is_local = ["127.", "[::1]", "localhost"].iter().any(|local| host.starts_with(local));
    if public_url.starts_with("http://") && !is_local {
        findings.warning(
            &key,
            "over http, anyone on the network can read passwords and use links first",
            "put an HTTPS proxy in front and set its https address",
        );
    } else if let Some(open) = listen.tcp().find(|address| is_local && !address.ip().is_loopback()) {
        findings.warning(
            &key,
            &format!("{open} is open to other machines, but for them {public_url} means their own machine"),
            "set the address at which people reach it",
        );
    } else {
        findings.ok(&key, public_url);
    }
}

fn proxies(name: &str, listen: &Listen, public_url: &str, networks: &[Network], findings: &mut Findings) {
    let key = format!("{name}.trusted_proxies");
    if networks.iter().any(|network| network.prefix == 0) {
        findings.warning(
            &key,
            "every address is trusted, so anyone can claim any client address",
            "list only the proxies' own addresses",
        );
    } else if networks.is_empty() && has_a_proxy(listen, public_url) {
        findings.warning(
            &key,
            &format!("there seems to be a proxy in front ({public_url}), but no proxy is trusted: all clients look like one"),
            &format!("list the proxy's address, such as [\"127.0.0.1\"], and set `{name}.proxy_header` to the header that it writes"),
        );
    }
}

/// Returns whether the settings file itself contains the password of a database or store.
fn holds_password(settings: &Settings, file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    [&settings.web.database, &settings.download.used_tokens].into_iter().any(|address| {
        let password = url::Url::parse(address.as_str()).ok();
        let has_password = password.is_some_and(|url| url.password().is_some_and(|it| !it.is_empty()));
        has_password && text.contains(address.as_str())
    })
}

fn is_open_to_others(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.mode() & 0o007 != 0)
}

/// Returns whether people must come through a proxy that isn't trusted by itself, as through a Unix socket: for https,
/// which the service doesn't speak, or for a listener on a loopback address with another public host or port.
fn has_a_proxy(listen: &Listen, public_url: &str) -> bool {
    let Some((scheme, _)) = public_url.split_once("://") else { return false };
    // What systemd passes can be either.
    let has_unix = listen.addresses().iter().any(|address| !matches!(address, ListenAddress::Tcp(_)));
    let is_everywhere = |listen: SocketAddr| !listen.ip().is_loopback();
    let is_direct = listen.tcp().any(|address| is_own(address, public_url) || is_everywhere(address));
    !has_unix && (scheme == "https" || !is_direct)
}

/// Returns whether a public address is the one of a listener itself.
fn is_own(listen: SocketAddr, public_url: &str) -> bool {
    let Some(authority) = public_url.strip_prefix("http://") else { return false };
    let own_port = format!(":{}", listen.port());
    let is_here = |host| ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    authority == listen.to_string() || authority.strip_suffix(&own_port).is_some_and(is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_seen_by_the_address_that_leads_to_it() {
        let at = |address: &str| Listen::from(address.parse::<ListenAddress>().unwrap());
        let local = &at("127.0.0.1:8081");
        let open = &at("0.0.0.0:8081");
        for own in ["http://127.0.0.1:8081", "http://localhost:8081", "http://[::1]:8081"] {
            assert!(!has_a_proxy(local, own), "{own}");
        }
        for other in
            ["https://files.example", "http://files.example", "http://127.0.0.1:80", "http://localhost"]
        {
            assert!(has_a_proxy(local, other), "{other}");
        }
        assert!(
            has_a_proxy(open, "https://files.example") && !has_a_proxy(open, "http://files.example:8081")
        );
        assert!(!has_a_proxy(&at("unix:/run/d.sock"), "https://files.example"), "it is trusted");
    }

    #[test]
    fn one_address_for_both_services_needs_a_proxy_and_another_inner_address() {
        let said = |public_url: &str, listen: &str| {
            let mut settings = Settings::default();
            settings.web.public_url = public_url.to_owned();
            settings.download.public_url = public_url.to_owned();
            settings.download.listen = listen.parse::<ListenAddress>().unwrap().into();
            let mut findings = Findings::default();
            one_host(&settings, &mut findings);
            findings.to_text()
        };
        let fine = said("https://files.example", "127.0.0.1:8081");
        assert!(fine.contains("pass `/d/`") && !fine.contains("warning"), "{fine}");
        assert!(!said("https://files.example", "unix:/run/d.sock").contains("warning"));
        let hidden = said("https://files.example", "systemd");
        assert!(hidden.contains("warning  download.inner_url"), "{hidden}");
        let direct = said("http://127.0.0.1:8080", "127.0.0.1:8081");
        assert!(direct.contains("problem  download.public_url"), "{direct}");
    }
}
