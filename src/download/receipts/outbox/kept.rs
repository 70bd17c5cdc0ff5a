//! A delivery in the outbox, and the errors of recording one.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::download::receipts::tally::Tally;
use crate::id::{Jti, LinkId};
use crate::receipt::Receipt;

/// It isn't certain that the data was recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OutboxError {
    /// The file failed.
    #[error("the receipts' outbox failed")]
    Failed(#[source] Arc<sqlx::Error>),
    /// It failed before, so the content on disk can't be trusted.
    #[error("the receipts' outbox failed before; fix the disk and restart")]
    Unreliable,
    /// The service is stopping.
    #[error("the receipts' outbox is closed")]
    Closed,
}

impl From<sqlx::Error> for OutboxError {
    fn from(error: sqlx::Error) -> OutboxError {
        OutboxError::Failed(Arc::new(error))
    }
}

/// A delivery in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::download::receipts) struct OutboxEntry {
    pub(in crate::download::receipts) jti: Jti,
    pub(in crate::download::receipts) link: LinkId,
    pub(in crate::download::receipts) sequence: u64,
    pub(in crate::download::receipts) settled: bool,
    pub(in crate::download::receipts) redeemed_at: Timestamp,
    pub(in crate::download::receipts) size: u64,
    pub(in crate::download::receipts) address: Option<IpAddr>,
    pub(in crate::download::receipts) until: Timestamp,
    pub(in crate::download::receipts) tally: Tally,
}

impl OutboxEntry {
    pub(in crate::download::receipts) fn receipt(&self) -> Receipt {
        Receipt {
            jti: self.jti,
            link: self.link.clone(),
            sequence: self.sequence,
            redeemed_at: self.redeemed_at,
            started_at: self.tally.started_at,
            last_at: self.tally.last_at,
            size: self.size,
            bytes: self.tally.bytes(self.size),
            state: self.tally.state,
            resumed: self.tally.resumed,
            address: self.address,
        }
    }
}
