//! Where a service listens: addresses and ports, Unix sockets, and sockets that systemd passes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The permissions of a Unix socket if none are written: its owner and group may connect.
const DEFAULT_MODE: u32 = 0o660;
/// Maximum length of a socket's path, in bytes; the kernel allows no more.
const LONGEST_PATH: usize = 107;

/// The places where a service listens; at least one, each of them once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(Vec<ListenAddress>);

/// One place where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and a port; port 0 picks a free one.
    Tcp(SocketAddr),
    /// A Unix socket, written `unix:/run/oncelink/web.sock`, or with `?mode=0600` behind it.
    Unix {
        /// The socket's absolute path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The sockets with the service's name that systemd passes, written `systemd`.
    Systemd,
}

/// The text is not a [`ListenAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidListen {
    /// It isn't an address and port, a Unix socket or `systemd`.
    #[error("`{0}` is not an address and port, `unix:` and a path, or `systemd`")]
    Form(String),
    /// The path of a Unix socket can't be used.
    #[error("`{0}` needs an absolute path of at most {LONGEST_PATH} bytes without `:` and `?`")]
    Path(String),
    /// The permissions of a Unix socket aren't valid.
    #[error("`{0}` has no valid permissions; write three octal digits, as in `?mode=0660`")]
    Mode(String),
    /// The same place is listed twice.
    #[error("`{0}` is listed twice")]
    Twice(ListenAddress),
    /// There is no place.
    #[error("it is empty")]
    Empty,
}

impl Listen {
    /// Creates a list of places.
    ///
    /// # Errors
    /// If there are none, or the same one twice.
    pub fn new(addresses: Vec<ListenAddress>) -> Result<Listen, InvalidListen> {
        let place = |address: &ListenAddress| match address {
            ListenAddress::Unix { path, .. } => format!("unix:{}", path.display()),
            other => other.to_string(),
        };
        for (index, address) in addresses.iter().enumerate() {
            // Several free ports are different ones.
            let is_free_port = matches!(address, ListenAddress::Tcp(address) if address.port() == 0);
            let is_known =
                addresses.iter().take(index).any(|earlier| !is_free_port && place(earlier) == place(address));
            if is_known {
                return Err(InvalidListen::Twice(address.clone()));
            }
        }
        if addresses.is_empty() { Err(InvalidListen::Empty) } else { Ok(Listen(addresses)) }
    }

    /// Returns the places.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.0
    }

    /// Returns the addresses with a port.
    pub fn tcp(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix { .. } | ListenAddress::Systemd => None,
        })
    }

    /// Returns the first place that another program on this machine can reach, as an inner address: see
    /// [`crate::http_client`]. `None` if the port or the socket isn't known before the start.
    pub fn reachable(&self) -> Option<String> {
        self.0.iter().find_map(ListenAddress::reachable)
    }

    /// Returns a place that `other` has, too, so that only one of the services could listen there.
    pub fn shared_with(&self, other: &Listen) -> Option<&ListenAddress> {
        self.0.iter().find(|address| match address {
            ListenAddress::Tcp(address) => {
                address.port() != 0 && other.tcp().any(|another| another == *address)
            }
            ListenAddress::Unix { path, .. } => other.0.iter().any(
                |another| matches!(another, ListenAddress::Unix { path: another, .. } if another == path),
            ),
            // systemd passes each service its own sockets.
            ListenAddress::Systemd => false,
        })
    }
}

impl ListenAddress {
    /// Returns the address at which another program on this machine reaches it; `None` if it isn't known before the
    /// start.
    pub fn reachable(&self) -> Option<String> {
        match self {
            ListenAddress::Tcp(address) => (address.port() != 0).then(|| at_port(*address)),
            ListenAddress::Unix { path, .. } => Some(format!("unix:{}", path.display())),
            ListenAddress::Systemd => None,
        }
    }
}

/// Returns the address at which a listener can be reached from its own machine.
pub(super) fn at_port(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        let loopback: IpAddr = match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        listen.set_ip(loopback);
    }
    format!("http://{listen}")
}

/// Returns whether `path` can be the path of a Unix socket, and be written in an address.
pub(super) fn is_socket_path(path: &str) -> bool {
    Path::new(path).is_absolute() && path.len() <= LONGEST_PATH && !path.contains([':', '?', '\0'])
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Listen {
        Listen(vec![ListenAddress::Tcp(address)])
    }
}

impl From<ListenAddress> for Listen {
    fn from(address: ListenAddress) -> Listen {
        Listen(vec![address])
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<ListenAddress, InvalidListen> {
        if text == "systemd" {
            return Ok(ListenAddress::Systemd);
        }
        let Some(rest) = text.strip_prefix("unix:") else {
            return text.parse().map(ListenAddress::Tcp).map_err(|_| InvalidListen::Form(text.to_owned()));
        };
        let (path, mode) = match rest.split_once("?mode=") {
            Some((path, mode)) => (path, parse_mode(mode)),
            None => (rest, Some(DEFAULT_MODE)),
        };
        let mode = mode.ok_or_else(|| InvalidListen::Mode(text.to_owned()))?;
        match is_socket_path(path) {
            true => Ok(ListenAddress::Unix { path: path.into(), mode }),
            false => Err(InvalidListen::Path(text.to_owned())),
        }
    }
}

fn parse_mode(digits: &str) -> Option<u32> {
    let is_octal = matches!(digits.len(), 3 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_octal.then(|| u32::from_str_radix(digits, 8).ok())?.filter(|mode| *mode <= 0o777)
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix { path, mode: DEFAULT_MODE } => write!(f, "unix:{}", path.display()),
            ListenAddress::Unix { path, mode } => write!(f, "unix:{}?mode={mode:04o}", path.display()),
            ListenAddress::Systemd => f.write_str("systemd"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.0.iter().map(ListenAddress::to_string).collect();
        f.write_str(&addresses.join(", "))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
        deserializer.deserialize_any(ListenVisitor)
    }
}

/// Reads one text or a list of them.
struct ListenVisitor;

impl<'de> Visitor<'de> for ListenVisitor {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address and port, `unix:` and a path, `systemd`, or a list of these")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Listen, E> {
        text.parse::<ListenAddress>().map(Listen::from).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listen, A::Error> {
        let mut addresses = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            addresses.push(text.parse().map_err(A::Error::custom)?);
        }
        Listen::new(addresses).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_spelling() {
        for text in [
            "127.0.0.1:8080",
            "[::]:8080",
            "unix:/run/oncelink/web.sock",
            "unix:/run/web.sock?mode=0600",
            "systemd",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        let usual = "unix:/run/web.sock?mode=660".parse::<ListenAddress>().unwrap();
        assert_eq!(usual.to_string(), "unix:/run/web.sock");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "8080", "localhost:8080", "unix", "SYSTEMD", "/run/web.sock", "fd://3"] {
            assert_eq!(text.parse::<ListenAddress>(), Err(InvalidListen::Form(text.to_owned())));
        }
        let long = format!("unix:/{}", "a".repeat(LONGEST_PATH));
        for text in ["unix:", "unix:web.sock", "unix:/run/a:b", "unix:/run/a?b", &long] {
            assert_eq!(text.parse::<ListenAddress>(), Err(InvalidListen::Path(text.to_owned())));
        }
        for mode in ["", "66", "0888", "1777", "06600", "+660"] {
            let text = format!("unix:/run/a?mode={mode}");
            assert_eq!(text.parse::<ListenAddress>(), Err(InvalidListen::Mode(text.clone())));
        }
    }

    fn list(texts: &[&str]) -> Result<Listen, InvalidListen> {
        Listen::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_list_has_each_place_once() {
        assert_eq!(list(&[]), Err(InvalidListen::Empty));
        assert!(list(&["127.0.0.1:0", "127.0.0.1:0", "systemd"]).is_ok(), "two free ports");
        for twice in [["systemd", "systemd"], ["unix:/a", "unix:/a?mode=0600"], ["[::]:80", "[::]:80"]] {
            assert!(matches!(list(&twice), Err(InvalidListen::Twice(_))), "{twice:?}");
        }
        let (web, download) = (list(&["127.0.0.1:80", "unix:/a"]), list(&["unix:/a?mode=0600", "systemd"]));
        let shared = web.as_ref().unwrap().shared_with(download.as_ref().unwrap());
        assert_eq!(shared.unwrap().to_string(), "unix:/a");
        assert_eq!(list(&["systemd"]).unwrap().shared_with(download.as_ref().unwrap()), None);
    }

    #[test]
    fn the_first_place_that_is_known_is_the_one_to_reach_it_at() {
        for (texts, expected) in [
            (&["systemd", "unix:/run/web.sock"][..], Some("unix:/run/web.sock")),
            (&["127.0.0.1:0", "0.0.0.0:80"], Some("http://127.0.0.1:80")),
            (&["[::]:80", "unix:/run/web.sock"], Some("http://[::1]:80")),
            (&["systemd", "127.0.0.1:0"], None),
        ] {
            assert_eq!(list(texts).unwrap().reachable().as_deref(), expected, "{texts:?}");
        }
    }
}
