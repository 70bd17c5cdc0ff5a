//! Where a request comes from.

use std::net::IpAddr;

/// The client that uses a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client's address.
    pub address: IpAddr,
    /// The browser's `User-Agent`, truncated to what the database stores.
    pub agent: String,
}
