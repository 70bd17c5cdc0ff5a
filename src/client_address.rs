//! The client's address as this node sees it: the peer of the connection or, behind trusted proxies, the last
//! hop that is not a trusted proxy.
//!
//! The peer of a Unix socket has no address. It is a trusted proxy, because the socket's permissions say who may
//! connect; if it doesn't name the client, the client is unknown.
//!
//! A header is believed only on connections from a trusted proxy, and only as far to the left as trusted
//! proxies wrote it, because anyone can write the parts further left. From any other peer, such a header
//! means that there is an unknown proxy in between. Then the peer's address says nothing about the client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, VIA};

use crate::config::{Network, ProxyHeader};
use crate::reloadable::Reloadable;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers that only proxies add to a request.
static ADDED_BY_PROXIES: [HeaderName; 5] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
    VIA,
];

/// The address for rate limits of clients that a Unix socket's peer doesn't name.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Maximum number of hops that are examined. No real chain of proxies is longer.
const MAX_HOPS: usize = 32;

/// Determines the client of a request. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientAddresses {
    proxies: Reloadable<TrustedProxies>,
    /// The section of the settings, for log messages.
    service: &'static str,
    warned: Arc<AtomicBool>,
}

/// The proxies that are believed, and the header in which they name the client.
#[derive(Clone, Debug)]
struct TrustedProxies {
    networks: Vec<Network>,
    header: ProxyHeader,
}

impl TrustedProxies {
    fn new(trusted: &[Network], header: ProxyHeader) -> TrustedProxies {
        TrustedProxies { networks: trusted.iter().copied().map(canonical_network).collect(), header }
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| contains(network, address))
    }

    /// Walks the hops from the right, and returns the last one and whether it is the client. A hop that can't
    /// be parsed ends the walk; the result is then the proxy that wrote it. The trusted `peer` wrote the first.
    fn last_untrusted(&self, peer: IpAddr, hops: &str, read: Read) -> (IpAddr, bool) {
        let mut client = peer;
        for (index, hop) in from_the_right(hops).take(MAX_HOPS).enumerate() {
            if index > 0 && !self.trust(client) {
                break;
            }
            match read(hop) {
                Some(address) => client = address,
                None => return (client, false),
            }
        }
        (client, true)
    }
}

/// The client of a request, as far as its connection and headers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestClient {
    /// The client's own address; `None` if unknown.
    pub address: Option<IpAddr>,
    /// The address for rate limits. Always known, but possibly shared by many clients.
    pub counted_as: IpAddr,
    /// Whether the request came through a trusted proxy.
    pub proxied: bool,
}

impl ClientAddresses {
    /// `trusted` are the proxies that write `header`; `service` is their section of the settings.
    pub fn new(trusted: &[Network], header: ProxyHeader, service: &'static str) -> ClientAddresses {
        ClientAddresses {
            proxies: Reloadable::new(TrustedProxies::new(trusted, header)),
            service,
            warned: Arc::default(),
        }
    }

    /// Trusts these proxies from now on, and warns of unknown ones again.
    pub fn set_proxies(&self, trusted: &[Network], header: ProxyHeader) {
        self.proxies.replace(TrustedProxies::new(trusted, header));
        self.warned.store(false, Ordering::Relaxed);
    }

    /// Returns the same without the warning about an unknown proxy, for a second look at a request.
    #[must_use]
    pub fn without_warning(&self) -> ClientAddresses {
        ClientAddresses { warned: Arc::new(AtomicBool::new(true)), ..self.clone() }
    }

    /// Returns who sent `headers` over a connection from `peer`, which is `None` for a Unix socket. An
    /// IPv4-mapped IPv6 address is returned as IPv4. Only the header in the settings is read, because a proxy that
    /// writes one header may pass on the client's own in another.
    pub fn caller(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> RequestClient {
        let known = peer.map(|peer| peer.to_canonical());
        let peer = known.unwrap_or(NOBODY);
        let proxies = self.proxies.current();
        if known.is_some_and(|peer| !proxies.trust(peer)) {
            let strange = ADDED_BY_PROXIES.iter().find(|name| lines(headers, name).is_some());
            if let Some(name) = strange {
                self.warn(peer, name);
            }
            return RequestClient {
                address: strange.is_none().then_some(peer),
                counted_as: peer,
                proxied: false,
            };
        }
        let hops = match proxies.header {
            ProxyHeader::XForwardedFor => lines(headers, &X_FORWARDED_FOR).map(|hops| (hops, node as Read)),
            ProxyHeader::Forwarded => lines(headers, &FORWARDED).map(|hops| (hops, forwarded_for as Read)),
        };
        match hops {
            // A request of the proxy itself, or from a proxy that names no client.
            None => RequestClient { address: known, counted_as: peer, proxied: true },
            Some((hops, read)) => {
                let (counted_as, is_client) = proxies.last_untrusted(peer, &hops, read);
                RequestClient { address: is_client.then_some(counted_as), counted_as, proxied: true }
            }
        }
    }

    /// Returns the address for rate limits.
    pub fn of(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        self.caller(peer, headers).counted_as
    }

    fn warn(&self, peer: IpAddr, name: &HeaderName) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                header = %name,
                "a proxy that is not in `{}.trusted_proxies` forwards requests, or someone pretends to be one: \
                 its clients can't be told apart, so they share rate limits and resume only with the resume key; \
                 if the proxy is yours, list its address",
                self.service
            );
        }
    }
}

/// The part of an address that usually belongs to one customer: a whole IPv4 address, or the first 64 bits of
/// an IPv6 address. Rate limits count by this.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// The part of an address that usually belongs to one organization: a whole IPv4 address, or the first 48
/// bits of an IPv6 address.
pub fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// Parses one hop.
type Read = fn(&str) -> Option<IpAddr>;

/// Returns all lines of a header as one list; `None` if it is absent or empty. Bytes that aren't text make only
/// their own hop unreadable.
fn lines(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    lines.iter().any(|line| !line.trim().is_empty()).then(|| lines.join(","))
}

/// The `for` parameter of one element of `Forwarded` (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    split_unquoted(element, ';').into_iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| node(value))?
    })
}

/// One node (RFC 7239 section 6): an address with or without a port, an IPv6 address in brackets or, in
/// `X-Forwarded-For`, bare. `unknown` and obfuscated names aren't addresses.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, _port) = bracketed.split_once(']')?;
        return address.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical());
    }
    let host = match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => text,
    };
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Splits a list at the commas outside of quotes, and returns the last hop first.
///
/// Quotes are matched from the right too, because trusted proxies wrote that end: a quote that the client
/// opened and didn't close must not hide the hop that the proxy appended.
fn from_the_right(hops: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(hops);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let is_escaped = |at| {
            let before = text.get(..at).unwrap_or_default();
            (before.len() - before.trim_end_matches('\\').len()) % 2 == 1
        };
        let comma = text.char_indices().rev().find(|(at, c)| {
            quoted ^= *c == '"' && !is_escaped(*at);
            *c == ',' && !quoted
        });
        rest = comma.and_then(|(at, _)| text.get(..at));
        comma.map_or(Some(text), |(at, _)| text.get(at + 1..))
    })
}

/// Splits `text` at separators outside quotes.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let divides = c == separator && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        divides
    })
    .collect()
}

/// An IPv4 network written as IPv4-mapped IPv6 becomes the IPv4 network.
fn canonical_network(network: Network) -> Network {
    match (network.address, network.address.to_canonical()) {
        (IpAddr::V6(_), address @ IpAddr::V4(_)) if network.prefix >= 96 => {
            Network { address, prefix: network.prefix - 96 }
        }
        _ => network,
    }
}

/// Returns whether an address is in a network. IPv4-mapped addresses count as IPv4.
pub fn is_within(network: &Network, address: IpAddr) -> bool {
    contains(&canonical_network(*network), address.to_canonical())
}

fn contains(network: &Network, address: IpAddr) -> bool {
    let prefix = u32::from(network.prefix);
    match (network.address, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let host_bits = 32_u32.saturating_sub(prefix);
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            (network.to_bits() & mask) == (address.to_bits() & mask)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let host_bits = 128_u32.saturating_sub(prefix);
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            (network.to_bits() & mask) == (address.to_bits() & mask)
        }
        _ => false,
    }
}

/// The network of an address, for use where the client should stay anonymous: an IPv4 /24 or an IPv6 /48.
pub fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        let (address, prefix) = text.split_once('/').unwrap();
        Network { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    fn caller(header: ProxyHeader, peer: &str, lines: &[(&'static str, &str)]) -> RequestClient {
        let trusted = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(network);
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        // Nothing stands for a Unix socket.
        ClientAddresses::new(&trusted, header, "download").caller(peer.parse().ok(), &headers)
    }

    /// The address by which limits are counted, with a question mark where it isn't the client's.
    fn client(header: ProxyHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let caller = caller(header, peer, lines);
        let unknown = if caller.address == Some(caller.counted_as) { "" } else { "?" };
        format!("{}{unknown}", caller.counted_as)
    }

    #[test]
    fn a_stranger_with_a_proxy_s_header_is_nobody_known() {
        for name in ["x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host", "via"] {
            let strange = caller(ProxyHeader::XForwardedFor, "203.0.113.9", &[(name, "192.0.2.1")]);
            let peer = "203.0.113.9".parse().unwrap();
            assert_eq!(strange, RequestClient { address: None, counted_as: peer, proxied: false }, "{name}");
        }
        for empty in ["", " "] {
            assert_eq!(
                client(ProxyHeader::XForwardedFor, "203.0.113.9", &[("x-forwarded-for", empty)]),
                "203.0.113.9"
            );
        }
        let nobody = ClientAddresses::new(&[], ProxyHeader::XForwardedFor, "download");
        let peer = [127, 0, 0, 1].into();
        let direct = nobody.caller(Some(peer), &HeaderMap::new());
        assert_eq!(direct, RequestClient { address: Some(peer), counted_as: peer, proxied: false });
    }

    #[test]
    fn the_peer_of_a_unix_socket_is_a_trusted_proxy_without_an_address() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("198.51.100.7, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
            ("192.0.2.1, unknown", "0.0.0.0?"),
            ("192.0.2.1, bogus, 10.1.1.1", "10.1.1.1?"),
        ] {
            let lines = [("x-forwarded-for", value)];
            assert_eq!(client(ProxyHeader::XForwardedFor, "", &lines), expected, "{value:?}");
            assert!(caller(ProxyHeader::XForwardedFor, "", &lines).proxied);
        }
        let unnamed = caller(ProxyHeader::XForwardedFor, "", &[("x-real-ip", "192.0.2.1")]);
        assert_eq!(unnamed, RequestClient { address: None, counted_as: NOBODY, proxied: true });
    }

    #[test]
    fn the_rightmost_untrusted_hop_wins() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.1.1.1", "192.0.2.1"),
            ("192.0.2.1, 198.51.100.7, 10.1.1.1 , 10.2.2.2", "198.51.100.7"),
            ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, ::ffff:10.1.1.1", "192.0.2.1"),
            ("192.0.2.1, unknown", "127.0.0.1?"),
            ("192.0.2.1, bogus, 10.1.1.1", "10.1.1.1?"),
            ("192.0.2.1,", "127.0.0.1?"),
            ("", "127.0.0.1"),
            ("ÿ", "127.0.0.1?"),
            ("ÿ, 192.0.2.1", "192.0.2.1"),
            ("\", 192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(
                client(ProxyHeader::XForwardedFor, "127.0.0.1", &[("x-forwarded-for", value)]),
                expected,
                "{value:?}"
            );
        }
        let two_lines = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client(ProxyHeader::XForwardedFor, "::ffff:127.0.0.1", &two_lines), "198.51.100.7");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        for (value, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("proto=http; FOR = \"192.0.2.60:80\"", "192.0.2.60"),
            ("for=192.0.2.43, for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.43, for=\"[fd00::1]\"", "192.0.2.43"),
            ("for=\"192.0.2.1, 10.1.1.1\"", "127.0.0.1?"),
            ("for=192.0.2.1;host=\"a,b;for=198.51.100.7\"", "192.0.2.1"),
            ("for=\", for=192.0.2.43", "192.0.2.43"),
            ("for=\"\\\", for=\"192.0.2.43:1\";host=\"a\\\"b,c\"", "192.0.2.43"),
            ("for=_hidden", "127.0.0.1?"),
            ("by=10.1.1.1", "127.0.0.1?"),
        ] {
            assert_eq!(
                client(ProxyHeader::Forwarded, "127.0.0.1", &[("forwarded", value)]),
                expected,
                "{value:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_a_client_writes_changes_nothing_of_what_the_proxy_says(
            written in prop_oneof![any::<Vec<u8>>(), "[\\\\\",;= a-f0-9.:\\[\\]for]{0,40}".prop_map(String::into_bytes)],
            client in any::<IpAddr>(),
            on_a_line_of_its_own in any::<bool>(),
            hops in 0_usize..3,
        ) {
            let trusted = network("10.0.0.0/8");
            prop_assume!(!contains(&trusted, client.to_canonical()));
            let Ok(written) = HeaderValue::from_bytes(&written) else { return Ok(()) };
            for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
                let is_list = matches!(header, ProxyHeader::XForwardedFor);
                let name = if is_list { X_FORWARDED_FOR.clone() } else { FORWARDED };
                let hop = |address: IpAddr| match (is_list, address) {
                    (true, address) => address.to_string(),
                    (false, IpAddr::V4(address)) => format!("for={address};proto=https"),
                    (false, IpAddr::V6(address)) => format!("by=_x;for=\"[{address}]:4711\""),
                };
                let own: Vec<String> =
                    std::iter::once(client).chain((0..hops).map(|_| [10, 1, 1, 1].into())).map(hop).collect();
                let mut headers = HeaderMap::new();
                if on_a_line_of_its_own {
                    headers.append(name.clone(), written.clone());
                    headers.append(name, HeaderValue::from_str(&own.join(", ")).unwrap());
                } else {
                    let line = [written.as_bytes(), b", ", own.join(", ").as_bytes()].concat();
                    headers.append(name, HeaderValue::from_bytes(&line).unwrap());
                }
                let addresses = ClientAddresses::new(&[trusted], header, "web");
                let caller = addresses.caller(Some([10, 0, 0, 1].into()), &headers);
                let client = client.to_canonical();
                let expected = RequestClient { address: Some(client), counted_as: client, proxied: true };
                prop_assert_eq!(caller, expected, "{:?}", headers);
            }
        }

        #[test]
        fn a_stranger_is_counted_as_itself_whatever_it_writes(
            peer in any::<IpAddr>(),
            written in any::<Vec<u8>>(),
            name in prop::sample::select(ADDED_BY_PROXIES.to_vec()),
        ) {
            let Ok(written) = HeaderValue::from_bytes(&written) else { return Ok(()) };
            prop_assume!(!contains(&network("10.0.0.0/8"), peer.to_canonical()));
            let mut headers = HeaderMap::new();
            headers.append(name, written.clone());
            let addresses = ClientAddresses::new(&[network("10.0.0.0/8")], ProxyHeader::Forwarded, "web");
            let caller = addresses.caller(Some(peer), &headers);
            prop_assert_eq!((caller.counted_as, caller.proxied), (peer.to_canonical(), false));
            prop_assert!(caller.address.is_none_or(|address| address == peer.to_canonical()));
        }
    }

    #[test]
    fn only_the_header_that_the_proxies_write_is_read() {
        let both = [("forwarded", "for=198.51.100.7"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client(ProxyHeader::XForwardedFor, "127.0.0.1", &both), "192.0.2.1");
        assert_eq!(client(ProxyHeader::Forwarded, "127.0.0.1", &both), "198.51.100.7");
        assert_eq!(client(ProxyHeader::XForwardedFor, "127.0.0.1", &both[..1]), "127.0.0.1");
    }

    #[test]
    fn networks_contain_what_their_prefix_says() {
        let within = |net: &str, address: &str| {
            contains(&canonical_network(network(net)), address.parse::<IpAddr>().unwrap())
        };
        assert!(within("0.0.0.0/0", "203.0.113.9") && within("::/0", "2001:db8::1"));
        assert!(within("192.168.0.0/23", "192.168.1.255") && !within("192.168.0.0/23", "192.168.2.0"));
        assert!(within("::ffff:10.0.0.0/104", "10.255.0.1") && !within("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(!within("0.0.0.0/0", "2001:db8::1") && within("2001:db8::1/128", "2001:db8::1"));
    }

    #[test]
    fn a_neighbourhood_is_a_v4_address_or_a_v6_64() {
        let of = |text: &str| neighbourhood(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
