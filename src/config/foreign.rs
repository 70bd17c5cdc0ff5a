//! Recognizes environment variables with our prefix that aren't ours. Kubernetes sets some in every
//! container for each Service of the namespace, and Docker for each linked container. A Service called
//! `oncelink` or `oncelink-web` makes them look like settings.

use std::net::IpAddr;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Returns whether a variable is one of these, judging by its name and the format of its value. A misspelled
/// setting has neither.
pub(super) fn is_foreign(name: &str, value: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_ip = |text: &str| text.parse::<IpAddr>().is_ok();
    let is_address = || {
        let scheme = value.split_once("://").map(|(scheme, _)| scheme.to_ascii_uppercase());
        scheme.is_some_and(|scheme| PROTOCOLS.contains(&scheme.as_str()))
    };
    if name.ends_with("_SERVICE_HOST") {
        return is_ip(value);
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_port(value);
    }
    if name.ends_with("_PORT") && is_address() {
        return true;
    }
    // The name of a linked container, such as /app/oncelink, and its own variables.
    if (name.ends_with("_NAME") && value.starts_with('/')) || name.contains("_ENV_") {
        return !name.contains("__");
    }
    // Such as ONCELINK_WEB_PORT_8080_TCP and ONCELINK_WEB_PORT_8080_TCP_ADDR.
    name.match_indices("_PORT_").any(|(at, found)| {
        let mut parts = name.get(at + found.len()..).unwrap_or_default().split('_');
        let (number, protocol, what, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
        let is_service = number.is_some_and(is_port)
            && protocol.is_some_and(|protocol| PROTOCOLS.contains(&protocol))
            && rest.is_none();
        is_service
            && match what {
                None => is_address(),
                Some("PROTO") => PROTOCOLS.contains(&value.to_ascii_uppercase().as_str()),
                Some("PORT") => is_port(value),
                Some("ADDR") => is_ip(value),
                Some(_) => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_services_are_told_from_misspelt_settings() {
        for (name, value) in [
            ("ONCELINK_PORT", "tcp://10.96.0.1:8080"),
            ("ONCELINK_SERVICE_HOST", "10.96.0.1"),
            ("ONCELINK_SERVICE_HOST", "fd00::1"),
            ("ONCELINK_SERVICE_PORT", "8080"),
            ("ONCELINK_DOWNLOAD_SERVICE_PORT_HTTP_METRICS", "8081"),
            ("ONCELINK_WEB_PORT_8080_TCP", "tcp://10.96.0.1:8080"),
            ("ONCELINK_WEB_PORT_8080_TCP_PROTO", "tcp"),
            ("ONCELINK_WEB_PORT_8080_TCP_PORT", "8080"),
            ("ONCELINK_WEB_PORT_53_UDP_ADDR", "10.96.0.1"),
            ("ONCELINK_A__B_PORT", "udp://[fd00::1]:53"),
            ("ONCELINK_NAME", "/app/oncelink"),
            ("ONCELINK_ENV_PATH", "/usr/bin"),
        ] {
            assert!(is_foreign(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("ONCELINK_PORT", "8080"),
            ("ONCELINK_NAME", "files"),
            ("ONCELINK_WEB_LISTEN", "127.0.0.1:8080"),
            ("ONCELINK_WEB__PORT", "8080"),
            ("ONCELINK_SERVICE_HOST", "files.example"),
            ("ONCELINK_SERVICE_PORT", "tcp"),
            ("ONCELINK_WEB_PORT_8080_TCP", "8080"),
            ("ONCELINK_WEB_PORT_HTTP_TCP", "tcp://10.96.0.1:8080"),
            ("ONCELINK_WEB_PORT_8080_TCP_NAME", "web"),
        ] {
            assert!(!is_foreign(name, value), "{name}={value}");
        }
    }
}
