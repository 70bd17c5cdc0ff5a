//! Receipts: what the download services tell of tokens that were taken through links, kept for the
//! links' owners, and made known to the counting of uses.
//!
//! [`taking`] puts a report down, [`log`] is the chained record of every step, [`nodes`] knows up to
//! which moment all is told, [`deliveries`] reads it for the owner.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::config::{ReceiptAddress, Settings};
use crate::receipt::{NotTaken, Report, TakeReports};
use crate::web::db::Database;
use crate::web::mail::queue::Queue;

pub mod deliveries;
pub mod log;
pub mod node_key;
pub mod nodes;
mod notices;
pub mod taking;

/// The receipts. Clones are the same.
#[derive(Clone, Debug)]
pub struct Receipts {
    db: Database,
    queue: Queue,
    clock: Clock,
    address: ReceiptAddress,
    /// The download service that tokens are issued for.
    audience: String,
    leeway: Duration,
}

impl Receipts {
    /// Those in `db`; mails to owners go into `queue`.
    pub fn new(db: Database, queue: Queue, clock: Clock, settings: &Settings) -> Receipts {
        Receipts {
            db,
            queue,
            clock,
            address: settings.web.receipt_address,
            audience: settings.download.public_url.clone(),
            leeway: settings.token.leeway,
        }
    }
}

/// A download service in the same process tells directly.
#[async_trait]
impl TakeReports for Receipts {
    async fn take(&self, report: Report) -> Result<(), NotTaken> {
        self.put_down(&report).await.map_err(|error| NotTaken(error.into()))
    }
}

/// As much of an address as is to be kept.
fn shortened(address: Option<IpAddr>, keep: ReceiptAddress) -> String {
    let Some(address) = address.map(|address| address.to_canonical()) else { return String::new() };
    match (keep, address) {
        (ReceiptAddress::None, _) => String::new(),
        (ReceiptAddress::Full, address) => address.to_string(),
        (ReceiptAddress::Network, IpAddr::V4(v4)) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        (ReceiptAddress::Network, IpAddr::V6(v6)) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_far_as_the_operator_wants() {
        let kept = |address: &str, keep| shortened(Some(address.parse().unwrap()), keep);
        assert_eq!(kept("192.0.2.77", ReceiptAddress::Full), "192.0.2.77");
        assert_eq!(kept("192.0.2.77", ReceiptAddress::Network), "192.0.2.0/24");
        assert_eq!(kept("::ffff:192.0.2.77", ReceiptAddress::Network), "192.0.2.0/24");
        assert_eq!(kept("2001:db8:1:2:3:4:5:6", ReceiptAddress::Network), "2001:db8:1::/48");
        assert_eq!(kept("2001:db8:1:2:3:4:5:6", ReceiptAddress::Full), "2001:db8:1:2:3:4:5:6");
        assert_eq!(kept("192.0.2.77", ReceiptAddress::None), "");
        assert_eq!(shortened(None, ReceiptAddress::Full), "");
    }
}
