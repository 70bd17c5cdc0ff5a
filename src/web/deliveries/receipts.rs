//! The store of receipts, and how a download service in the same process reports to it.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::client_address::network_of;
use crate::clock::Clock;
use crate::config::ReceiptAddress;
use crate::receipt::{NotAccepted, ReceiptSink, Report, ReportReply};
use crate::web::db::Database;
use crate::web::mail::queue::MailQueue;
use crate::web::restored::RestoreDetector;

/// The store of receipts. Clones share it.
#[derive(Clone, Debug)]
pub struct DeliveryStore {
    pub(super) db: Database,
    pub(super) queue: MailQueue,
    pub(super) clock: Clock,
    pub(super) rules: ReceiptRules,
    /// Checks the standings that reports contain; `None` if this process doesn't serve the web app.
    pub(super) restore_detector: Option<RestoreDetector>,
}

/// Settings for receipts.
#[derive(Clone, Debug)]
pub struct ReceiptRules {
    /// How much of a client's address is kept.
    pub address: ReceiptAddress,
    /// The public address of the download service in the same settings, which may run in this process.
    pub own_audience: String,
    /// The clock skew that is tolerated in tokens.
    pub leeway: Duration,
}

impl DeliveryStore {
    /// Creates the store in `db`. Mails to owners are added to `queue`.
    pub fn new(
        db: Database,
        queue: MailQueue,
        clock: Clock,
        rules: impl Into<ReceiptRules>,
    ) -> DeliveryStore {
        DeliveryStore { db, queue, clock, rules: rules.into(), restore_detector: None }
    }

    /// Returns a store that also checks the database and the used-token stores against what reports say about
    /// them.
    #[must_use]
    pub fn with_restore_detector(self, standings: RestoreDetector) -> DeliveryStore {
        DeliveryStore { restore_detector: Some(standings), ..self }
    }
}

/// Accepts reports of a download service in the same process.
#[async_trait]
impl ReceiptSink for DeliveryStore {
    async fn accept(&self, report: Report) -> Result<ReportReply, NotAccepted> {
        self.accept_report(&report, &self.rules.own_audience).await.map_err(|error| NotAccepted(error.into()))
    }
}

/// Returns the part of an address that is to be kept.
pub(super) fn shortened(address: Option<IpAddr>, keep: ReceiptAddress) -> String {
    let Some(address) = address.map(|address| address.to_canonical()) else { return String::new() };
    match (keep, address) {
        (ReceiptAddress::None, _) => String::new(),
        (ReceiptAddress::Full, address) => address.to_string(),
        (ReceiptAddress::Network, address) => network_of(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_configured() {
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
