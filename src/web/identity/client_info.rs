//! From where somebody asks.

use std::net::IpAddr;

/// Where a session is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client's address.
    pub address: IpAddr,
    /// The browser in its own words (`User-Agent`), cut to what the database keeps.
    pub agent: String,
}
