//! Receipts: how the download service reports deliveries to the web app.
//!
//! A receipt is the latest state of one jti, not an event. It can be delivered any number of times; of two
//! receipts, the one with the higher sequence number counts.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{Jti, LinkId};
use crate::standing::Standing;
use crate::words::words;

/// The header in which a download service proves that it has its node key when a signed command asks whether
/// it is ready: [`crate::secret::Digest::prove`] of the key for the command's jti.
pub const PROOF_HEADER: &str = "oncelink-node-proof";

words! {
    /// How far a delivery has come.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum DeliveryState {
        /// Bytes are being sent, or are about to be.
        Running = "running",
        /// No transfer is running, and the file is incomplete; the client may resume.
        #[serde(rename = "broken")]
        Interrupted = "broken",
        /// The peer acknowledged the last byte.
        Complete = "complete",
        /// The file is incomplete, and the lease has ended or the token was revoked, so no more bytes will be
        /// sent.
        #[serde(rename = "over")]
        Ended = "over",
    }
}

/// What was delivered for a jti.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The token's id.
    pub jti: Jti,
    /// The id of its link.
    pub link: LinkId,
    /// Increases with each change.
    pub sequence: u64,
    /// When the token was redeemed.
    pub redeemed_at: Timestamp,
    /// When the first byte was sent, if any.
    pub started_at: Option<Timestamp>,
    /// When the latest byte was sent.
    pub last_at: Timestamp,
    /// The file's size in bytes.
    pub size: u64,
    /// How many different bytes of the file were sent.
    pub bytes: u64,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often the client resumed.
    pub resumed: u32,
    /// The client's address; `None` if it is no longer known.
    pub address: Option<IpAddr>,
}

/// One report of a download service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The download service: its `download.public_url`, plus an id if several processes share that address.
    pub node: String,
    /// The start of its records: it knows nothing about tokens issued earlier.
    #[serde(rename = "told_since")]
    pub reported_since: Timestamp,
    /// Every redemption before this time has been reported, here or earlier: a token that expired before it
    /// without a report was not redeemed.
    #[serde(rename = "told_until")]
    pub reported_until: Timestamp,
    /// The receipts.
    pub receipts: Vec<Receipt>,
    /// The standing of its used-token store, for the web app to remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Standing>,
    /// The standing of the web app's database that the web app reported last, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// The header of the web app's response that contains a [`ReportReply`] as JSON.
pub const REPLY_HEADER: &str = "oncelink-remembers";

/// The web app's reply to a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportReply {
    /// The latest standing of the download service's used-token store that it remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Standing>,
    /// The standing of its own database, for the download service to remember: visible ASCII that only the
    /// web app can create and read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// It isn't certain that the other side accepted a report, so it must be sent again.
#[derive(Debug, thiserror::Error)]
#[error("the web app did not accept the receipts")]
pub struct NotAccepted(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Receives the reports of a download service.
#[async_trait]
pub trait ReceiptSink: Send + Sync {
    /// Records a report durably. Recording it twice changes nothing.
    ///
    /// # Errors
    /// If it isn't certain that the whole report was recorded.
    async fn accept(&self, report: Report) -> Result<ReportReply, NotAccepted>;
}
