//! Finds out how much of what arrived the program at the other end of a connection within this machine, such as a
//! proxy, hasn't read yet.
//!
//! Between two machines, acknowledged bytes are copies. Within one, the receiving socket refers to the pages of the
//! file that the kernel sent until they are read: if the file changes until then, so do they. Asks by sock_diag(7),
//! which needs no rights.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// `SOCK_DIAG_BY_FAMILY` and `NLMSG_ERROR`: types of messages.
const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// The sizes of `nlmsghdr`, `inet_diag_req_v2` and `inet_diag_sockid`.
const HEADER: usize = 16;
const QUERY: usize = 56;
const ID: usize = 48;
/// Where an answer has `idiag_rqueue`: after the header, four bytes, the socket's id and its timer.
const UNREAD: usize = HEADER + 4 + ID + 4;

thread_local! {
    static KERNEL: Result<OwnedFd, Errno> = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(netlink::SOCK_DIAG),
    );
}

/// Returns how many bytes that arrived at `peer` from `local` its program hasn't read; `None` if the peer isn't in
/// this machine, or in another network namespace of it.
///
/// # Errors
/// If the kernel doesn't say.
fn unread(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<u64>> {
    let mut answer = [0; 512];
    let count = KERNEL.with(|kernel| {
        let kernel = kernel.as_ref().map_err(|errno| *errno)?;
        send(kernel, &query(local, peer), SendFlags::DONTWAIT)?;
        // The kernel has answered within the call.
        recv(kernel, &mut answer, RecvFlags::DONTWAIT).map(|(_, count)| count)
    })?;
    read(answer.get(..count).unwrap_or_default())
}

/// Where the other end of a connection is.
#[derive(Clone, Copy)]
pub(super) enum PeerPlace {
    /// In this machine.
    Here {
        /// The address of this end.
        local: SocketAddr,
        /// The address of the other end.
        peer: SocketAddr,
    },
    /// Elsewhere.
    Elsewhere,
    /// In this machine, but what it has read can't be found out.
    Unknown,
}

impl PeerPlace {
    /// Finds the other end of a connection.
    pub(super) fn of(local: SocketAddr, peer: SocketAddr) -> PeerPlace {
        match unread(local, peer) {
            Ok(Some(_)) => PeerPlace::Here { local, peer },
            Ok(None) => PeerPlace::Elsewhere,
            Err(_) if peer.ip().to_canonical() == local.ip().to_canonical() => PeerPlace::Unknown,
            Err(_) if peer.ip().to_canonical().is_loopback() => PeerPlace::Unknown,
            Err(_) => PeerPlace::Elsewhere,
        }
    }

    /// Returns how many bytes have arrived there that aren't read; `None` if that isn't known.
    pub(super) fn unread(self) -> Option<u64> {
        match self {
            // If the other end is closed, nobody reads them.
            PeerPlace::Here { local, peer } => unread(local, peer).ok().map(Option::unwrap_or_default),
            PeerPlace::Elsewhere => Some(0),
            PeerPlace::Unknown => None,
        }
    }
}

/// The question for the socket whose own address is `peer`.
fn query(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let (from, to) = (peer.ip().to_canonical(), local.ip().to_canonical());
    let family = if from.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut query = Vec::with_capacity(HEADER + QUERY);
    query.extend(((HEADER + QUERY) as u32).to_ne_bytes());
    query.extend(BY_FAMILY.to_ne_bytes());
    query.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender, which nobody needs.
    query.extend([0; 8]);
    query.extend([family, IPPROTO_TCP, 0, 0]);
    // In any state.
    query.extend(u32::MAX.to_ne_bytes());
    query.extend(peer.port().to_be_bytes());
    query.extend(local.port().to_be_bytes());
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => {
                query.extend(address.octets());
                query.extend([0; 12]);
            }
            IpAddr::V6(address) => query.extend(address.octets()),
        }
    }
    // The interface, if the address needs one, and no cookie.
    let interface = if let SocketAddr::V6(peer) = peer { peer.scope_id() } else { 0 };
    query.extend(interface.to_ne_bytes());
    query.extend([0xff; 8]);
    query
}

fn read(answer: &[u8]) -> io::Result<Option<u64>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let number = |at: usize| {
        let bytes = answer.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map(|bytes| u32::from_ne_bytes(*bytes)).ok_or_else(invalid)
    };
    let kind = answer.get(4..).and_then(|rest| rest.first_chunk::<2>()).ok_or_else(invalid)?;
    match u16::from_ne_bytes(*kind) {
        BY_FAMILY => Ok(Some(number(UNREAD)?.into())),
        ERROR => match number(HEADER)?.cast_signed().wrapping_neg() {
            errno if errno == Errno::NOENT.raw_os_error() => Ok(None),
            errno => Err(io::Error::from_raw_os_error(errno)),
        },
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = if address.starts_with("[::1]") { "::1" } else { "127.0.0.1" };
        let client = TcpStream::connect((host, port)).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn what_a_program_on_this_machine_has_not_read_is_known() {
        // The last has an IPv4 peer at an IPv6 socket.
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let (mut client, mut server) = pair(address);
            let place = PeerPlace::of(server.local_addr().unwrap(), server.peer_addr().unwrap());
            assert!(matches!(place, PeerPlace::Here { .. }), "{address}");
            let ask = || place.unread();
            assert_eq!(ask(), Some(0), "{address}");
            (&server).write_all(&[1; 1000]).unwrap();
            client.peek(&mut [0; 1000]).unwrap();
            assert_eq!(ask(), Some(1000), "{address}");
            client.read_exact(&mut [0; 400]).unwrap();
            assert_eq!(ask(), Some(600), "{address}");
            client.read_exact(&mut [0; 600]).unwrap();
            assert_eq!(ask(), Some(0), "{address}");
            server.flush().unwrap();
        }
    }

    #[test]
    fn of_a_program_elsewhere_it_is_not() {
        let elsewhere = "192.0.2.1:5000".parse().unwrap();
        let place = PeerPlace::of("192.0.2.2:443".parse().unwrap(), elsewhere);
        assert!(matches!(place, PeerPlace::Elsewhere));
        assert_eq!(place.unread(), Some(0));
    }
}
