//! Which addresses the web app may connect to on behalf of the people who typed them: only those of the public
//! internet. Everything else belongs to the operator's network, and a request from here would get past its
//! firewall.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused. `Display` names the kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    /// This machine.
    #[error("loopback")]
    Loopback,
    /// A network behind a firewall (RFC 1918, RFC 4193).
    #[error("private")]
    Private,
    /// This network segment (RFC 3927, RFC 4291).
    #[error("link-local")]
    LinkLocal,
    /// A provider's inner network (RFC 6598).
    #[error("carrier-grade NAT")]
    CarrierNat,
    /// Stands for an IPv4 address: IPv4-mapped, NAT64, 6to4 or Teredo.
    #[error("translated")]
    Translated,
    /// For documentation or benchmarks.
    #[error("documentation")]
    Documentation,
    /// Answers with the secrets of a machine in a cloud. Never allowed.
    #[error("metadata")]
    Metadata,
    /// For many machines at once. Never allowed.
    #[error("multicast")]
    Multicast,
    /// No address of a machine. Never allowed.
    #[error("reserved")]
    Reserved,
}

impl AddressRefusal {
    /// Whether the operator can allow such addresses.
    pub const fn can_be_allowed(self) -> bool {
        !matches!(self, AddressRefusal::Metadata | AddressRefusal::Multicast | AddressRefusal::Reserved)
    }
}

/// The operator's rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressRule {
    /// Whether addresses that aren't public are allowed, where that makes sense.
    pub allow_private: bool,
}

impl AddressRule {
    /// Returns why the address is refused; `None` if a connection to it is allowed.
    pub fn refusal(self, address: IpAddr) -> Option<AddressRefusal> {
        let mut judged = address;
        loop {
            let refusal = refusal_of(judged)?;
            if !self.allow_private || !refusal.can_be_allowed() {
                return Some(refusal);
            }
            // What it stands for must be allowed, too.
            match judged {
                IpAddr::V6(address) => judged = IpAddr::V4(embedded(address)?),
                IpAddr::V4(_) => return None,
            }
        }
    }
}

/// The kinds of IPv4 networks that aren't public, more specific ones first (IANA's registry of special-purpose
/// addresses, and the addresses at which clouds answer with secrets).
const V4: [(Ipv4Addr, u32, AddressRefusal); 20] = [
    (Ipv4Addr::new(169, 254, 169, 254), 32, AddressRefusal::Metadata),
    (Ipv4Addr::new(169, 254, 170, 2), 32, AddressRefusal::Metadata),
    (Ipv4Addr::new(100, 100, 100, 200), 32, AddressRefusal::Metadata),
    (Ipv4Addr::new(192, 0, 0, 192), 32, AddressRefusal::Metadata),
    (Ipv4Addr::new(168, 63, 129, 16), 32, AddressRefusal::Metadata),
    (Ipv4Addr::new(0, 0, 0, 0), 8, AddressRefusal::Reserved),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressRefusal::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressRefusal::CarrierNat),
    (Ipv4Addr::new(127, 0, 0, 0), 8, AddressRefusal::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressRefusal::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressRefusal::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, AddressRefusal::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, AddressRefusal::Documentation),
    (Ipv4Addr::new(192, 88, 99, 0), 24, AddressRefusal::Translated),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressRefusal::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, AddressRefusal::Documentation),
    (Ipv4Addr::new(198, 51, 100, 0), 24, AddressRefusal::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, AddressRefusal::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, AddressRefusal::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, AddressRefusal::Reserved),
];

/// The same for IPv6. What is in none of them and not in 2000::/3 isn't public either.
const V6: [(Ipv6Addr, u32, AddressRefusal); 16] = [
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), 128, AddressRefusal::Metadata),
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), 128, AddressRefusal::Metadata),
    (Ipv6Addr::UNSPECIFIED, 128, AddressRefusal::Reserved),
    (Ipv6Addr::LOCALHOST, 128, AddressRefusal::Loopback),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, AddressRefusal::Translated),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, AddressRefusal::Translated),
    (Ipv6Addr::new(0x0064, 0xff9b, 0, 0, 0, 0, 0, 0), 96, AddressRefusal::Translated),
    (Ipv6Addr::new(0x0064, 0xff9b, 1, 0, 0, 0, 0, 0), 48, AddressRefusal::Translated),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, AddressRefusal::Translated),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, AddressRefusal::Translated),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, AddressRefusal::Reserved),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, AddressRefusal::Documentation),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, AddressRefusal::Documentation),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, AddressRefusal::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, AddressRefusal::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, AddressRefusal::Multicast),
];

fn refusal_of(address: IpAddr) -> Option<AddressRefusal> {
    match address {
        IpAddr::V4(address) => {
            let is_in =
                |net: &Ipv4Addr, length: u32| (address.to_bits() ^ net.to_bits()) >> (32 - length) == 0;
            V4.iter().find(|(net, length, _)| is_in(net, *length)).map(|(.., refusal)| *refusal)
        }
        IpAddr::V6(address) => {
            let is_in =
                |net: &Ipv6Addr, length: u32| (address.to_bits() ^ net.to_bits()) >> (128 - length) == 0;
            let found = V6.iter().find(|(net, length, _)| is_in(net, *length)).map(|(.., refusal)| *refusal);
            let is_public = is_in(&Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
            found.or((!is_public).then_some(AddressRefusal::Reserved))
        }
    }
}

/// Returns the IPv4 address that an IPv6 address stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let v4 = |bits: u128| u32::try_from(bits & 0xffff_ffff).ok().map(Ipv4Addr::from_bits);
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] if address != Ipv6Addr::LOCALHOST => v4(bits),
        [0x0064, 0xff9b, ..] => v4(bits),
        [0x2002, ..] => v4(bits >> 80),
        // Teredo has the client's address inverted.
        [0x2001, 0, ..] => v4(!bits),
        _ => None,
    }
}
