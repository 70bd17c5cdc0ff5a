//! What became of a token: the words in which the download service tells the web app.
//!
//! A receipt is the newest state of one jti, not an event: it may be told any number of times, and
//! of two the one with the higher sequence number counts.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::Jti;

/// The header in which a download service that is asked with a signed command whether it is ready
/// shows that it holds its node key: [`crate::secret::Digest::prove`] of the key about the command's jti.
pub const PROOF_HEADER: &str = "oncelink-node-proof";

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// Bytes are on their way, or the first of them is about to be.
    Running,
    /// Nothing is under way, and the file has not gone out whole; the client may come back.
    Broken,
    /// The last byte was handed over, and the connection did not break.
    Complete,
    /// The file has not gone out whole, and the lease has ended or the token was revoked: no byte
    /// will leave any more.
    Over,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [DeliveryState; 4] =
        [DeliveryState::Running, DeliveryState::Broken, DeliveryState::Complete, DeliveryState::Over];

    /// The word in databases.
    pub const fn word(self) -> &'static str {
        match self {
            DeliveryState::Running => "running",
            DeliveryState::Broken => "broken",
            DeliveryState::Complete => "complete",
            DeliveryState::Over => "over",
        }
    }

    /// The state of that word.
    pub fn of_word(word: &str) -> Option<DeliveryState> {
        DeliveryState::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// What was delivered for a jti.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The token's id.
    pub jti: Jti,
    /// The id of the link that it came from.
    pub link: String,
    /// Rises with each change.
    pub sequence: u64,
    /// When the token was redeemed.
    pub redeemed_at: Timestamp,
    /// When the first byte left; `None` while none has.
    pub started_at: Option<Timestamp>,
    /// When the last byte so far left.
    pub last_at: Timestamp,
    /// The file's size in bytes.
    pub size: u64,
    /// How many different bytes of the file have left.
    pub bytes: u64,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often the client came back for more.
    pub resumed: u32,
    /// The client's address; `None` where that is not known any more.
    pub address: Option<IpAddr>,
}

/// What one download service tells at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The download service: its `download.public_url`, and what tells it from others of that address
    /// where several share one.
    pub node: String,
    /// It can't speak for tokens that were issued before this moment: its record begins here.
    pub told_since: Timestamp,
    /// Every redemption before this moment has been told, here or earlier: a token that ended before
    /// it and of which nothing was told was not redeemed.
    pub told_until: Timestamp,
    /// The receipts.
    pub receipts: Vec<Receipt>,
}

/// The other side did not take a report, or perhaps it did: it must be told again.
#[derive(Debug, thiserror::Error)]
#[error("the web app did not take the receipts")]
pub struct NotTaken(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Takes what a download service tells.
#[async_trait]
pub trait TakeReports: Send + Sync {
    /// Takes a report, durably; taking it twice changes nothing.
    ///
    /// # Errors
    /// When it is not certain that all of it is on record.
    async fn take(&self, report: Report) -> Result<(), NotTaken>;
}
